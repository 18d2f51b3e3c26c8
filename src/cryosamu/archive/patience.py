"""How long to wait before a request is tried again."""

from __future__ import annotations

import random

from urllib3 import BaseHTTPResponse, Retry
from urllib3.exceptions import InvalidHeader

LONGEST_WAIT_SECONDS = 300.0


class PatientRetry(Retry):
    """Retry that honours Retry-After, in seconds or as a date, but not for hours.

    It never asks again at once, as its parent does after a first failure.
    """

    def get_backoff_time(self) -> float:
        """Return the seconds to wait: the back-off, at least one delay with jitter."""
        least = self.backoff_factor + random.random() * self.backoff_jitter
        return max(super().get_backoff_time(), least)

    def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
        """Return the seconds that the archive asks us to wait, or None if it does not."""
        try:
            seconds = super().get_retry_after(response)
        except InvalidHeader:
            return None
        return None if seconds is None else min(seconds, LONGEST_WAIT_SECONDS)
