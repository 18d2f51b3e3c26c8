"""Several processes that take each step together, one a device; see `launch`.

Every process reads the data and holds the same weights; each cuts its share of the step's crops,
the gradients are summed, and the first process alone writes.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from cryosamu.device import choose_device
from cryosamu.errors import CryosamuError
from cryosamu.training.launch import Place, place_among_processes

T = TypeVar("T")


class LostProcessError(CryosamuError):
    """Another of the processes has ended before its time."""


@dataclass(frozen=True)
class Processes:
    """One process among those that train together; alone by default.

    Attributes
    ----------
    rank
        From 0; the first writes and speaks.
    size
        How many there are.
    local_rank
        From 0, of those on the same machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum over the processes, the same bits in each; changes `values`."""
        if self.size > 1:
            with _not_alone():
                dist.all_reduce(values)
        return values

    def sum_gradients(self, network: nn.Module) -> None:
        """Replace each gradient by its sum over the processes, all in one message."""
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        if self.size == 1 or not gradients:
            return
        summed = self.sum(torch.cat([gradient.flatten() for gradient in gradients]))
        pieces = torch.split(summed, [gradient.numel() for gradient in gradients])
        for gradient, piece in zip(gradients, pieces, strict=True):
            gradient.copy_(piece.view_as(gradient))

    def gather(self, own: Sequence[T]) -> list[T]:
        """Return what every process gives, in the order of the processes."""
        if self.size == 1:
            return list(own)
        parts: list[Sequence[T]] = [()] * self.size
        with _not_alone():
            dist.all_gather_object(parts, own)
        return [item for part in parts for item in part]

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            with _not_alone():
                dist.barrier()

    def require_agreement(self, seen: Hashable, folder: Path) -> None:
        """Refuse to go on where the processes see different things in a folder.

        Raises
        ------
        CryosamuError
            When `seen` is not the same in all of them.
        """
        if len(set(self.gather([seen]))) > 1:
            raise CryosamuError(
                f"{folder}: holds different states for different processes of this training; give "
                "a folder that all machines share, and try again in a minute."
            )


@contextmanager
def _not_alone() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise LostProcessError(
            "another process of this training has ended, see its own message; the steps that were "
            "finished are kept: run the same command again to resume."
        ) from error


@contextmanager
def joined_processes(device_name: str) -> Iterator[tuple[Processes, torch.device]]:
    """Join the processes that were started together, if any; yield them and this one's device.

    Parameters
    ----------
    device_name
        As `choose_device`; of several CUDA devices each process takes its own.

    Raises
    ------
    CryosamuError
        When they cannot reach each other.
    """
    place = place_among_processes(os.environ)
    device = choose_device(device_name)
    if place is None:
        yield Processes(), device
        return
    if device.type == "cuda":
        # SLURM may show a task one device alone, torchrun shows each process all of them.
        device = choose_device(f"cuda:{place.local_rank % torch.cuda.device_count()}")
        torch.cuda.set_device(device)
    _meet(place, "nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(place.rank, place.size, place.local_rank), device
    finally:
        dist.destroy_process_group()


def _meet(place: Place, backend: str) -> None:
    try:
        dist.init_process_group(backend, place.address, rank=place.rank, world_size=place.size)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0].removesuffix(".")
        raise CryosamuError(
            f"process {place.rank} could not meet the others at {place.address} ({reason}); set "
            "MASTER_ADDR and MASTER_PORT to a machine and a port that all of them reach."
        ) from error
