"""Fixtures: one finished run of the workflow on the embedded archive, copied by each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from harness import EMBEDDED, LATE_ENTRY, Pipeline, without_entry


@pytest.fixture(scope="session")
def smaller_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded archive without one entry, so that a test can add it."""
    archive = tmp_path_factory.mktemp("archive") / "embedded"
    shutil.copytree(EMBEDDED, archive)
    return without_entry(archive, LATE_ENTRY)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, smaller_archive: Path) -> Pipeline:
    """A pipeline that ran from nothing to the report; tests work on copies."""
    pipeline = Pipeline(tmp_path_factory.mktemp("finished") / "run", smaller_archive)
    run = pipeline.run()
    assert run.status == 0, run.text
    return pipeline


@pytest.fixture
def pipeline(finished: Pipeline, tmp_path: Path) -> Pipeline:
    return finished.copy(tmp_path / "run")
