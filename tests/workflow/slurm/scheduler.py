"""A SLURM of the tests' own, and the workflow submitted to it."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness import REPOSITORY, Pipeline, Run

TOOL = REPOSITORY / "tools" / "slurm" / "one_machine.py"
EXECUTORS = Path(sys.prefix) / "executors"
"""Where `make executors` puts Snakemake's executor plugins."""

SECONDS = 1800
RUNNING = {"RUNNING", "COMPLETING"}
WAITING = {"PENDING", "CONFIGURING"}

# What a small SLURM without accounts needs on top of a profile, and shorter waits.
OPTIONS = {
    "slurm": (
        *("--jobs", "3", "--max-threads", "2", "--slurm-status-command", "squeue"),
        *("--slurm-init-seconds-before-status-checks", "1", "--max-status-checks-per-second", "2"),
    ),
    "generic": ("--jobs", "3", "--max-threads", "2", "--seconds-between-status-checks", "2"),
}
REDONE = "prepare_pairs"
"""A rule with a job a shard, short here: its pairs are kept, only their tables are made again."""

ONE_BY_ONE = ("--jobs", "1")


@dataclass
class Job:
    """What the scheduler knows of one job."""

    number: int
    name: str
    state: str
    memory: str
    tasks: int
    processors: int
    restarts: int

    def __str__(self) -> str:
        return (
            f"job {self.number:>3} {self.name:<42} {self.state:<10} {self.memory:>7}"
            f" {self.tasks} x {self.processors} CPU, {self.restarts} restarts"
        )


@dataclass
class Scheduler:
    """A SLURM of one machine with all its files in one folder."""

    folder: Path
    environment: dict[str, str]

    @classmethod
    def started(cls, folder: Path) -> Scheduler:
        exports = tool("start", folder)
        words = dict(re.findall(r"export (\w+)=(\S+)", exports))
        here = {
            "SLURM_CONF": shlex.split(words["SLURM_CONF"])[0],
            "PATH": shlex.split(words["PATH"].split(":")[0])[0] + ":" + os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(
                filter(None, (str(EXECUTORS), os.environ.get("PYTHONPATH")))
            ),
        }
        return cls(folder, here)

    def stop(self) -> None:
        tool("stop", self.folder)

    def stop_controller(self) -> None:
        tool("stop-controller", self.folder)

    def start_controller(self) -> None:
        tool("start-controller", self.folder)

    def ask(self, *command: str, check: bool = True) -> str:
        done = subprocess.run(
            command,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=check,
        )
        return done.stdout

    def jobs(self) -> list[Job]:
        """All that were ever submitted, oldest first."""
        lines = self.ask("scontrol", "--oneliner", "show", "job").splitlines()
        return [job_of(line) for line in lines if line.startswith("JobId=")]

    def since(self, number: int) -> list[Job]:
        return [job for job in self.jobs() if job.number > number]

    @property
    def last(self) -> int:
        return max((job.number for job in self.jobs()), default=0)

    def queue(self) -> list[Job]:
        return [job for job in self.jobs() if job.state in RUNNING | WAITING]

    def command_of(self, job: Job) -> list[int]:
        """The process of the rule's own command, among those that a job holds on its node."""
        # Refused while the job is being launched.
        lines = self.ask("scontrol", "listpids", str(job.number), check=False).splitlines()[1:]
        return [number for line in lines if runs_command(number := int(line.split()[0]))]

    def cancel_run(self) -> None:
        """As workflow/profiles/README.md says for what a killed head process left behind."""
        for line in self.ask("squeue", "--me", "--noheader", "--format", "%i %j").splitlines():
            number, name = line.split()
            if name.startswith("cryosamu"):
                self.ask("scancel", number)
        wait_until(lambda: not self.queue(), "the queue did not become empty")


def tool(command: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, str(TOOL), command, str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def runs_command(number: int) -> bool:
    try:
        words = Path(f"/proc/{number}/cmdline").read_text().split("\0")
    except OSError:
        return False
    return any(Path(word).name == "cryosamu" for word in words[:2])


def job_of(line: str) -> Job:
    """One line of `scontrol --oneliner show job`."""
    values = dict(word.split("=", 1) for word in line.split() if "=" in word)
    # The SLURM plugin calls all jobs of a run alike and names the rule in the comment.
    name = values.get("Comment") or values["JobName"]
    return Job(
        number=int(values["JobId"]),
        name=name.removeprefix("rule_").removeprefix("cryosamu-"),
        state=values["JobState"],
        memory=values["MinMemoryNode"],
        tasks=int(values["NumTasks"]),
        processors=int(values["CPUs/Task"]),
        restarts=int(values["Restarts"]),
    )


def wait_until(condition: Callable[[], object], otherwise: str, seconds: float = SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.2)


@dataclass
class Submitted:
    """The workflow in a folder of its own, its jobs on a scheduler."""

    pipeline: Pipeline
    scheduler: Scheduler

    @classmethod
    def through(cls, profile: str, pipeline: Pipeline, scheduler: Scheduler) -> Submitted:
        pipeline.profile = profile
        pipeline.options = OPTIONS[profile]
        pipeline.environment = scheduler.environment
        return cls(pipeline, scheduler)

    def run_while(self, meanwhile: Callable[[subprocess.Popen[str]], object], *extra: str) -> Run:
        """Start Snakemake, do something to it or its jobs, wait for its end."""
        process = self.pipeline.start(None, *extra)
        try:
            meanwhile(process)
            text, _ = process.communicate(timeout=SECONDS)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            print(process.communicate()[0])
            raise
        return Run(process.returncode, text)

    def running(self, process: subprocess.Popen[str], after: int, nth: int = 1) -> Job:
        """The n-th job that was submitted after another, once it runs."""
        found: list[Job] = []

        def runs() -> bool:
            assert process.poll() is None, "Snakemake ended before the job ran"
            found[:] = self.scheduler.since(after)[nth - 1 : nth]
            return bool(found) and found[0].state in RUNNING

        wait_until(runs, "no job ran")
        return found[0]

    def working(self, process: subprocess.Popen[str], after: int, nth: int = 1) -> Job:
        """The same, once the rule's own command runs."""
        job = self.running(process, after, nth)
        wait_until(lambda: self.scheduler.command_of(job), f"{job} ran no command")
        return job

    def undo(self) -> list[str]:
        """Remove what two jobs made, a job a shard; return what to ask for."""
        tables = sorted(self.pipeline.folder.glob("results/prepare/*.parquet"))
        for table in tables:
            table.unlink()
        assert len(tables) == 2
        return [str(table.relative_to(self.pipeline.folder)) for table in tables]
