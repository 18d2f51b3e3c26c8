"""A cluster in simulated time: what limits a workflow whose jobs and bandwidths are known.

One head process submits jobs that are ready; a queue starts them where cores are free; a pool of
workers in each job takes its members one after the other; downloads wait for their turn at the
archive and share its bandwidth; files share the file system's. Nothing is computed.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field

import simpy
from shared_link import SharedLink


@dataclass(frozen=True)
class Member:
    """What a job does for one entry: it asks, downloads, reads and writes, and computes.

    Attributes
    ----------
    processor_s
        Seconds on one core.
    requests
        To the archive; a turn is awaited for each.
    download_mb, file_mb
        Megabytes over the archive's link and over the file system's.
    """

    processor_s: float = 0.0
    requests: int = 0
    download_mb: float = 0.0
    file_mb: float = 0.0


@dataclass(frozen=True)
class Step:
    """Members that a job works on with so many workers, one step after the other."""

    members: tuple[Member, ...]
    workers: int = 1


@dataclass(frozen=True)
class Job:
    """A job of the workflow, or several that are submitted as one.

    Attributes
    ----------
    cores
        What it holds from its start to its end.
    needs
        Names of the jobs that must have ended.
    downloads
        Whether it holds one of the few places for jobs that download.
    local
        Whether the head process runs it itself, at once.
    """

    name: str
    stage: str
    steps: tuple[Step, ...]
    needs: tuple[str, ...] = ()
    cores: int = 1
    downloads: bool = False
    local: bool = False

    @property
    def members(self) -> tuple[Member, ...]:
        """What all steps are made of."""
        return tuple(member for step in self.steps for member in step.members)


@dataclass(frozen=True)
class Cluster:
    """Sizes, rates and delays; megabytes and seconds.

    Attributes
    ----------
    submit_s
        Of the head process for each job, one after the other.
    queue_s
        From submission to start where cores are free.
    start_s
        Of a job before its first member: Snakemake in the job, and the program's imports.
    poll_s
        The head process looks so often whether jobs have ended.
    jobs, downloads
        Jobs that are submitted at a time, and those of them that download.
    request_s
        Between two requests to the archive, of all jobs together.
    archive_mb_s, stream_mb_s
        Bandwidth of all downloads together, and of one.
    files_mb_s, file_stream_mb_s
        The same of the file system.
    """

    cores: int
    submit_s: float = 0.1
    queue_s: float = 10.0
    start_s: float = 6.0
    poll_s: float = 0.0
    jobs: int = 1_000_000
    downloads: int = 2
    request_s: float = 0.5
    archive_mb_s: float = 100.0
    stream_mb_s: float = 3.0
    files_mb_s: float = 2000.0
    file_stream_mb_s: float = 400.0


@dataclass
class Ran:
    """When a job could begin, had a place to download, was submitted, ran and was seen to end."""

    job: Job
    ready: float = 0.0
    placed: float = 0.0
    submitted: float = 0.0
    started: float = 0.0
    freed: float = 0.0
    ended: float = 0.0


@dataclass
class Outcome:
    """What a simulated run took, job by job, in the order in which they ended."""

    cluster: Cluster
    ran: dict[str, Ran] = field(default_factory=dict)

    @property
    def makespan_s(self) -> float:
        """Seconds from the first submission to the last end."""
        return max(run.ended for run in self.ran.values())

    @property
    def processor_s(self) -> float:
        """Seconds in which members were computed, of all the cluster's cores together."""
        jobs = [run.job for run in self.ran.values() if not run.job.local]
        return sum(member.processor_s for job in jobs for member in job.members)

    @property
    def utilisation(self) -> float:
        """Share of all core-seconds in which a member was computed."""
        return self.processor_s / (self.cluster.cores * self.makespan_s)

    def critical_path(self) -> list[Ran]:
        """Return the jobs that the makespan consists of, first to last.

        Before each stands the one that it waited for longest: the job whose end gave it cores or
        a place to download, else the last of its needs to end.
        """
        runs = list(self.ran.values())
        path = [max(runs, key=lambda run: run.ended)]
        while chosen := self._before(path[-1], runs):
            path.append(chosen)
        return path[::-1]

    def _before(self, run: Ran, runs: list[Ran]) -> Ran | None:
        queued = run.submitted + (0 if run.job.local else self.cluster.queue_s)
        if run.started > queued:
            others = [one for one in runs if one.freed <= run.started and one.freed < run.freed]
            return max(others, key=lambda one: one.freed)
        if run.placed > run.ready:
            others = [one for one in runs if one.ended <= run.placed]
            return max(others, key=lambda one: one.ended)
        needs = [self.ran[name] for name in run.job.needs]
        return max(needs, key=lambda one: one.ended, default=None)


class _Cores:
    """The cluster's cores; whoever fits is let in, in the order of asking."""

    def __init__(self, environment: simpy.Environment, cores: int) -> None:
        self._environment = environment
        self._free = cores
        self._waiting: list[tuple[int, simpy.Event]] = []

    def take(self, cores: int) -> simpy.Event:
        event = self._environment.event()
        self._waiting.append((cores, event))
        self._admit()
        return event

    def give(self, cores: int) -> None:
        self._free += cores
        self._admit()

    def _admit(self) -> None:
        left = []
        for number, (cores, event) in enumerate(self._waiting):
            if not self._free:
                left += self._waiting[number:]
                break
            if cores <= self._free:
                self._free -= cores
                event.succeed()
            else:
                left.append((cores, event))
        self._waiting = left


class _Run:
    """One simulated run."""

    def __init__(self, jobs: dict[str, Job], cluster: Cluster) -> None:
        self.cluster = cluster
        self.environment = simpy.Environment()
        self.head = simpy.Resource(self.environment)
        self.jobs = simpy.Resource(self.environment, cluster.jobs)
        self.downloads = simpy.Resource(self.environment, cluster.downloads)
        self.cores = _Cores(self.environment, cluster.cores)
        self.archive = SharedLink(self.environment, cluster.archive_mb_s, cluster.stream_mb_s)
        self.files = SharedLink(self.environment, cluster.files_mb_s, cluster.file_stream_mb_s)
        self.next_turn = 0.0
        self.outcome = Outcome(cluster)
        self.over = {name: self.environment.event() for name in jobs}
        for job in jobs.values():
            self.environment.process(self.job(job))
        self.environment.run()

    def job(self, job: Job) -> Generator[simpy.Event]:
        """Wait for what the job needs and for its place, submit it and run it."""
        run, clock = Ran(job), self.environment
        for name in job.needs:
            yield self.over[name]
        run.ready = clock.now
        places = []
        for held, limit in ((job.downloads, self.downloads), (not job.local, self.jobs)):
            if held:
                places.append(limit.request())
                yield places[-1]
        run.placed = clock.now
        cores = 0 if job.local else min(job.cores, self.cluster.cores)
        if not job.local:
            with self.head.request() as turn:
                yield turn
                yield clock.timeout(self.cluster.submit_s)
            run.submitted = clock.now
            yield clock.timeout(self.cluster.queue_s)
            yield self.cores.take(cores)
        run.submitted = run.submitted or clock.now
        run.started = clock.now
        yield clock.timeout(self.cluster.start_s)
        for step in job.steps:
            members = iter(step.members)
            workers = min(step.workers, len(step.members), max(1, cores))
            yield clock.all_of([clock.process(self.worker(members)) for _ in range(workers)])
        self.cores.give(cores)
        run.freed = clock.now
        if self.cluster.poll_s and not job.local:
            yield clock.timeout(-clock.now % self.cluster.poll_s)
        run.ended = clock.now
        for place in places:
            place.resource.release(place)
        self.outcome.ran[job.name] = run
        self.over[job.name].succeed()

    def worker(self, members: Iterator[Member]) -> Generator[simpy.Event]:
        """Take members until none is left."""
        for member in members:
            for _ in range(member.requests):
                turn = max(self.environment.now, self.next_turn)
                self.next_turn = turn + self.cluster.request_s
                yield self.environment.timeout(turn - self.environment.now)
            if member.download_mb:
                yield self.archive.transfer(member.download_mb)
            if member.file_mb:
                yield self.files.transfer(member.file_mb)
            if member.processor_s:
                yield self.environment.timeout(member.processor_s)


def simulate(jobs: Iterable[Job], cluster: Cluster) -> Outcome:
    """Return what a run of these jobs takes.

    Raises
    ------
    ValueError
        When a job needs one that is not there, or jobs need each other in a circle.
    """
    by_name = {job.name: job for job in jobs}
    for job in by_name.values():
        if missing := [name for name in job.needs if name not in by_name]:
            raise ValueError(f"{job.name}: needs {missing[0]}, which is no job.")
    outcome = _Run(by_name, cluster).outcome
    if len(outcome.ran) < len(by_name):
        raise ValueError("jobs need each other in a circle.")
    return outcome
