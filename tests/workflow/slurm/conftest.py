"""A SLURM for the tests here, and a section about what it saw at the end of the tests' output."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Pipeline
from scheduler import EXECUTORS, TOOL, Scheduler, Submitted

SEEN: list[str] = []
"""Lines about what the scheduler saw, printed when all tests are done."""


@pytest.fixture(scope="session")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scheduler]:
    specification = importlib.util.spec_from_file_location("one_machine", TOOL)
    assert specification is not None
    assert specification.loader is not None
    one_machine = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(one_machine)
    if missing := one_machine.missing():
        pytest.skip(
            f"SLURM is not installed here ({', '.join(missing)} not found); .ci/run installs it"
            " where it runs as root on a Debian"
        )
    if not EXECUTORS.is_dir():
        pytest.skip(f"Snakemake's executor plugins are not in {EXECUTORS}: `make executors`")
    started = Scheduler.started(tmp_path_factory.mktemp("slurm") / "state")
    yield started
    started.stop()


@pytest.fixture
def seen(scheduler: Scheduler, request: pytest.FixtureRequest) -> Iterator[None]:
    """Take down the jobs that a test submitted."""
    before = scheduler.last
    yield
    SEEN.append(f"{request.node.name}:")
    SEEN.extend(f"  {job}" for job in scheduler.since(before))


@pytest.fixture
def submitted(finished: Pipeline, scheduler: Scheduler, seen: None, tmp_path: Path) -> Submitted:
    """A finished run of the workflow, to go on through the slurm profile."""
    return Submitted.through("slurm", finished.copy(tmp_path / "run"), scheduler)


@pytest.fixture
def undone(submitted: Submitted) -> list[str]:
    """Two files, each of a short job, that the finished run now lacks."""
    return submitted.undo()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if SEEN:
        terminalreporter.section("what the SLURM saw")
        for line in SEEN:
            terminalreporter.write_line(line)
