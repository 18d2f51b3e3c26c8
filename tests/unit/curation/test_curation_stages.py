import gemmi
import pandas as pd
import pytest
from real_proteins import PROTEINS
from test_map_filters import GOOD, MANGLED
from tiny_pairs import (
    entry,
    failed_record,
    helix,
    nucleotide,
    record_of,
    structure_of,
    write_cif,
)

from cryosamu.config import AlignmentSettings, CurationSettings
from cryosamu.curation.entry import entries_of
from cryosamu.curation.measurement import FailedMeasurement
from cryosamu.curation.stages import judge_maps, judge_metadata, judge_models, survivors
from cryosamu.errors import CryosamuError
from cryosamu.tables import CATALOGUE, CLUSTERS, DECISIONS, PAIRS, read_table, write_table

SETTINGS = CurationSettings()


def named(*entries):
    return {one.emdb_id: one for one in entries}


def told(decisions, emdb_id):
    rows = decisions[decisions["emdb_id"] == emdb_id]
    return list(zip(rows["filter"], rows["verdict"], strict=True))


def test_an_entry_that_one_filter_drops_is_not_seen_by_the_next():
    entries = named(
        entry(),
        entry(emdb_id="EMD-2", method="helical", resolution=30.0),
        entry(emdb_id="EMD-3", resolution=9.0, pdb_id=None),
        entry(emdb_id="EMD-4", pdb_id=None),
    )
    decisions = judge_metadata(entries, SETTINGS, 4.0)
    assert [name for name, _ in told(decisions, "EMD-9001")] == [
        "exclusion", "method", "resolution", "polymers", "fitted_model", "map_size",
    ]  # fmt: skip
    assert told(decisions, "EMD-2") == [("exclusion", "keep"), ("method", "drop")]
    assert told(decisions, "EMD-3")[1:] == [("method", "keep"), ("resolution", "drop")]
    assert told(decisions, "EMD-4")[-1] == ("fitted_model", "drop")
    assert set(survivors(entries, decisions)) == {"EMD-9001"}
    row = decisions[decisions["emdb_id"] == "EMD-3"].iloc[-1]
    assert (row["value"], row["threshold"]) == (9.0, 8.0)


def model_file(folder, pdb_id, chains, sequences=None):
    path = write_cif(structure_of(chains, sequences), folder / f"{pdb_id}.cif.gz")
    return record_of(pdb_id, "model", path)


def protein(name):
    names = gemmi.expand_one_letter_sequence(PROTEINS[name], gemmi.ResidueKind.AA)
    return {"A": helix(len(names), names)}, {"A": names}


def test_one_bad_model_never_stops_the_rest(tmp_path):
    (tmp_path / "broken.cif.gz").write_bytes(b"\x1f\x8b\x08nothing")
    broken = failed_record("1BAD", "model", None).model_copy(
        update={"status": "ok", "path": str(tmp_path / "broken.cif.gz")}
    )
    strand = {"A": helix(40), "R": [nucleotide(n + 1, "A") for n in range(6)]}
    half = {"A": list(helix(60))[:30]}
    records = {
        "1HEN": model_file(tmp_path, "1HEN", *protein("hen lysozyme")),
        "1HUM": model_file(tmp_path, "1HUM", *protein("human lysozyme")),
        "1UBI": model_file(tmp_path, "1UBI", *protein("ubiquitin")),
        "1RNA": model_file(tmp_path, "1RNA", strand),
        "1HAL": model_file(tmp_path, "1HAL", half, {"A": ["ALA"] * 60}),
        "1BAD": broken,
        "1NOT": failed_record("1NOT", "model", "files.example/1NOT.cif.gz: 404, not there."),
    }
    pdb_ids = [*records, "1GON"]
    entries = named(
        *(
            entry(emdb_id=f"EMD-{n + 1}", pdb_id=pdb_id, resolution=7.0 - 0.5 * n)
            for n, pdb_id in enumerate(pdb_ids)
        )
    )
    decisions, clusters = judge_models(entries, records, SETTINGS, threads=2)
    for one, other in zip(
        judge_models(entries, records, SETTINGS), (decisions, clusters), strict=True
    ):
        pd.testing.assert_frame_equal(one, other)
    ends = {pdb_id: told(decisions, f"EMD-{n + 1}")[-1] for n, pdb_id in enumerate(pdb_ids)}
    assert ends == {
        "1HEN": ("redundancy", "drop"),
        "1HUM": ("redundancy", "keep"),
        "1UBI": ("redundancy", "keep"),
        "1RNA": ("nucleic_acid", "drop"),
        "1HAL": ("completeness", "drop"),
        "1BAD": ("model_file", "fail"),
        "1NOT": ("model_file", "fail"),
        "1GON": ("model_file", "fail"),
    }
    reasons = dict(zip(decisions["pdb_id"], decisions["reason"], strict=True))
    assert reasons["1NOT"] == "files.example/1NOT.cif.gz: 404, not there."
    assert "broken.cif.gz: is cut short or damaged" in reasons["1BAD"]
    assert "no record of a download" in reasons["1GON"]
    assert dict(zip(clusters["emdb_id"], clusters["cluster"], strict=True)) == {
        "EMD-1": "EMD-1",
        "EMD-2": "EMD-1",
        "EMD-3": "EMD-3",
    }
    for name, frame, schema in (("d", decisions, DECISIONS), ("c", clusters, CLUSTERS)):
        write_table(tmp_path / name, frame, schema)
        assert len(read_table(tmp_path / name, schema)) == len(frame)


def test_a_surprise_in_a_library_is_a_failure_of_that_entry_alone(tmp_path, monkeypatch):
    def surprise(structure, deposited_residues):
        raise ZeroDivisionError("nobody expected this")

    monkeypatch.setattr("cryosamu.curation.stages.describe_model", surprise)
    records = {"9TST": model_file(tmp_path, "9TST", {"A": helix(40)})}
    decisions, clusters = judge_models(named(entry()), records, SETTINGS)
    assert told(decisions, "EMD-9001") == [("model_file", "fail")]
    assert "ZeroDivisionError: nobody expected this" in decisions["reason"].iloc[0]
    assert clusters.empty


def test_a_lack_of_memory_is_not_laid_at_the_door_of_an_entry(tmp_path, monkeypatch):
    def exhausted(structure, deposited_residues):
        raise MemoryError

    monkeypatch.setattr("cryosamu.curation.stages.describe_model", exhausted)
    records = {"9TST": model_file(tmp_path, "9TST", {"A": helix(40)})}
    with pytest.raises(MemoryError):
        judge_models(named(entry()), records, SETTINGS)


def measured(number, **changes):
    return GOOD.model_copy(update={"emdb_id": f"EMD-{number}"} | changes)


def judged_maps():
    entries = named(*(entry(emdb_id=f"EMD-{n}") for n in range(1, 7)))
    measurements = {
        "EMD-1": measured(1),
        "EMD-2": measured(2, cc_mask=0.5),
        "EMD-3": measured(3, displacement=25.5, correlation_best=0.9, inside=0.5),
        "EMD-4": FailedMeasurement(
            emdb_id="EMD-4", pdb_id="9TST", error="The archive is silent.", resolution=5.0,
            map_sha256=None, model_sha256=None,
        ),
        "EMD-5": measured(5, pdb_id="1OLD"),
    }  # fmt: skip
    clusters = {key: key for key in entries}
    return judge_maps(entries, measurements, clusters, SETTINGS)


def test_measurements_meet_the_thresholds(tmp_path):
    decisions, pairs = judged_maps()
    assert told(decisions, "EMD-1") == [
        ("measurement", "keep"), ("alignment", "keep"), ("inside", "keep"), ("correlation", "keep"),
    ]  # fmt: skip
    assert told(decisions, "EMD-2")[-1] == ("correlation", "drop")
    assert told(decisions, "EMD-3")[-1] == ("alignment", "drop")
    for number in (4, 5, 6):
        assert told(decisions, f"EMD-{number}") == [("measurement", "fail")]
    assert pairs.to_dict("records") == [
        {
            "emdb_id": "EMD-1", "pdb_id": "9TST", "resolution": 5.0, "contour_level": 0.1,
            "cluster": "EMD-1", "correlation": 0.66, "simulated": False, "repaired": False,
        }
    ]  # fmt: skip
    write_table(tmp_path / "pairs.parquet", pairs, PAIRS)


def test_decisions_of_another_catalogue_are_refused():
    decisions = judge_metadata(named(entry()), SETTINGS, 4.0)
    with pytest.raises(CryosamuError, match="EMD-9001, which the catalogue does not list"):
        survivors(named(entry(emdb_id="EMD-1")), decisions)


def test_an_entry_that_no_filter_saw_does_not_survive():
    decisions = judge_metadata(named(entry()), SETTINGS, 4.0)
    both = named(entry(), entry(emdb_id="EMD-1"))
    assert set(survivors(both, decisions)) == {"EMD-9001"}


def test_absent_values_of_the_catalogue_are_none(tmp_path):
    row = dict.fromkeys(CATALOGUE.names) | {"emdb_id": "EMD-7", "resolution": 5.0}
    write_table(tmp_path / "catalogue.parquet", pd.DataFrame([row]), CATALOGUE)
    table = read_table(tmp_path / "catalogue.parquet", CATALOGUE)
    only = entries_of(table)["EMD-7"]
    assert only.resolution == 5.0
    assert only.pdb_id is only.protein_entities is only.map_kilobytes is only.simulated is None
    with pytest.raises(CryosamuError, match="lists EMD-7 twice"):
        entries_of(pd.concat([table, table]))


def test_a_pair_whose_model_is_repaired_is_marked_and_judged_in_its_new_place():
    entries, clusters = named(entry(emdb_id="EMD-1")), {"EMD-1": "EMD-1"}
    misplaced = {"EMD-1": MANGLED.model_copy(update={"emdb_id": "EMD-1"})}
    settings = CurationSettings(alignment=AlignmentSettings(repair=True))
    decisions, pairs = judge_maps(entries, misplaced, clusters, settings)
    assert told(decisions, "EMD-1")[1:] == [
        ("alignment", "keep"), ("inside", "keep"), ("correlation", "keep"),
    ]  # fmt: skip
    assert pairs[["repaired", "correlation"]].to_dict("records") == [
        {"repaired": True, "correlation": 0.72}
    ]
    decisions, pairs = judge_maps(entries, misplaced, clusters, SETTINGS)
    assert told(decisions, "EMD-1")[-1] == ("alignment", "drop")
    assert pairs.empty
