"""The data set as a whole: retries, the lock, repairs."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import pyarrow.parquet as parquet
import pytest
import yaml
from harness import Pipeline

pytestmark = pytest.mark.workflow

ALWAYS_TRUNCATED = "EMD-900109"
NEVER_THERE = "EMD-900108"
ASK_AGAIN = {"archive": {"retry_failed": True}}


@pytest.mark.parametrize("kind", ["models", "maps"])
def test_a_shard_a_job_and_not_a_job_a_file(finished: Pipeline, kind: str) -> None:
    tables = sorted((finished.folder / f"results/fetch/{kind}").glob("*"))
    settings = yaml.safe_load((Path(__file__).parents[2] / "workflow/demo.yaml").read_text())
    assert len(tables) == settings["shards"]["candidates"]
    fetched = [row for table in tables for row in parquet.read_table(table).to_pylist()]
    assert len(fetched) > 5 * len(tables)


def test_what_was_refused_is_asked_for_again_and_nothing_else(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    before = pipeline.checksums()
    (shard,) = {shard_of(one, pipeline) for one in (ALWAYS_TRUNCATED, NEVER_THERE)}
    run = pipeline.run(ASK_AGAIN)
    assert run.status == 0, run.text
    assert run.jobs["fetch_maps"] == run.jobs["measure_pairs"] == 1
    said = pipeline.logs(f"fetch/maps/{shard}.log")
    assert re.search(r": 0 fetched, \d+ already in the store, 2 failed", said)
    assert ": 0 pairs measured" in pipeline.logs(f"curate/measurements/{shard}.log")
    again = {"fetch_maps", "measure_pairs", "filter_maps", "split_pairs", "draw_funnel"}
    again |= {"repair_models"}
    # Whether the lists are written anew depends on whether the repairs end before the split.
    done = set(run.jobs) - {"report", "deal_pairs"}
    assert done == again, "the same answers, but more was done again"
    after = pipeline.checksums()
    after.pop("fetch/asked_again.json")
    assert after == before

    healed = tmp_path / "healed"
    shutil.copytree(pipeline.archive, healed)
    (healed / "truncated.json").write_text("[]")
    pipeline.archive = healed
    dry = pipeline.run(ASK_AGAIN, "--dry-run", "--", "dataset")
    assert dry.status == 0, dry.text
    run = pipeline.run(ASK_AGAIN, "--", "dataset")
    assert run.status == 0, run.text
    assert run.jobs["fetch_maps"] == run.jobs["measure_pairs"] == 1
    said = pipeline.logs(f"fetch/maps/{shard}.log")
    assert re.search(r": 1 fetched, \d+ already in the store, 1 failed", said)
    assert ": 1 pairs measured" in pipeline.logs(f"curate/measurements/{shard}.log")
    assert status_of(pipeline, ALWAYS_TRUNCATED) == "ok"
    assert status_of(pipeline, NEVER_THERE) == "failed"
    run = pipeline.run(ASK_AGAIN, "--", "dataset")
    assert run.jobs["fetch_maps"] == 1
    # Two real runs asked for it again, and this one; the dry run did not count.
    counts = json.loads((pipeline.folder / "results/fetch/asked_again.json").read_text())
    assert counts == {f"maps/{shard}": 3}


def fetched_maps(pipeline: Pipeline) -> dict[str, tuple[str, str]]:
    """EMDB id to the shard and the status of its map."""
    tables = sorted((pipeline.folder / "results/fetch/maps").glob("*.parquet"))
    return {
        row["id"]: (table.stem, row["status"])
        for table in tables
        for row in parquet.read_table(table).to_pylist()
    }


def shard_of(emdb_id: str, pipeline: Pipeline) -> str:
    return fetched_maps(pipeline)[emdb_id][0]


def status_of(pipeline: Pipeline, emdb_id: str) -> str:
    return fetched_maps(pipeline)[emdb_id][1]


def test_another_number_of_shards_makes_nothing_anew(pipeline: Pipeline) -> None:
    split = pipeline.folder / "results/split/split.parquet"
    before = split.read_bytes()
    run = pipeline.run({"shards": {"candidates": 3}}, "--", "dataset")
    assert run.status == 0, run.text
    assert run.jobs["fetch_maps"] == run.jobs["measure_pairs"] == 3
    assert len(re.findall(": 0 pairs measured", pipeline.logs("curate/measurements/*.log"))) == 3
    assert len(re.findall(": 0 fetched", pipeline.logs("fetch/*/*.log"))) == 6
    assert split.read_bytes() == before


def test_a_lock_rebuilds_exactly_its_data_set_without_asking_for_candidates(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    lock = tmp_path / "dataset.lock"
    shutil.copy(pipeline.folder / "results/dataset.lock", lock)
    silent = tmp_path / "silent"
    shutil.copytree(pipeline.archive, silent)
    for record in (silent / "www.ebi.ac.uk").rglob("*.json"):
        record.unlink()
    shutil.rmtree(silent / "data.rcsb.org")
    rebuilt = Pipeline(tmp_path / "rebuilt", silent)
    locked = {"catalogue": {"locked": str(lock)}}
    run = rebuilt.run(locked, "--", "dataset")
    assert run.status == 0, run.text
    split = Path("results/split/split.parquet")
    assert (rebuilt.folder / split).read_bytes() == (pipeline.folder / split).read_bytes()
    assert json.loads((rebuilt.folder / "results/curate/verified.json").read_text())[
        "pairs"
    ] == len(parquet.read_table(pipeline.folder / split))
    assert rebuilt.run(locked, "--", "dataset").nothing_to_do

    stricter = locked | {"curation": {"correlation": {"minimum": 0.7}}}
    run = rebuilt.run(stricter, "--", "dataset")
    assert run.status != 0
    said = rebuilt.logs("split/verify_lock.log")
    assert "curation.correlation.minimum: expected 0.65, found 0.7" in said
    assert "1 difference from what was locked" in said


def test_misaligned_models_are_repaired_where_that_is_wanted(pipeline: Pipeline) -> None:
    before = pairs_of(pipeline)
    run = pipeline.run({"curation": {"alignment": {"repair": True}}}, "--", "dataset")
    assert run.status == 0, run.text
    assert not {"fetch_maps", "fetch_models", "measure_pairs"} & set(run.jobs)
    gained = {key: row for key, row in pairs_of(pipeline).items() if key not in before}
    assert gained
    assert all(row["repaired"] and row["correlation"] > 0.65 for row in gained.values())
    assert not any(row["repaired"] for row in before.values())
    moved = parquet.read_table(pipeline.folder / "results/curate/repaired.parquet").to_pylist()
    assert {row["emdb_id"] for row in moved} == set(gained)
    moved_to = {row["emdb_id"]: row["path"] for row in moved}
    for row in moved:
        content = (pipeline.folder / row["path"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == row["sha256"]
    held_out = {key for key, row in gained.items() if row["split"] == "test"}
    shards = [
        parquet.read_table(path) for path in pipeline.folder.glob("results/prepare/*.parquet")
    ]
    prepared = {row["emdb_id"] for shard in shards for row in shard.to_pylist()}
    assert set(gained) & prepared == set(gained) - held_out
    assert all(
        row["model"] == moved_to.get(row["emdb_id"], row["deposited_model"])
        for row in dealt(pipeline)
    )


def dealt(pipeline: Pipeline) -> list[dict]:
    """The lines of all work lists of pairs."""
    lists = sorted(pipeline.folder.glob("results/split/*/*.jsonl"))
    return [json.loads(line) for path in lists for line in path.read_text().splitlines()]


def pairs_of(pipeline: Pipeline) -> dict[str, dict]:
    rows = parquet.read_table(pipeline.folder / "results/split/split.parquet").to_pylist()
    return {row["emdb_id"]: row for row in rows}
