"""From an archive's files to what the network reads: the normalised map and its target.

The map is brought to a grid of about 1 Å by band-limited interpolation, which keeps the length
of the box: the voxel is the nearest to the wanted size that divides it (within 1 % for boxes of
50 Å and more), and the way back to the map's own grid is exact.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cryosamu.config import PreparationSettings, TargetSettings
from cryosamu.errors import CryosamuError, MapError, ModelError
from cryosamu.files import atomic_path, sha256_of
from cryosamu.pairs import Pair
from cryosamu.provenance import provenance_record, stage_digest
from cryosamu.shards import Made, Task, make_tasks, member_folder
from cryosamu.structure.density import gaussian_sigma, simulate_density
from cryosamu.structure.model import Atoms, heavy_atoms, read_model
from cryosamu.tables import PREPARED
from cryosamu.volume.grid import grid_shape, resample
from cryosamu.volume.io import MAXIMUM_VOXELS, read_map
from cryosamu.volume.normalise import normalise, require_contrast
from cryosamu.volume.volume import FloatArray, Volume

PLAUSIBLE_VOXEL_SIZES = (0.2, 8.0)
"""Å: finer than any detector's sampling, and too coarse to hold any detail at 8 Å."""

MINIMUM_INSIDE = 0.1
"""Share of a model's atoms that must lie in the map's box; crops of a whole map are allowed."""


@dataclass(frozen=True)
class PreparedInput:
    """A map as the network reads it.

    Attributes
    ----------
    data
        float32 [nz, ny, nx] in [0, 1].
    grid
        The resampled map in its own units, with voxel size and origin.
    scale
        The value, in the map's own units, that became 1.
    """

    data: FloatArray
    grid: Volume
    scale: float


def prepare_input(volume: Volume, settings: PreparationSettings) -> PreparedInput:
    """Resample a map to the network's voxel size and bring its values into [0, 1].

    Raises
    ------
    MapError
        When the map is constant, has no positive voxel, or an implausible voxel size.
    """
    low, high = PLAUSIBLE_VOXEL_SIZES
    if not all(low <= size <= high for size in volume.voxel_size):
        sizes = " x ".join(f"{size:g}" for size in volume.voxel_size)
        raise MapError(
            f"the voxel size of {sizes} Å lies outside {low:g}–{high:g} Å; "
            "correct the cell in the map's header."
        )
    shape = grid_shape(volume, settings.voxel_size)
    if math.prod(shape) > MAXIMUM_VOXELS:
        raise MapError(
            f"the map would have {math.prod(shape):,} voxels at {settings.voxel_size:g} Å, "
            f"more than {MAXIMUM_VOXELS:,}; crop it, or check its voxel size."
        )
    require_contrast(volume)
    grid = resample(volume, shape)
    normalised = normalise(grid, settings.percentile)
    return PreparedInput(normalised.data, grid, normalised.scale)


def simulate_target(atoms: Atoms, grid: Volume, resolution: float, rule: TargetSettings) -> Volume:
    """Return the map that the network learns to make: Z-weighted Gaussians on `grid`.

    Parameters
    ----------
    atoms
        Heavy atoms, model frame.
    resolution
        Reported resolution in Å; the target is no coarser than `rule.maximum_resolution`.
    """
    return simulate_density(atoms, grid, target_sigma(resolution, rule))


def target_resolution(resolution: float, rule: TargetSettings) -> float:
    """Return the resolution in Å that the target stands for."""
    return min(resolution, rule.maximum_resolution)


def target_sigma(resolution: float, rule: TargetSettings) -> float:
    """Return the width in Å of the target's Gaussians."""
    return gaussian_sigma(target_resolution(resolution, rule), rule.sigma_rule)


def fraction_inside(atoms: Atoms, volume: Volume) -> float:
    """Return the share of atoms whose positions lie within the map's box, 0 to 1.

    The box reaches half a voxel beyond the centres of its outermost voxels.
    """
    indices = volume.to_grid(atoms.positions)
    upper = np.asarray(volume.shape[::-1]) - 0.5
    return float(((indices >= -0.5) & (indices < upper)).all(axis=1).mean())


def require_inside(atoms: Atoms, volume: Volume) -> float:
    """Return `fraction_inside`, or refuse a model that lies elsewhere.

    Raises
    ------
    ModelError
        When less than `MINIMUM_INSIDE` of the atoms lie within the box.
    """
    if len(atoms.positions) == 0:
        raise ModelError("the model has no atoms but hydrogens and waters.")
    inside = fraction_inside(atoms, volume)
    if inside < MINIMUM_INSIDE:
        centre = ", ".join(f"{value:.0f}" for value in atoms.positions.mean(axis=0))
        middle = np.asarray(volume.origin) + np.asarray(volume.box) / 2
        place = ", ".join(f"{value:.0f}" for value in middle)
        raise ModelError(
            f"only {inside:.0%} of the model's atoms lie inside the map (the model is centred at "
            f"{centre} Å, the map at {place} Å); fit the model into this map first."
        )
    return inside


def prepare_pair(
    map_path: Path | str,
    model_path: Path | str,
    resolution: float,
    settings: PreparationSettings,
    output_npy: Path | str,
) -> None:
    """Write a training pair: the normalised map and its normalised target, and their record.

    Parameters
    ----------
    resolution
        Reported resolution of the map, Å.
    output_npy
        float16 .npy of shape [2, nz, ny, nx]: 0 the map, 1 the target. The record bears the same
        name with the suffix .json. Both are the same bytes for the same inputs.

    Raises
    ------
    CryosamuError
        When a file cannot be used, the model lies outside the map, or nothing can be written.
    """
    output_npy = Path(output_npy)
    if output_npy.suffix != ".npy":
        raise CryosamuError(f"{output_npy}: prepared pairs are .npy files; end the name in .npy.")
    if not 0 < resolution <= 100:
        raise CryosamuError(f"a resolution of {resolution:g} Å is not one of a cryo-EM map.")
    volume = read_map(map_path)
    atoms = heavy_atoms(read_model(model_path))
    try:
        prepared = prepare_input(volume, settings)
        inside = require_inside(atoms, volume)
        target = simulate_target(atoms, prepared.grid, resolution, settings.target)
        wanted = normalise(target, settings.percentile)
    except MapError as error:
        raise MapError(f"{map_path}: {error}") from error
    except ModelError as error:
        raise ModelError(f"{model_path}: {error}") from error
    record = {
        "scale_map": prepared.scale,
        "scale_target": wanted.scale,
        "resolution": resolution,
        "target_resolution": target_resolution(resolution, settings.target),
        "target_sigma": target_sigma(resolution, settings.target),
        "fraction_inside": inside,
        "provenance": provenance_record(
            settings.model_dump(mode="json"), {"map": map_path, "model": model_path}
        ),
    }
    _write_pair(output_npy, prepared, wanted.data, record)


def _write_pair(
    output_npy: Path, prepared: PreparedInput, target: FloatArray, record: dict[str, Any]
) -> None:
    pair = np.stack([prepared.data, target]).astype(np.float16)
    frame = {
        "shape": list(pair.shape),
        "voxel_size": list(prepared.grid.voxel_size),
        "origin": list(prepared.grid.origin),
    }
    with (
        atomic_path(output_npy) as array_path,
        atomic_path(output_npy.with_suffix(".json")) as record_path,
    ):
        with open(array_path, "wb") as handle:
            np.save(handle, pair, allow_pickle=False)
        full = {"sha256": sha256_of(array_path), **frame, **record}
        record_path.write_text(json.dumps(full, indent=2) + "\n", encoding="utf-8")


def prepare_pairs(
    pairs: Sequence[Pair], settings: PreparationSettings, folder: Path, workers: int = 1
) -> Made:
    """Prepare each pair that is not yet, or that was prepared from something else.

    Parameters
    ----------
    folder
        Of the prepared pairs, each in a sub-folder by its id.
    workers
        Processes that prepare a pair each.
    """
    shared = {"settings": settings.model_dump(mode="json"), "code": stage_digest("prepare")}
    tasks = [
        Task(
            pair.emdb_id,
            (pair, settings, prepared_path(folder, pair)),
            {
                **shared,
                "map": pair.map_sha256,
                "model": pair.model_sha256,
                "resolution": pair.resolution,
            },
            (prepared_path(folder, pair), prepared_path(folder, pair).with_suffix(".json")),
        )
        for pair in pairs
    ]
    return make_tasks(tasks, _prepare, "prepared", workers)


def _prepare(given: tuple[Pair, PreparationSettings, Path]) -> None:
    pair, settings, output = given
    prepare_pair(pair.arrived_map(), pair.arrived_model(), pair.resolution, settings, output)


def prepared_path(folder: Path, pair: Pair) -> Path:
    """Return where a pair lies in a folder of prepared ones."""
    return member_folder(folder, pair.emdb_id) / f"{pair.emdb_id}.npy"


def prepared_table(pairs: Sequence[Pair], folder: Path) -> pd.DataFrame:
    """Return the rows of `tables.PREPARED`, from the records beside the prepared pairs."""
    rows = []
    for pair in pairs:
        path = prepared_path(folder, pair)
        record = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        rows.append(
            {
                "emdb_id": pair.emdb_id,
                "path": str(path),
                "bytes": path.stat().st_size,
                "sha256": record["sha256"],
                "resolution": record["resolution"],
                "scale_map": record["scale_map"],
                "scale_target": record["scale_target"],
                "fraction_inside": record["fraction_inside"],
                "settings": json.dumps(record["provenance"]["settings"], sort_keys=True),
            }
        )
    return pd.DataFrame(rows, columns=PREPARED.names)
