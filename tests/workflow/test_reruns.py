"""Each stage reruns when its inputs change, and only then: the real Snakemake on the demo."""

from __future__ import annotations

import os
import re
import shutil
import time
from pathlib import Path

import pytest
from harness import EMBEDDED, LATE_ENTRY, Pipeline

pytestmark = pytest.mark.workflow

AFTER_TRAINING = {
    *("train_network", "enhance_map", "evaluate_map", "control_map"),
    *("compare_methods", "compare_with_training", "write_report"),
}


def test_a_second_run_does_nothing(pipeline: Pipeline) -> None:
    run = pipeline.run()
    assert run.status == 0, run.text
    assert run.nothing_to_do
    assert not run.jobs


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
    run = pipeline.run({"training": {"device": "auto"}, "enhancement": {"device": "auto"}})
    assert run.status == 0, run.text
    assert run.nothing_to_do


def test_a_training_setting_reruns_training_and_what_follows(pipeline: Pipeline) -> None:
    run = pipeline.run({"training": {"learning_rate": 0.001}})
    assert run.status == 0, run.text
    assert set(run.jobs) - {"report"} == AFTER_TRAINING
    assert "training from scratch" in pipeline.logs("train/*.log")


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
    # The two that the correlation alone had stopped are encoded, and prepared unless held out.
    assert 1 <= run.jobs["embed_model"] == run.jobs["prepare_pair"] <= 2
    assert encodings(pipeline) - before == 2


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
    assert run.jobs["prepare_pair"] == 1
    assert run.jobs["embed_model"] == 1
    assert encodings(pipeline) - before == 1
    log = pipeline.logs("train/*.log")
    assert "continuing from checkpoint" in log
    assert "1 new pair" in log
