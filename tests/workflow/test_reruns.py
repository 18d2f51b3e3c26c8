"""Each stage reruns when its inputs change, and only then: the real Snakemake on the demo."""

from __future__ import annotations

import os
import re
import shutil
import time
import zipfile
from pathlib import Path

import pyarrow.parquet as parquet
import pytest
from harness import EMBEDDED, LATE_ENTRY, Pipeline

pytestmark = pytest.mark.workflow

MADE = r"^(\d+) [\w ]+, \d+ kept$"
KEPT = r", (\d+) kept$"
AFTER_TRAINING = {
    *("train_network", "enhance_maps", "evaluate_maps", "control_maps"),
    *("compare_methods", "compare_with_training", "write_report"),
}


def test_a_second_run_does_nothing(pipeline: Pipeline) -> None:
    run = pipeline.run()
    assert run.status == 0, run.text
    assert run.nothing_to_do
    assert not run.jobs


def test_snakemakes_own_report_holds_the_page_and_the_tables(pipeline: Pipeline) -> None:
    run = pipeline.run(None, "--report", "report.zip")
    assert run.status == 0, run.text
    with zipfile.ZipFile(pipeline.folder / "report.zip") as file:
        names = {Path(name).name for name in file.namelist()}
    assert {"report.html", "funnel.svg", "summary.parquet"} <= names


def test_touching_files_without_changing_them_reruns_nothing(pipeline: Pipeline) -> None:
    later = time.time() + 5
    touched = [path for top in ("results", "store") for path in (pipeline.folder / top).rglob("*")]
    assert any(path.stat().st_size > 1_000_000 for path in touched), "no large file among them"
    for path in touched:
        os.utime(path, (later, later))
    run = pipeline.run()
    assert run.status == 0, run.text
    assert run.nothing_to_do


def test_another_device_or_port_reruns_nothing(pipeline: Pipeline) -> None:
    # The harness gives every call a port of its own.
    auto = {stage: {"device": "auto"} for stage in ("embedding", "training", "enhancement")}
    run = pipeline.run(auto)
    assert run.status == 0, run.text
    assert run.nothing_to_do


def test_a_training_setting_reruns_training_and_what_follows(pipeline: Pipeline) -> None:
    run = pipeline.run({"training": {"learning_rate": 0.001}})
    assert run.status == 0, run.text
    assert set(run.jobs) - {"report"} == AFTER_TRAINING
    assert "training from scratch" in pipeline.logs("train/*.log")
    for stage in ("enhance/enhanced/*.log", "evaluate/*.log"):
        assert counted(pipeline, stage, KEPT) == 0, "judged by the former network"


def test_pairs_dealt_to_other_shards_have_nothing_done_for_them_again(pipeline: Pipeline) -> None:
    checkpoint = pipeline.folder / "results/train/main/checkpoint.safetensors"
    summary = pipeline.folder / "results/evaluate/summary.parquet"
    before = [path.read_bytes() for path in (checkpoint, summary)]
    shutil.rmtree(pipeline.folder / "logs")
    run = pipeline.run({"shards": {"pairs": 3}})
    assert run.status == 0, run.text
    assert not {"fetch_maps", "measure_pairs", "split_pairs"} & set(run.jobs)
    assert run.jobs["prepare_pairs"] == run.jobs["evaluate_maps"] == 3
    for stage in ("prepare", "embed/training", "enhance/*", "evaluate"):
        assert counted(pipeline, f"{stage}/*.log", MADE) == 0, stage
        assert counted(pipeline, f"{stage}/*.log", KEPT) > 0, stage
    assert "nothing to train" in pipeline.logs("train/*.log")
    assert [path.read_bytes() for path in (checkpoint, summary)] == before


def test_the_correlation_threshold_refilters_without_fetching_or_encoding(
    pipeline: Pipeline,
) -> None:
    decisions = pipeline.folder / "results/curate/decisions.parquet"
    before = decisions.read_bytes()
    run = pipeline.run({"curation": {"correlation": {"minimum": 0.95}}}, "--until", "split_pairs")
    assert run.status == 0, run.text
    assert set(run.jobs) == {"filter_maps", "split_pairs"}
    assert decisions.read_bytes() != before


def test_a_lower_threshold_goes_through_to_the_report(pipeline: Pipeline) -> None:
    before = encodings(pipeline)
    run = pipeline.run({"curation": {"correlation": {"minimum": -1.0}}})
    assert run.status == 0, run.text
    assert not {"fetch_maps", "fetch_models", "measure_pairs", "query_catalogue"} & set(run.jobs)
    # The two that the correlation alone had stopped are encoded; all is made in this one call.
    assert encodings(pipeline) - before == 2
    split = rows_of(pipeline, "results/split/split.parquet")
    learnt = {row["emdb_id"] for row in split if row["split"] != "test"}
    for table, expected in (
        ("prepare", learnt),
        ("enhance/enhanced", {row["emdb_id"] for row in split} - learnt),
        ("evaluate", {row["emdb_id"] for row in split} - learnt),
    ):
        shards = [f"results/{table}/{shard}.parquet" for shard in "01"]
        found = {row["emdb_id"] for shard in shards for row in rows_of(pipeline, shard)}
        assert found == expected, table
    assert pipeline.run({"curation": {"correlation": {"minimum": -1.0}}}).nothing_to_do


def rows_of(pipeline: Pipeline, table: str) -> list[dict]:
    return parquet.read_table(pipeline.folder / table).to_pylist()


def counted(pipeline: Pipeline, logs: str, pattern: str) -> int:
    """The sum of a number that the logs of a stage's shards say."""
    return sum(map(int, re.findall(pattern, pipeline.logs(logs), re.MULTILINE)))


def encodings(pipeline: Pipeline) -> int:
    return len(list(pipeline.folder.glob("store/embeddings/**/*.npz")))


def test_a_new_entry_is_the_only_one_fetched_encoded_and_prepared(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    grown = tmp_path / "embedded"
    shutil.copytree(EMBEDDED, grown)
    assert (grown / f"www.ebi.ac.uk/emdb/api/entry/{LATE_ENTRY}.json").is_file()
    pipeline.archive = grown
    before = encodings(pipeline)
    run = pipeline.run({"catalogue": {"snapshot": "grown"}})
    assert run.status == 0, run.text
    assert run.jobs["fetch_maps"] == run.jobs["fetch_models"] == run.jobs["measure_pairs"] == 1
    for kind, done in (
        ("fetch/maps", r": 1 fetched, \d+ already in the store"),
        ("fetch/models", r": 1 fetched, \d+ already in the store"),
        ("curate/measurements", r": 1 pairs measured, \d+ kept"),
    ):
        assert len(re.findall(done, pipeline.logs(f"{kind}/*.log"))) == 1, kind
    assert run.jobs["prepare_pairs"] == run.jobs["embed_models"] == 1
    for stage, verb in (("prepare", "prepared"), ("embed/training", "embedded")):
        said = re.findall(rf"^1 {verb}, [1-9]\d* kept$", pipeline.logs(f"{stage}/*.log"), re.M)
        assert len(said) == 1, stage
    assert encodings(pipeline) - before == 1
    log = pipeline.logs("train/*.log")
    assert "continuing from checkpoint" in log
    assert "1 new pair" in log
