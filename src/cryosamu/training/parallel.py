"""Several processes that take each step together, one a device, as torchrun starts them.

    torchrun --nproc-per-node 4 --no-python cryosamu train ...

Every process reads the data and holds the same weights; each cuts its share of the step's crops,
the gradients are summed, and the first process alone writes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from cryosamu.device import choose_device

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """One process among those that train together; alone by default.

    Attributes
    ----------
    rank
        From 0; the first writes and speaks.
    size
        How many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum over the processes, the same bits in each; changes `values`."""
        if self.size > 1:
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
        dist.all_gather_object(parts, own)
        return [item for part in parts for item in part]

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def joined_processes(device_name: str) -> Iterator[tuple[Processes, torch.device]]:
    """Join the processes that torchrun started, if it did; yield them and this one's device.

    Parameters
    ----------
    device_name
        As `choose_device`; of several CUDA devices each process takes its own.
    """
    device = choose_device(device_name)
    if not dist.is_torchelastic_launched():
        yield Processes(), device
        return
    if device.type == "cuda":
        device = choose_device(f"cuda:{os.environ['LOCAL_RANK']}")
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(dist.get_rank(), dist.get_world_size()), device
    finally:
        dist.destroy_process_group()
