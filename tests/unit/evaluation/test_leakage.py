"""Leakage between what is evaluated and what was trained on."""

import json

import numpy as np
import pandas as pd
import pytest
from small_protein import protein

from cryosamu.cli.evaluate_leakage import leakage
from cryosamu.config import (
    ClusteringSettings,
    EmbeddingSettings,
    NetworkSettings,
    PreparationSettings,
)
from cryosamu.curation.similarity import find_similar
from cryosamu.errors import CryosamuError
from cryosamu.evaluation.leakage import (
    WARNING,
    Chain,
    any_identity,
    conditions,
    distinct_sequences,
    leakage_table,
    maximum_identity,
)
from cryosamu.network import build_network
from cryosamu.network.checkpoint import CheckpointHeader, TrainingSummary, save_checkpoint
from cryosamu.tables import EVALUATION, LEAKAGE, SPLIT, read_table, write_table
from cryosamu.training.simulated.library import write_library
from cryosamu.training.simulated.packing import packed as library_entry

LETTERS = list("ACDEFGHIKLMNPQRSTVWY")
RNG = np.random.default_rng(7)


def random_sequence(length=150):
    return "".join(RNG.choice(LETTERS, length))


def mutated(sequence, share):
    """The sequence with an exact share of its residues changed."""
    places = RNG.permutation(len(sequence))[: round(share * len(sequence))]
    letters = list(sequence)
    for place in places:
        letters[place] = RNG.choice([letter for letter in LETTERS if letter != letters[place]])
    return "".join(letters)


TRAINED, FAR = random_sequence(), random_sequence()
NEAR = mutated(TRAINED, 0.4)
CHAINS = [
    Chain("EMD-1", "1AAA", "A", TRAINED, trained=True),
    Chain("EMD-1", "1AAA", "B", "GGGGG", trained=True),
    Chain("EMD-2", "2AAA", "A", NEAR, trained=False),
    Chain("EMD-2", "2AAA", "B", FAR, trained=False),
    Chain("EMD-3", "3AAA", "A", TRAINED, trained=False),
    Chain("EMD-4", "4AAA", "A", FAR, trained=False),
    Chain("EMD-4", "4AAA", "P", "GGGGG", trained=False),
    Chain("EMD-5", "5AAA", "A", "XXXXXXXX", trained=False),
]


@pytest.fixture(scope="module")
def table():
    pairs = find_similar(distinct_sequences(CHAINS), any_identity(ClusteringSettings()))
    return leakage_table(CHAINS, pairs, 0.3)


def test_each_evaluated_chain_knows_its_nearest_trained_one(table):
    rows = table.set_index(["emdb_id", "chain"])
    assert len(rows) == 6
    near = rows.loc["EMD-2", "A"]
    assert near["identity"] == pytest.approx(0.6, abs=0.03)
    assert (near["nearest_emdb_id"], near["nearest_chain"]) == ("EMD-1", "A")
    assert near["shares_cluster"]
    assert np.isnan(rows.loc[("EMD-2", "B"), "identity"])
    assert not rows.loc[("EMD-2", "B"), "shares_cluster"]
    # Equal chains count however short; unknown residues never.
    assert rows.loc[("EMD-3", "A"), "identity"] == 1
    assert rows.loc[("EMD-4", "P"), "identity"] == 1
    assert np.isnan(rows.loc[("EMD-5", "A"), "identity"])


def test_the_highest_identity_of_a_map(table):
    found = maximum_identity(table)
    assert found["EMD-2"] == pytest.approx(0.6, abs=0.03)
    assert (found["EMD-3"], found["EMD-5"]) == (1, None)


def test_a_cluster_is_closed_over_its_pairs():
    """A resembles B and B resembles C: C shares a cluster with the trained A."""
    chains = [
        Chain("EMD-1", "1AAA", "A", "A" * 30, trained=True),
        Chain("EMD-2", "2AAA", "A", "B" * 30, trained=False),
        Chain("EMD-3", "3AAA", "A", "C" * 30, trained=False),
        Chain("EMD-4", "4AAA", "A", "D" * 30, trained=False),
        Chain("EMD-5", "5AAA", "A", "E" * 30, trained=True),
        Chain("EMD-6", "6AAA", "A", "F" * 30, trained=True),
    ]
    ends = [(0, 1, 0.35), (1, 2, 0.40), (0, 3, 0.25), (3, 4, 0.28), (3, 5, 0.22)]
    pairs = pd.DataFrame(ends, columns=["first", "second", "identity"])
    rows = leakage_table(chains, pairs, 0.3).set_index("emdb_id")
    assert list(rows["shares_cluster"]) == [True, True, False]
    assert rows.loc["EMD-2", "identity"] == 0.35
    assert np.isnan(rows.loc["EMD-3", "identity"])
    assert tuple(rows.loc["EMD-4", ["identity", "nearest_emdb_id"]]) == (0.28, "EMD-5")


def evaluation_rows():
    """CC_mask of two conditions on two maps."""
    rows = []
    for method, values in {"enhanced": (0.8, 0.6), "enhanced_no_structure": (0.5, None)}.items():
        for number, value in enumerate(values):
            for low_passed in (True, False):
                rows.append(
                    {
                        **dict.fromkeys(EVALUATION.names),
                        "emdb_id": f"EMD-{number}",
                        "method": method,
                        "metric": "cc_mask",
                        "value": value if low_passed else 0.1,
                        "low_passed": low_passed,
                    }
                )
    return pd.DataFrame(rows)


def test_conditions_with_and_without_the_answer_stand_side_by_side():
    found = {one["method"]: one for one in conditions(evaluation_rows())}
    assert found["enhanced"]["uses_answer"]
    assert found["enhanced"]["cc_mask"] == pytest.approx(0.7)
    assert found["enhanced_no_structure"]["cc_mask"] == pytest.approx(0.5)
    assert (found["enhanced"]["maps"], found["enhanced_no_structure"]["maps"]) == (2, 1)
    assert found["enhanced_predicted"]["cc_mask"] is None
    assert not found["enhanced_predicted"]["uses_answer"]
    assert [one["maps"] for one in conditions(None)] == [0, 0, 0]


@pytest.fixture
def folder(tmp_path):
    structure = protein(ligand=None)
    (tmp_path / "models").mkdir()
    for name in ("1ABC.cif", "2abc.cif"):
        structure.make_mmcif_document().write_file(str(tmp_path / "models" / name))
    rows = [
        {**dict.fromkeys(SPLIT.names), "emdb_id": "EMD-1", "pdb_id": "1ABC", "split": "train"},
        {**dict.fromkeys(SPLIT.names), "emdb_id": "EMD-2", "pdb_id": "2ABC", "split": "test"},
    ]
    write_table(tmp_path / "split.parquet", pd.DataFrame(rows), SPLIT)
    write_table(tmp_path / "judged.parquet", evaluation_rows(), EVALUATION)
    return tmp_path


def test_the_command_writes_table_summary_and_warning(folder, capsys):
    leakage(
        folder / "split.parquet", folder / "models", folder / "leakage.parquet",
        [folder / "judged.parquet"], folder / "leakage.json",
    )  # fmt: skip
    rows = read_table(folder / "leakage.parquet", LEAKAGE)
    assert list(rows["identity"]) == [1.0]
    assert list(rows["nearest_pdb_id"]) == ["1ABC"]
    record = json.loads((folder / "leakage.json").read_text())
    assert record["maximum_identity"] == {"EMD-2": 1.0}
    assert record["chains_in_trained_clusters"] == 1
    assert record["warning"] == WARNING
    printed = capsys.readouterr()
    assert "EMD-2        highest identity to a trained chain: 100 %" in printed.out
    assert "1 of 1 evaluated chains are in a cluster (30 %)" in printed.out
    assert "uses the answer  CC_mask 0.700 (2 maps)" in printed.out
    assert WARNING in printed.err


def test_a_missing_model_is_told(folder):
    (folder / "models" / "2abc.cif").unlink()
    with pytest.raises(CryosamuError, match=r"has no model of 2ABC; expected 2ABC\.cif\.gz"):
        leakage(folder / "split.parquet", folder / "models", folder / "leakage.parquet")


def packed(folder, name):
    """A file of packed structures: the evaluated protein under another name."""
    path = folder / f"{name}.safetensors"
    write_library(path, [library_entry(protein(ligand=None), name)], {})
    return path


def checkpoint_of(folder, learnt, validated=(), lineage=()):
    settings = NetworkSettings(name="compact", base_channels=4, multipliers=(1, 2))
    record = {"structures": list(learnt), "validation_structures": list(validated)}
    summary = TrainingSummary(1, 1, "ab", lineage=tuple(lineage), structures=record)
    header = CheckpointHeader(
        settings, 8, EmbeddingSettings(), "cd", PreparationSettings(), summary
    )
    path = folder / "checkpoint.safetensors"
    save_checkpoint(path, build_network(settings, 8), header)
    return path


def compared(folder, capsys, **given):
    """Compare a split in which nothing but the evaluated entry stands."""
    rows = read_table(folder / "split.parquet", SPLIT)
    write_table(folder / "alone.parquet", rows[rows["split"] == "test"], SPLIT)
    leakage(
        folder / "alone.parquet", folder / "models", folder / "leakage.parquet",
        json_path=folder / "leakage.json", **given,
    )  # fmt: skip
    record = json.loads((folder / "leakage.json").read_text())
    return read_table(folder / "leakage.parquet", LEAKAGE), record, capsys.readouterr().err


def test_structures_that_maps_were_simulated_from_are_compared_too(folder, capsys):
    table, record, said = compared(folder, capsys, structures=[packed(folder, "9XYZ")])
    assert list(table["nearest_pdb_id"]) == ["9XYZ"]
    assert list(table["identity"]) == [1.0]
    assert record["chains_in_trained_clusters"] == 1
    assert record["simulated_structures"] == {"compared": 1, "missing": 0, "caution": None}
    assert "simulated" not in said


def test_only_what_the_checkpoint_has_seen_counts(folder, capsys):
    library = packed(folder, "9XYZ")
    path = checkpoint_of(folder, ())
    table, record, _ = compared(folder, capsys, checkpoint=path, structures=[library])
    assert table["identity"].isna().all()
    assert record["simulated_structures"]["compared"] == 0
    for seen in (
        {"learnt": ["9XYZ"]},
        {"learnt": (), "validated": ["9XYZ"]},
        {"learnt": (), "lineage": [{"learnt": ["EMD-7", "9XYZ"]}]},
    ):
        path = checkpoint_of(folder, **seen)
        table, record, said = compared(folder, capsys, checkpoint=path, structures=[library])
        assert list(table["nearest_pdb_id"]) == ["9XYZ"]
        assert record["simulated_structures"] == {"compared": 1, "missing": 0, "caution": None}
        assert "simulated" not in said


def test_what_was_learnt_from_and_cannot_be_compared_is_said(folder, capsys):
    path = checkpoint_of(folder, ["1LOST", "9XYZ"])
    _, record, said = compared(folder, capsys, checkpoint=path)
    assert record["simulated_structures"]["missing"] == 2
    assert "simulated from 2 structures that were not compared (1LOST, ...)" in said
    assert record["simulated_structures"]["caution"] in said
    _, record, said = compared(folder, capsys, checkpoint=path, structures=[packed(folder, "9XYZ")])
    assert "simulated from 1 structures that were not compared (1LOST, ...)" in said
