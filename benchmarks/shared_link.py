"""Bandwidth in simulated time, shared evenly by all transfers at any moment."""

from __future__ import annotations

import heapq
import itertools

import simpy


class SharedLink:
    """Bandwidth that all transfers share evenly, each up to a limit of its own.

    All that go on at a moment get the same, so one clock of megabytes serves them all: a transfer
    ends when the clock has gone on by its size.
    """

    def __init__(self, environment: simpy.Environment, total: float, each: float) -> None:
        self._environment = environment
        self._total, self._each = total, each
        self._clock_mb, self._since = 0.0, 0.0
        self._ends: list[tuple[float, int, simpy.Event]] = []
        self._count = itertools.count()
        self._timer: simpy.Event | None = None

    def transfer(self, megabytes: float) -> simpy.Event:
        """Return an event that happens when so much has come through."""
        self._advance()
        rate = self._rate()
        done = self._environment.event()
        end = self._clock_mb + megabytes, next(self._count), done
        heapq.heappush(self._ends, end)
        if self._ends[0] is end or self._rate() != rate:
            self._wake()
        return done

    def _rate(self) -> float:
        return min(self._each, self._total / max(1, len(self._ends)))

    def _advance(self) -> None:
        now = self._environment.now
        self._clock_mb += self._rate() * (now - self._since)
        self._since = now

    def _wake(self) -> None:
        """Come back when the next transfer ends; an earlier appointment is void."""
        if self._ends:
            seconds = max(0.0, (self._ends[0][0] - self._clock_mb) / self._rate())
            self._timer = self._environment.timeout(seconds)
            self._timer.callbacks.append(self._end_next)

    def _end_next(self, timer: simpy.Event) -> None:
        if timer is not self._timer:
            return
        self._advance()
        # The first ends now whatever rounding says: simulated time would not move on otherwise.
        self._clock_mb = max(self._clock_mb, self._ends[0][0])
        while self._ends and self._ends[0][0] <= self._clock_mb:
            heapq.heappop(self._ends)[2].succeed()
        self._wake()
