import math

import pandas as pd
import pytest

from cryosamu.config import Config, EmbeddingSettings, NetworkSettings
from cryosamu.curation.funnel import build_funnel
from cryosamu.network.build import build_network
from cryosamu.network.checkpoint import CheckpointHeader, TrainingSummary, save_checkpoint
from cryosamu.report.entries import list_entries
from cryosamu.report.inputs import Inputs
from cryosamu.report.run import RunFacts, read_run
from cryosamu.report.statements import statements
from cryosamu.report.summary import summaries
from cryosamu.report.verdict import FAIR_BASELINE, TRIVIAL, Condition, compare, conditions_in, tally

ENHANCED, ENHANCED_LOW = Condition("enhanced", False), Condition("enhanced", True)
DEPOSITED = Condition("deposited", False)


def outcomes(evaluation, emdb_id, condition, baseline=FAIR_BASELINE):
    rows = evaluation[evaluation["emdb_id"] == emdb_id]
    return {c.metric.key: c.outcome for c in compare(rows, condition, baseline)}


class TestComparisons:
    @pytest.mark.parametrize(
        ("emdb_id", "condition", "baseline", "box", "mask", "fsc"),
        [
            ("EMD-1", ENHANCED, FAIR_BASELINE, "worse", "equal", "worse"),
            ("EMD-1", ENHANCED, DEPOSITED, "worse", "better", "worse"),
            ("EMD-1", ENHANCED_LOW, FAIR_BASELINE, "better", "better", "worse"),
            ("EMD-1", DEPOSITED, FAIR_BASELINE, "worse", "worse", "equal"),
            ("EMD-2", ENHANCED, FAIR_BASELINE, "better", "no value", "better"),
            ("EMD-2", ENHANCED_LOW, FAIR_BASELINE, "no value", "no value", "no value"),
        ],
    )
    def test_as_worked_out_by_hand(self, evaluation, emdb_id, condition, baseline, box, mask, fsc):
        assert outcomes(evaluation, emdb_id, condition, baseline) == {
            "cc_box": box,
            "cc_mask": mask,
            "d_fsc_05_masked": fsc,
        }

    def test_differences_keep_their_sign(self, evaluation):
        rows = evaluation[evaluation["emdb_id"] == "EMD-1"]
        gaps = {c.metric.key: c.difference for c in compare(rows, ENHANCED)}
        assert gaps["cc_box"] == pytest.approx(-0.03)
        assert gaps["d_fsc_05_masked"] == pytest.approx(0.20)

    def test_a_cut_map_is_not_held_against_an_uncut_one(self, evaluation):
        """FSC-0.5 of a low-passed map ends at the cut: 5.9 Å is no merit of the unfiltered map."""
        rows = evaluation[evaluation["emdb_id"] == "EMD-1"].copy()
        fsc = rows["metric"] == "d_fsc_05_masked"
        unfiltered = (rows["method"] == "enhanced") & ~rows["low_passed"]
        rows.loc[fsc & (rows["method"] == "deposited") & ~rows["low_passed"], "value"] = 5.0
        rows.loc[fsc & unfiltered, "value"] = 5.5
        assert outcomes(rows, "EMD-1", ENHANCED)["d_fsc_05_masked"] == "worse"
        assert outcomes(rows, "EMD-1", ENHANCED_LOW, DEPOSITED)["d_fsc_05_masked"] == "worse"
        # A map that low-passing does not change is a filtered one, whatever it is called.
        cut = rows[unfiltered].assign(low_passed=True)
        rows = pd.concat([rows[~((rows["method"] == "enhanced") & rows["low_passed"])], cut])
        assert outcomes(rows, "EMD-1", ENHANCED)["d_fsc_05_masked"] == "better"

    def test_trivial_processing_is_judged_beside_the_network(self, evaluation, split):
        deposited = evaluation["method"].eq("deposited") & evaluation["low_passed"]
        masked = evaluation[deposited & evaluation["emdb_id"].eq("EMD-1")].assign(
            method="low_pass_masked", low_passed=False
        )
        masked.loc[masked["metric"] == "cc_box", "value"] += 0.05
        both = pd.concat([evaluation, masked])
        conditions = conditions_in(both)
        assert conditions[-1] == TRIVIAL
        entries = list_entries(Inputs(evaluation=both, split=split))
        summary = summaries(entries, conditions)[0]
        sentence = summary.sentences[-1]
        assert "with no network at all" in sentence.start
        # cc_box better; cc_mask and FSC, filtered against filtered, equal.
        assert (sentence.better, sentence.worse, summary.comparisons) == (1, 0, 3)

    def test_a_failed_value_is_counted_not_dropped(self, evaluation):
        counts = tally(compare(evaluation[evaluation["emdb_id"] == "EMD-2"], ENHANCED))
        assert counts.counts == {"better": 2, "equal": 0, "worse": 0, "no value": 1}
        assert counts.total == 3

    def test_without_a_baseline_nothing_is_compared(self, evaluation):
        bare = evaluation[evaluation["method"] == "enhanced"]
        assert compare(bare[bare["emdb_id"] == "EMD-1"], ENHANCED) == []

    def test_only_the_conditions_that_were_run(self, evaluation):
        plain = Condition("enhanced_no_structure", False)
        assert conditions_in(evaluation) == [ENHANCED, ENHANCED_LOW, plain]


class TestSummary:
    def test_says_worse_where_it_is_worse(self, evaluation, split):
        entries = list_entries(Inputs(evaluation=evaluation, split=split))
        real, simulated = summaries(entries, [ENHANCED])
        (sentence,) = real.sentences
        assert real.maps == "the real held-out map EMD-1"
        assert "more often worse than better" in sentence.start
        assert (sentence.better, sentence.worse, real.comparisons) == (0, 2, 3)
        assert sentence.end == " (equal in 1)"
        assert "more often better than worse" in simulated.sentences[0].start
        assert simulated.sentences[0].end == " (without a value in 1)"

    def test_as_many_of_both_is_neither(self, evaluation, split):
        entries = list_entries(Inputs(evaluation=evaluation, split=split))
        plain = [e for e in entries if e.emdb_id == "EMD-1"]
        keep = plain[0].rows["metric"] != "cc_mask"
        object.__setattr__(plain[0], "rows", plain[0].rows[keep])
        (summary,) = summaries(plain, [ENHANCED_LOW])
        assert "as often better as worse" in summary.sentences[0].start

    def test_training_entries_do_not_count(self, evaluation, split):
        moved = split.assign(split=["train", "test", "train"])
        inputs = Inputs(evaluation=evaluation, split=moved)
        entries = list_entries(inputs)
        assert [(e.emdb_id, e.held_out) for e in entries] == [("EMD-2", True), ("EMD-1", False)]
        said = " ".join(statements(inputs, entries))
        assert "Not held out, and left out of the verdict: EMD-1 (in train)." in said


class TestFunnel:
    def test_counts(self, decisions):
        funnel = build_funnel(decisions, None)
        assert [(s.name, s.seen, s.dropped, s.failed, s.left) for s in funnel.stages] == [
            ("resolution", 6, 1, 0, 5),
            ("correlation", 5, 1, 1, 3),
        ]
        assert funnel.candidates == 6
        assert list(funnel.rejected["emdb_id"]) == ["EMD-4", "EMD-5", "EMD-6"]

    def test_entries_that_no_filter_saw_are_named(self, decisions):
        catalogue = decisions[["emdb_id", "pdb_id"]].drop_duplicates()
        catalogue.loc[len(catalogue) + 10] = ["EMD-77", None]
        funnel = build_funnel(decisions, catalogue)
        assert funnel.candidates == 7
        assert funnel.undecided == ["EMD-77"]


def run(parameters, steps, notes=()):
    return RunFacts("compact", "protein_mpnn", parameters, steps, [], notes)


def said(inputs):
    return statements(inputs, list_entries(inputs))


def only(lines, word):
    (line,) = [line for line in lines if word in line]
    return line


class TestStatements:
    def test_simulated_maps_and_the_widened_window_are_named(self, evaluation, split):
        lines = said(Inputs(evaluation=evaluation, split=split))
        assert "1 of 2 in test, 1 of 1 in train" in only(lines, "are simulated")
        assert only(lines, "Simulated among").endswith("EMD-2.")
        window = only(lines, "window was widened")
        assert "EMD-1 (3.2 Å)" in window
        assert "EMD-2" not in window

    def test_nothing_is_said_of_a_window_that_was_kept(self, evaluation, split):
        inside = split.assign(resolution=[4.0, 5.0, 8.0], simulated=False)
        lines = said(Inputs(evaluation=evaluation, split=inside))
        assert not [line for line in lines if "widened" in line or "simulated from" in line[:60]]

    @pytest.mark.parametrize(
        ("parameters", "steps", "words"),
        [
            (300_000, 400, "small and briefly trained: 300,000 parameters and 400"),
            (12_220_225, 400, "network is briefly trained: 12,220,225 parameters and 400"),
            (300_000, 60_000, "network is small: 300,000 parameters and 60,000"),
            (12_220_225, 60_000, "has 12,220,225 parameters and was trained for 60,000 steps"),
        ],
    )
    def test_size_and_training_with_their_numbers(self, parameters, steps, words):
        assert Config().training.steps == 60_000
        assert only(said(Inputs(run=run(parameters, steps))), "parameters").count(words) == 1

    def test_notes_of_the_checkpoint_are_passed_on(self):
        assert "Note of the checkpoint: trained on 3 maps" in said(
            Inputs(run=run(1, 1, ("trained on 3 maps",)))
        )

    def test_the_leak_is_stated_with_and_without_its_control(self, evaluation):
        assert "stand beside it" in only(said(Inputs(evaluation=evaluation)), "uses the answer")
        without = evaluation[evaluation["method"] != "enhanced_no_structure"]
        assert "was not run" in only(said(Inputs(evaluation=without)), "uses the answer")


def test_missing_values_have_no_difference(evaluation):
    rows = evaluation[evaluation["emdb_id"] == "EMD-2"]
    gaps = {c.metric.key: c.difference for c in compare(rows, ENHANCED)}
    assert math.isnan(gaps["cc_mask"])


class TestCheckpoint:
    def test_a_map_that_the_network_has_seen_is_not_held_out(self, evaluation, split):
        seen = RunFacts("compact", "x", 1, 1, seen=frozenset({"EMD-1"}))
        inputs = Inputs(evaluation=evaluation, split=split, run=seen)
        assert {e.emdb_id: e.held_out for e in list_entries(inputs)} == {
            "EMD-1": False,
            "EMD-2": True,
        }
        assert "trained on it or chosen by it" in only(said(inputs), "Not held out")

    def test_facts_of_a_real_checkpoint(self, tmp_path):
        settings = Config(
            network=NetworkSettings(name="compact", base_channels=4, multipliers=(1, 2)),
            embedding=EmbeddingSettings(backend="protein_mpnn"),
        )
        network = build_network(settings.network, 16)
        summary = TrainingSummary(
            1234,
            1000,
            "d1",
            training_pairs=("EMD-7", "EMD-8"),
            validation_pairs=("EMD-9",),
            lineage=({"checkpoint": "e" * 64, "steps": 6, "learnt": ["EMD-6"]},),
            metrics={"loss": 0.25},
            structures={"structures": ["1ABC", "2ABC"], "left_out": [{"name": "3ABC"}]},
            computed_on=(
                {"device": "NVIDIA H200", "precision": "bfloat16"},
                {"device": "cpu", "precision": "float32"},
            ),
        )
        header = CheckpointHeader(
            settings.network, 16, settings.embedding, "f00", settings.preparation, summary,
            {"commit": "abc", "software": {"torch": "9.9"}}, ("only simulated",),
        )  # fmt: skip
        save_checkpoint(tmp_path / "c.safetensors", network, header)
        found = read_run(tmp_path / "c.safetensors")
        assert found.parameters == sum(tensor.numel() for tensor in network.parameters())
        assert (found.network, found.embedding) == ("compact", "protein_mpnn")
        assert found.steps == 1240
        assert found.notes == ("only simulated",)
        assert found.seen == {"EMD-6", "EMD-7", "EMD-8", "EMD-9"}
        facts = dict(found.facts)
        assert facts["Training steps"] == "1,234; weights of step 1,000"
        assert facts["Trained on"] == "NVIDIA H200, bfloat16; cpu, float32"
        assert facts["Pairs"] == "2 training, 1 validation"
        assert facts["Maps simulated from"] == "2 structures; 1 others were left out"
        assert facts["Validation loss"] == "0.25"
        assert facts["Trained with commit"] == "abc"
        assert facts["Trained with"] == "torch 9.9"
        assert "f00" in facts["Encoder weights"]
