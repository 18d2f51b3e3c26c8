"""Simulated time against closed forms and bounds that any scheduler obeys."""

from itertools import pairwise

import pytest
import simpy
from cluster_model import Cluster, Job, Member, Step, simulate
from hypothesis import given
from hypothesis import strategies as st
from shared_link import SharedLink

TEN_SECONDS = (Step((Member(processor_s=10),)),)
BARE = Cluster(cores=2, submit_s=0, queue_s=0, start_s=0)


def jobs_of(seconds, **options):
    return [
        Job(f"{number}", "work", (Step((Member(processor_s=one),)),), **options)
        for number, one in enumerate(seconds)
    ]


def ends_of(transfers, total, each):
    """Return when transfers of (begin, megabytes) end."""
    clock = simpy.Environment()
    link = SharedLink(clock, total, each)
    ends = []

    def transfer(begin, megabytes):
        yield clock.timeout(begin)
        yield link.transfer(megabytes)
        ends.append(clock.now)

    for one in transfers:
        clock.process(transfer(*one))
    clock.run()
    return ends


def test_a_chain_takes_the_sum_of_all_delays():
    names = "abc"
    jobs = [
        Job(name, "work", TEN_SECONDS, needs=tuple(names[:at][-1:]))
        for at, name in enumerate(names)
    ]
    cluster = Cluster(cores=1, submit_s=0.5, queue_s=4, start_s=6)
    assert simulate(jobs, cluster).makespan_s == pytest.approx(3 * (0.5 + 4 + 6 + 10))


def test_equal_jobs_run_in_rounds():
    assert simulate(jobs_of([7.0] * 5), BARE).makespan_s == 3 * 7


def test_the_head_process_submits_one_after_the_other():
    outcome = simulate(jobs_of([0.0] * 10), Cluster(cores=100, submit_s=2, queue_s=1, start_s=0))
    assert outcome.makespan_s == 10 * 2 + 1


def test_a_small_job_passes_a_large_one_that_does_not_fit():
    jobs = [
        Job("first", "work", TEN_SECONDS),
        Job("both", "work", TEN_SECONDS, cores=2),
        Job("second", "work", TEN_SECONDS),
    ]
    ran = simulate(jobs, BARE).ran
    assert [ran[name].ended for name in ("first", "second", "both")] == [10, 10, 20]


def test_workers_take_members_as_they_become_free():
    members = tuple(Member(processor_s=one) for one in (3, 1, 1, 1))
    for cores, seconds in ((2, 3), (1, 6)):
        job = Job("pool", "work", (Step(members, workers=2),), cores=cores)
        assert simulate([job], BARE).makespan_s == seconds


def test_a_step_begins_when_the_one_before_it_is_over():
    members = tuple(Member(processor_s=one) for one in (2, 3))
    job = Job("group", "work", (Step(members), Step(members, workers=2)), cores=2)
    assert simulate([job], BARE).makespan_s == 5 + 3


def test_a_local_job_waits_for_nothing_but_what_it_needs():
    local = Job("local", "work", TEN_SECONDS, local=True)
    cluster = Cluster(cores=1, submit_s=5, queue_s=5, start_s=0)
    ran = simulate([*jobs_of([40.0]), local], cluster).ran
    assert (ran["local"].ended, ran["0"].ended) == (10, 50)


def test_requests_of_all_jobs_take_turns():
    jobs = [Job(name, "ask", (Step((Member(requests=1),) * 4),)) for name in "ab"]
    cluster = Cluster(cores=2, submit_s=0, queue_s=0, start_s=0, request_s=0.5)
    assert simulate(jobs, cluster).makespan_s == 7 * 0.5


def test_few_jobs_download_at_a_time_and_their_bytes_are_counted():
    work = (Step((Member(download_mb=60),)),)
    jobs = [Job(f"{number}", "fetch", work, downloads=True) for number in range(4)]
    cluster = Cluster(
        **{"cores": 9, "submit_s": 0, "queue_s": 0, "start_s": 0, "downloads": 2},
        **{"archive_mb_s": 100, "stream_mb_s": 3},
    )
    outcome = simulate(jobs, cluster)
    assert outcome.makespan_s == pytest.approx(2 * 60 / 3)
    assert [run.placed for run in outcome.ran.values()] == pytest.approx([0, 0, 20, 20])


def test_few_jobs_are_submitted_at_a_time():
    cluster = Cluster(cores=9, submit_s=0, queue_s=1, start_s=0, jobs=2)
    assert simulate(jobs_of([9.0] * 4), cluster).makespan_s == 2 * (1 + 9)


def test_an_end_is_seen_at_the_next_look():
    cluster = Cluster(cores=1, submit_s=0, queue_s=0, start_s=0, poll_s=10)
    outcome = simulate(jobs_of([12.0, 3.0]), cluster)
    assert [(run.freed, run.ended) for run in outcome.ran.values()] == [(12, 20), (15, 20)]


def test_two_transfers_share_a_link():
    assert ends_of([(0, 100), (5, 100)], total=10, each=100) == pytest.approx([15, 20])


@given(st.lists(st.floats(0.1, 1e4), min_size=1, max_size=12), st.floats(1, 100), st.floats(1, 100))
def test_transfers_that_begin_together_end_as_sharing_says(sizes, total, each):
    expected, now, before = [], 0.0, 0.0
    for number, size in enumerate(sorted(sizes)):
        rate = min(each, total / (len(sizes) - number))
        now += (size - before) / rate
        before = size
        expected.append(now)
    assert ends_of([(0, size) for size in sizes], total, each) == pytest.approx(expected)


@st.composite
def workflows(draw):
    """Jobs that need some of those before them."""
    jobs = []
    for number in range(draw(st.integers(1, 12))):
        members = draw(st.lists(st.floats(0, 100), min_size=1, max_size=4))
        needs = [job.name for job in jobs if draw(st.booleans())]
        cores = draw(st.integers(1, 4))
        work = tuple(Member(processor_s=seconds, download_mb=seconds / 2) for seconds in members)
        steps = (Step(work, draw(st.integers(1, cores))), Step(work[:1]))
        options = {"downloads": draw(st.booleans()), "local": draw(st.booleans())}
        jobs.append(Job(f"{number}", "work", steps, tuple(needs), cores, **options))
    return jobs


@given(workflows(), st.integers(1, 6))
def test_no_run_is_shorter_than_its_work_or_longer_than_one_job_after_the_other(jobs, cores):
    cluster = Cluster(cores=cores, submit_s=0.25, queue_s=2, start_s=1, poll_s=3, jobs=3)
    outcome = simulate(jobs, cluster)
    alone = [
        0.25 + 2 + 1 + sum(m.processor_s + m.download_mb / 3 for m in job.members) for job in jobs
    ]
    work = sum(m.processor_s for job in jobs for m in job.members if not job.local)
    assert work / cores - 1e-6 <= outcome.makespan_s <= sum(alone) + 3 * len(jobs) + 1e-6
    assert outcome.utilisation <= 1 + 1e-9
    for run in outcome.ran.values():
        times = [run.ready, run.placed, run.submitted, run.started, run.freed, run.ended]
        assert times == sorted(times)
        assert all(outcome.ran[name].ended <= run.ready for name in run.job.needs)


@given(workflows(), st.integers(1, 6))
def test_the_critical_path_leads_from_the_start_to_the_last_end(jobs, cores):
    outcome = simulate(jobs, Cluster(cores=cores, submit_s=0, queue_s=2, start_s=1))
    path = outcome.critical_path()
    assert path[0].ready == path[0].placed == 0
    assert path[-1].ended == outcome.makespan_s
    assert all(first.freed <= second.started for first, second in pairwise(path))


def test_a_job_that_needs_nothing_there_is_refused():
    with pytest.raises(ValueError, match="a: needs b, which is no job"):
        simulate([Job("a", "work", (), needs=("b",))], BARE)
    with pytest.raises(ValueError, match="circle"):
        simulate([Job("a", "work", (), needs=("b",)), Job("b", "work", (), needs=("a",))], BARE)
