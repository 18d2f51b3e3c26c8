"""A whole map through a network and back to its own grid."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from cryosamu.config import EnhancementSettings
from cryosamu.device import choose_devices
from cryosamu.enhancement.inference.passes import Passes
from cryosamu.enhancement.inference.predictor import Told, chosen_precision, is_out_of_memory
from cryosamu.enhancement.inference.solvent import Solvent, blended, find_solvent, solvent_outside
from cryosamu.errors import CheckpointError, CryosamuError
from cryosamu.network.checkpoint import CheckpointHeader
from cryosamu.network.interface import EnhancementNetwork
from cryosamu.preparation import prepare_input
from cryosamu.volume.grid import resample
from cryosamu.volume.volume import FloatArray, Volume


@contextmanager
def _memory_that_suffices() -> Iterator[None]:
    """Tell in a sentence of memory that ends where smaller windows would not help."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise CryosamuError(
            "the memory does not suffice for a map of this size; close other programs, or crop it."
        ) from error


@dataclass(frozen=True)
class Enhanced:
    """An enhanced map and how it came about.

    Attributes
    ----------
    volume
        On the grid, in the frame and in the units of the map that was given.
    record
        Plain JSON values: working grid, windows, structure, device; times under `seconds`.
    working
        The same on the network's grid of about 1 Å, in the map's units, before the way back.
    """

    volume: Volume
    record: dict[str, Any]
    working: Volume


@_memory_that_suffices()
def enhance(
    volume: Volume,
    network: EnhancementNetwork,
    header: CheckpointHeader,
    tokens: Tensor | None = None,
    token_mask: Tensor | None = None,
    settings: EnhancementSettings | None = None,
    progress: bool = True,
    resolution: float | None = None,
    mask: Volume | None = None,
    announce: Callable[[str], None] | None = None,
) -> Enhanced:
    """Enhance a map.

    The map goes to the network's grid and scale as in training, through the network in one pass
    where memory allows and in overlapping windows where not, and back: the network's answer is in
    units of the scale that the map was divided by, and band-limited interpolation in the same box
    undoes the change of grid. Solvent is left out and given the network's answer to a volume of the
    solvent's own level, so that a background other than zero stays.

    Parameters
    ----------
    volume
        The map as read from its file.
    network, header
        As `load_checkpoint` returns them. The network is moved to the device and made ready for
        inference: it can be used again, with the same precision, not trained on.
    tokens
        float [tokens, width], pooled structure embedding; None enhances from density alone.
    token_mask
        bool [tokens], true for a real token; None where all are.
    settings
        The recipe's where None.
    progress
        Shows a bar over the windows on a terminal's standard error.
    resolution
        As reported for the map, Å; used by networks that were trained to be told it.
    mask
        On the map's own grid, 1 inside: what lies outside is taken for solvent. None finds the
        solvent by the map's noise, if the settings say so.
    announce
        Is told, before the work begins, the windows, seconds and memory that it will take.

    Raises
    ------
    CryosamuError
        When the map cannot be enhanced, the device is not there or its memory does not suffice.
    """
    settings = settings or EnhancementSettings()
    devices = choose_devices(settings.device)
    begun = time.perf_counter()
    prepared = prepare_input(volume, header.preparation)
    solvent = _solvent(volume, prepared.grid.shape, settings, mask)
    ready = time.perf_counter()
    dtype = chosen_precision(settings.precision, devices[0], network)
    told = Told(tokens, token_mask, resolution)
    passes = Passes(network, devices, dtype, settings, told, solvent)
    empty = 0.0
    if solvent is not None:
        # Before the work, so that nothing fails after it.
        empty = passes.answer_to_level(float(np.clip(solvent.level / prepared.scale, 0, 1)))
    answer = passes.answer(prepared.data, progress, announce)
    if solvent is not None:
        answer = blended(answer, passes.box, solvent, empty, into=prepared.data)
    computed = time.perf_counter()
    working = prepared.grid.with_data(_in_units_of_the_map(answer, prepared.scale))
    enhanced = volume.with_data(resample(working, volume.shape).data)
    record = {
        "working_grid": {
            "shape": list(prepared.grid.shape),
            "voxel_size": list(prepared.grid.voxel_size),
            "scale": prepared.scale,
        },
        **passes.record,
        "structure_tokens": 0 if tokens is None else _real_tokens(tokens, token_mask),
        "device": devices[0].type,
        "seconds": {
            "prepare": round(ready - begun, 3),
            "network": round(computed - ready, 3),
            "back": round(time.perf_counter() - computed, 3),
        },
    }
    return Enhanced(enhanced, record, working)


def _solvent(
    volume: Volume,
    shape: tuple[int, int, int],
    settings: EnhancementSettings,
    mask: Volume | None,
) -> Solvent | None:
    if mask is not None:
        return solvent_outside(mask, volume, shape)
    return find_solvent(volume, shape) if settings.skip_solvent else None


def _in_units_of_the_map(answer: FloatArray, scale: float) -> FloatArray:
    """Return the answer times the scale, in place."""
    for plane in answer:
        if not np.isfinite(plane).all():
            raise CheckpointError("the network answered with NaN or infinite values; retrain it.")
        plane *= np.float32(scale)
    return answer


def _real_tokens(tokens: Tensor, token_mask: Tensor | None) -> int:
    return len(tokens) if token_mask is None else int(token_mask.sum())
