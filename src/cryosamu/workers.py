"""Independent pieces of work, one after the other or several at a time, with the same result."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

from cryosamu.errors import CryosamuError

Item = TypeVar("Item")
Result = TypeVar("Result")

_WAITING_PER_WORKER = 2


def in_processes(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int = 1
) -> Iterator[Result]:
    """Yield `function(item)` for each item in the order given, whatever the number of workers.

    Each worker is a process of its own with one thread. Few results wait at a time, so
    that memory does not grow with the number of items. An interrupt lets each worker finish the
    items it has begun; when this process is killed, they end with it.

    Parameters
    ----------
    function
        Importable by its name, as the items and results can be pickled between processes.
    workers
        1 or fewer, or a single item: in this process.

    Raises
    ------
    CryosamuError
        When a worker is killed, as for lack of memory. What `function` raises is raised here;
        the results before it are yielded.
    """
    workers = min(workers, len(items))
    if workers <= 1:
        yield from map(function, items)
        return
    # Forked processes would inherit the state of torch's threads; fresh ones do not.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start) as executor:
        remaining = iter(items)
        waiting: deque[Future[Result]] = deque()
        try:
            while True:
                free = _WAITING_PER_WORKER * workers - len(waiting)
                with _held_interrupts():
                    for item in islice(remaining, free):
                        waiting.append(executor.submit(function, item))
                if not waiting:
                    return
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise CryosamuError(
                f"one of {workers} worker processes was killed, most often for lack of memory; "
                "run again with fewer workers or more memory. What was finished is kept."
            ) from None
        finally:
            executor.shutdown(cancel_futures=True)


@contextmanager
def _held_interrupts() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach: the parent ends them when their item is done."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start() -> None:
    # Read by torch and by what numpy is built on, when they are first imported.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Leave no process behind that waits for a killed parent, and keeps its memory, for ever."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)
