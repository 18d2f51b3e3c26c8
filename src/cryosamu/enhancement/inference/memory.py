"""How much memory a pass may use: what is free on a device, and what the system allows."""

from __future__ import annotations

import resource
from pathlib import Path

import psutil
import torch

from cryosamu.config import EnhancementSettings

SHARE = 0.8
"""Of what is free, a pass uses at most this; the rest is left to everything else."""

_CONTROL_GROUPS = Path("/sys/fs/cgroup")


def allowed_memory(settings: EnhancementSettings, device: torch.device) -> int:
    """Return the bytes that a pass may use on a device: as set, or a share of what is free."""
    if settings.memory is not None:
        return int(settings.memory * 1e9)
    if device.type == "cuda":
        return int(SHARE * torch.cuda.mem_get_info(device)[0])
    return int(SHARE * free_memory())


def free_memory() -> int:
    """Return the bytes that this process can still take: of the machine, its group, its limit."""
    free = [int(psutil.virtual_memory().available)]
    free += [limit - used for limit, used in _group_memory()]
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    if most != resource.RLIM_INFINITY:
        free.append(most - int(psutil.Process().memory_info().vms))
    return max(min(free), 0)


def _group_memory(
    membership: Path = Path("/proc/self/cgroup"), root: Path = _CONTROL_GROUPS
) -> list[tuple[int, int]]:
    """Return (limit, used) bytes of each control group above this process that has a limit.

    Caches count as used in a group and are given up when memory is short; they are left out.
    """
    found = []
    for version in _memory_groups(membership, root):
        for folder in (version, *version.parents):
            for limit, used in (
                ("memory.max", "memory.current"),
                ("memory.limit_in_bytes", "memory.usage_in_bytes"),
            ):
                pair = _number(folder / limit), _number(folder / used)
                if pair[0] is not None and pair[1] is not None:
                    found.append((pair[0], max(pair[1] - _cached(folder), 0)))
            if folder == root:
                break
    return found


def _memory_groups(membership: Path, root: Path) -> list[Path]:
    """Return the folders of this process's memory groups, of version 2 and of version 1."""
    try:
        lines = membership.read_text(encoding="ascii").splitlines()
    except OSError:
        return []
    groups = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            groups.append(root / path.lstrip("/"))
        elif "memory" in controllers.split(","):
            groups.append(root / "memory" / path.lstrip("/"))
    # In a container a group's own path may not be seen, and what is seen is the container's.
    return [*groups, root, root / "memory"]


def _number(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None


def _cached(folder: Path) -> int:
    try:
        lines = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    counts = dict(line.split() for line in lines)
    return int(counts.get("inactive_file", counts.get("total_inactive_file", 0)))
