"""A data set is locked, rebuilt from the lock, and held against it."""

import json
import shutil

import pytest
from small_data_set import PAIRS_KEPT, RECORDS, fetched, invoke, lock, run
from test_map_filters import MOVED

from cryosamu.archive.record import read_fetches, write_fetches, write_record
from cryosamu.curation.measurement import FailedMeasurement
from cryosamu.curation.measurement_table import read_measurements, write_measurements
from cryosamu.errors import CryosamuError
from cryosamu.tables import CATALOGUE, DECISIONS, SPLIT, read_table, write_table

VERIFY = (
    *("verify", "dataset.lock", *RECORDS),
    *("--config", "c.yaml", "-o", "verified.json"),
)


def verify(*options):
    return run(*VERIFY, *options)


def fails(finished):
    """Verify, and return the lines that name the differences."""
    result = invoke(*VERIFY)
    assert isinstance(result.exception, CryosamuError), result.output
    assert not (finished / "verified.json").exists()
    lines = [one for one in result.stderr.splitlines() if ": expected " in one]
    count = f"{len(lines)} difference{'s' * (len(lines) > 1)} from what was locked"
    assert count in str(result.exception)
    return lines


def test_the_lock_names_everything_that_a_rebuild_needs(finished):
    locked = json.loads((finished / "dataset.lock").read_text())
    assert list(locked["pairs"]) == list(PAIRS_KEPT)
    pair = locked["pairs"]["EMD-1202"]
    assert pair["pair"]["split"] == "train"
    assert pair["pair"]["cluster"] == "EMD-1202"
    assert pair["model"] == {
        "bytes": 17,
        "sha256": fetched(finished, "9BBB", "model").sha256,
        "url": "files.example/9BBB.gz",
    }
    assert pair["measured"]["cc_mask"] == 0.70
    assert pair["filters"]["correlation"]["threshold"] == 0.65
    assert pair["filters"]["correlation"]["reason"] == "Its CC_mask, 0.700, reaches 0.65."
    assert pair["catalogue"]["map_kilobytes"] == 500_000
    assert locked["settings"]["curation"]["correlation"] == {"kind": "cc_mask", "minimum": 0.65}
    assert "locked" not in locked["settings"]["catalogue"]
    assert locked["splits"] == {"train": 1, "validation": 0, "test": 1}
    assert locked["funnel"]["resolution"] == {"seen": 5, "dropped": 1, "failed": 0}
    assert locked["rejected"] == {"EMD-1203": "correlation", "EMD-1205": "resolution"}
    assert locked["failed"] == {"EMD-1204": "measurement"}
    assert locked["software"]["python"]


def test_the_same_data_set_has_the_same_lock(finished):
    before = (finished / "dataset.lock").read_bytes()
    decisions = read_table("decisions.parquet", DECISIONS)
    write_table("decisions.parquet", decisions, DECISIONS)
    lock()
    assert (finished / "dataset.lock").read_bytes() == before


def test_unlocking_gives_the_tables_of_the_locked_pairs(finished):
    run("unlock", "dataset.lock", "--catalogue", "c.parquet", "--split", "s.parquet")
    assert (finished / "s.parquet").read_bytes() == (finished / "split.parquet").read_bytes()
    whole = read_table("catalogue.parquet", CATALOGUE)
    write_table("part.parquet", whole[whole["emdb_id"].isin(PAIRS_KEPT)], CATALOGUE)
    assert (finished / "c.parquet").read_bytes() == (finished / "part.parquet").read_bytes()


def test_a_faithful_rebuild_is_verified(finished):
    told = verify()
    assert "all 2 pairs are as locked" in told.stderr
    assert "note:" not in told.stderr
    assert json.loads((finished / "verified.json").read_text())["pairs"] == 2
    (finished / "c.yaml").write_text("{catalogue: {locked: dataset.lock}, training: {steps: 9}}")
    first = (finished / "verified.json").read_bytes()
    verify()
    assert (finished / "verified.json").read_bytes() == first


def test_other_versions_are_noted_and_do_not_fail(finished):
    path = finished / "dataset.lock"
    locked = json.loads(path.read_text())
    locked["software"]["gemmi"] = "0.0.1"
    path.write_text(json.dumps(locked))
    assert "note: gemmi: locked with 0.0.1, now " in verify().stderr


def test_a_changed_file_is_found_though_its_record_is_as_it_was(finished):
    path = finished / "store" / "EMD-1202.gz"
    path.write_bytes(path.read_bytes()[:-1] + b"X")
    (line,) = fails(finished)
    assert line.startswith("EMD-1202 map sha256: expected ")
    path.write_bytes(b"short")
    assert len(fails(finished)) == 2
    path.unlink()
    assert "nothing at" in fails(finished)[0]


def test_a_file_that_could_not_be_had_is_named_with_the_archives_words(finished):
    record = fetched(finished, "EMD-0201", "map").model_copy(
        update={"status": "failed", "path": None, "error": "files.example: 404, not there."}
    )
    write_record(finished / "maps" / "EMD-0201.json", record)
    (line,) = fails(finished)
    assert line == "EMD-0201 map: expected a fetched file, found files.example: 404, not there."
    (finished / "maps" / "EMD-0201.json").unlink()
    assert fails(finished)[0].endswith("no record of a fetch")


def test_a_model_that_is_missing_is_named(finished):
    table = finished / "models" / "0.parquet"
    write_fetches(table, [one for one in read_fetches(table) if one.id != "9BBB"])
    (line,) = fails(finished)
    assert line.startswith("EMD-1202 model 9BBB: expected a fetched file")


def measured():
    return {one.emdb_id: one for one in read_measurements("measurements/0.parquet")}


def test_tables_that_contradict_each_other_are_not_believed(finished):
    shutil.copy("models/0.parquet", "models/1.parquet")
    verify()  # the same twice
    other = [one.model_copy(update={"bytes": 1}) for one in read_fetches("models/0.parquet")]
    write_fetches(finished / "models" / "1.parquet", other)
    with pytest.raises(CryosamuError, match=r"models/1\.parquet: tells of 9AAA otherwise than"):
        verify()
    (finished / "models" / "1.parquet").unlink()
    others = [one.model_copy(update={"inside": 0.5}) for one in measured().values()]
    write_measurements(finished / "measurements" / "1.parquet", others)
    with pytest.raises(CryosamuError, match=r"tells of EMD-0201 otherwise than measurements/0"):
        verify()


def remeasured(**changes):
    before = measured()
    before["EMD-0201"] = before["EMD-0201"].model_copy(update=changes)
    write_measurements("measurements/0.parquet", before.values())


def forget_measurement():
    others = [one for key, one in measured().items() if key != "EMD-0201"]
    write_measurements("measurements/0.parquet", others)


def test_numbers_agree_within_the_tolerance(finished):
    before = measured()["EMD-0201"]
    remeasured(correlation_best=0.61009)
    verify()
    remeasured(correlation_best=0.61011)
    assert fails(finished) == ["EMD-0201 correlation_best: expected 0.61, found 0.61011"]
    verify("--tolerance", "0.001")
    remeasured(correlation_best=0.61, resolved_volumes=500.04)  # a share of its size
    verify()
    remeasured(resolved_volumes=500.0, shift=(0.1, -0.2, 0.019))
    verify()  # where a search ends is not exact
    remeasured(shift=(0.1, -0.2, 5.0))
    assert fails(finished) == ["EMD-0201 shift: expected [0.1, -0.2, 0.0], found [0.1, -0.2, 5.0]"]
    moved = before.motion.model_copy(update={"translation": (0.1, -0.2, 0.5)})
    remeasured(shift=before.shift, motion=moved, cc_box=None, repaired=MOVED)
    assert fails(finished) == [
        "EMD-0201 cc_box: expected 0.7, found None",
        "EMD-0201 motion.translation: expected [0.1, -0.2, 0.0], found [0.1, -0.2, 0.5]",
        *(
            f"EMD-0201 repaired.{name}: expected None, found {value}"
            for name, value in sorted(MOVED.model_dump().items())
        ),
    ]


def test_a_measurement_of_other_files_or_none_is_named(finished):
    remeasured(map_sha256="0" * 64)
    (line,) = fails(finished)
    assert line.startswith("EMD-0201 measurement of map sha256: expected ")
    remeasured(pdb_id="9ZZZ")
    assert fails(finished) == ["EMD-0201 measurement model: expected 9AAA, found 9ZZZ"]
    others = measured()
    failed = FailedMeasurement(
        emdb_id="EMD-0201", pdb_id="9AAA", error="It is no map.", resolution=4.2,
        map_sha256=None, model_sha256=None,
    )  # fmt: skip
    write_measurements("measurements/0.parquet", (others | {"EMD-0201": failed}).values())
    assert fails(finished) == ["EMD-0201 measurement: expected numbers, found It is no map."]
    forget_measurement()
    assert fails(finished) == ["EMD-0201 measurement: expected numbers, found none"]


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ("curation: {correlation: {minimum: 0.7}}",
         "setting curation.correlation.minimum: expected 0.65, found 0.7"),
        ("split: {pinned: {EMD-1: test}}",
         "setting split.pinned.EMD-1: expected nothing, found test"),
        ("archive: {maximum_map_gigabytes: 1}",
         "setting archive.maximum_map_gigabytes: expected 4.0, found 1.0"),
        ("catalogue: {snapshot: later}",
         "setting catalogue.snapshot: expected 2026-11-22, found later"),
    ],
)  # fmt: skip
def test_a_setting_that_differs_is_named(finished, settings, line):
    (finished / "c.yaml").write_text(settings)
    assert fails(finished) == [line]


def test_an_incomplete_data_set_is_not_locked(finished):
    shutil.copytree(finished, finished / "whole")
    forget_measurement()
    with pytest.raises(CryosamuError, match="EMD-0201: there is no measurement"):
        lock()
    shutil.copytree(finished / "whole", finished, dirs_exist_ok=True)
    remeasured(model_sha256="0" * 64)
    with pytest.raises(CryosamuError, match="9AAA: another file was measured"):
        lock()
    shutil.copytree(finished / "whole", finished, dirs_exist_ok=True)
    (finished / "maps" / "EMD-1202.json").unlink()
    with pytest.raises(CryosamuError, match="EMD-1202: there is no record"):
        lock()
    shutil.copytree(finished / "whole", finished, dirs_exist_ok=True)
    split = read_table("split.parquet", SPLIT)
    write_table("split.parquet", split[:1], SPLIT)
    with pytest.raises(CryosamuError, match="EMD-1202: was kept by all filters, but"):
        lock()
    decisions = read_table("decisions.parquet", DECISIONS)
    write_table("decisions.parquet", decisions[decisions["emdb_id"] != "EMD-1203"], DECISIONS)
    with pytest.raises(CryosamuError, match="EMD-1203: is in the catalogue, but no filter"):
        lock()
    write_table("decisions.parquet", decisions, DECISIONS)
    write_table("split.parquet", split.assign(emdb_id=["EMD-0201", "EMD-1203"]), SPLIT)
    with pytest.raises(CryosamuError, match="'correlation' did not keep it"):
        lock()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda text: text.replace('"format": 1', '"format": 2'), "has format 2, where this"),
        (lambda text: text[: len(text) // 2], "is not a lock of a data set"),
        (lambda text: '{"archive": {}}', "is not a lock of a data set \\('format': Field required"),
        (lambda text: text.replace('"bytes"', '"bites"', 1), "EMD-0201.map.bytes"),
        (lambda text: text.replace('"cluster"', '"kluster"'), "the lock has 'kluster'"),
        (lambda text: text.replace('"resolution": 4.2', '"resolution": "x"'), "wrong type"),
    ],
)
def test_a_damaged_lock_is_one_sentence_and_leaves_nothing(finished, change, sentence):
    path = finished / "dataset.lock"
    path.write_text(change(path.read_text()))
    with pytest.raises(CryosamuError, match=sentence) as caught:
        run("unlock", "dataset.lock", "--catalogue", "c.parquet", "--split", "s.parquet")
    assert "\n" not in str(caught.value)
    assert not (finished / "c.parquet").exists()
