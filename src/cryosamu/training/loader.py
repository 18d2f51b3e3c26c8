"""Batches made ahead of the step that needs them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_AHEAD = 2


def prefetched(make: Callable[[int], T], steps: range, workers: int) -> Generator[T]:
    """Yield `make(step)` for each step in order, made by threads that run ahead.

    What a step is given does not depend on the number of workers, since `make` is a function of
    the step alone. Threads do, because cutting and turning cubes runs outside Python's lock.

    Parameters
    ----------
    workers
        Threads; 0 makes each batch when it is asked for.
    """
    if not workers:
        yield from map(make, steps)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="crops")
    waiting: deque[Future[T]] = deque()
    try:
        for step in steps:
            waiting.append(pool.submit(make, step))
            if len(waiting) > _AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
