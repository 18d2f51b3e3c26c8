"""Which machine this is, and whether a process that ran on it is gone."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path


def this_host() -> str:
    """Return what differs between hosts, their restarts, and containers with ids of their own."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    return " ".join(parts)


def is_gone(pid: int) -> bool:
    """Tell whether this host runs no process of this id; when in doubt, it does."""
    try:
        os.kill(pid, 0)
        # A zombie: killed, and its parent has not asked how it ended.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):  # another user's, a system without /proc, or no id at all
        return False
