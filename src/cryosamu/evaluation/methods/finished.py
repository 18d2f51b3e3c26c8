"""Maps that were made elsewhere, brought to the deposited map's grid."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryosamu.errors import CryosamuError, MapError
from cryosamu.evaluation.methods.baselines import MethodMap, Setting
from cryosamu.files import require_file
from cryosamu.volume.grid import dirichlet_kernel
from cryosamu.volume.io import read_map
from cryosamu.volume.volume import FloatArray, Volume

_SAME_VOXEL = 1e-3
_SAME_ORIGIN = 0.05
_LEAST_COVERED = 0.5
"""Share of the deposited map's voxels that a finished map must reach."""


def read_finished(path: Path, deposited: Volume) -> MethodMap:
    """Return a finished map on the deposited map's grid.

    A map on another grid is interpolated trigonometrically at the deposited map's voxels, which is
    exact for what both grids hold; where it does not reach it is 0.

    Parameters
    ----------
    path
        A map, or the record (.json) that `cryosamu evaluate method` leaves of one.

    Raises
    ------
    CryosamuError
        When the file is neither, the record is that of a failure, or the map is elsewhere.
    """
    path = map_of_record(path) if path.suffix == ".json" else path
    volume = read_map(path)
    made: dict[str, Setting] = {"file": path.name}
    if on_same_grid(volume, deposited):
        return MethodMap(volume.data, made)
    data, covered = onto_grid(volume, deposited)
    if covered < _LEAST_COVERED:
        raise MapError(
            f"{path}: is elsewhere ({_grid(volume)}): it reaches {100 * covered:.0f} % of the "
            f"deposited map ({_grid(deposited)}); bring it to that frame first."
        )
    return MethodMap(data, {**made, "resampled_from": _grid(volume), "covered": round(covered, 4)})


def map_of_record(path: Path) -> Path:
    """Return the map beside the record of a method's run.

    Raises
    ------
    CryosamuError
        With the run's own reason where it failed.
    """
    require_file(path, "record of a method")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["status"] != "ok":
            raise CryosamuError(str(record["error"]))
        # A plain name: a record cannot lead out of its folder.
        return path.with_name(str(record["map"]))
    except (ValueError, KeyError, TypeError) as error:
        raise CryosamuError(
            f"{path}: is not the record of a method; name the map itself, or make it with "
            "'cryosamu evaluate method'."
        ) from error


def on_same_grid(volume: Volume, deposited: Volume) -> bool:
    """Return whether two maps have the same voxels in the same places."""
    apart = np.abs(np.subtract(volume.origin, deposited.origin))
    return (
        volume.shape == deposited.shape
        and np.allclose(volume.voxel_size, deposited.voxel_size, rtol=_SAME_VOXEL)
        and bool((apart <= _SAME_ORIGIN * np.array(deposited.voxel_size)).all())
    )


def onto_grid(volume: Volume, target: Volume) -> tuple[FloatArray, float]:
    """Return a map at another grid's voxels, [nz, ny, nx], and the share of them that it reaches.

    The map is one period of a band-limited function; frequencies beyond the coarser grid's Nyquist
    limit are dropped. Voxels outside its box are 0.
    """
    data = volume.data
    covered = 1.0
    for axis in range(3):
        along = 2 - axis
        matrix, inside = _interpolation(
            volume.shape[axis],
            volume.voxel_size[along],
            target.origin[along] - volume.origin[along],
            target.shape[axis],
            target.voxel_size[along],
        )
        data = np.moveaxis(np.tensordot(matrix, data, axes=(1, axis)), 0, axis)
        covered *= float(inside.mean())
    return np.ascontiguousarray(data, np.float32), covered


def _interpolation(
    old: int, old_step: float, shift: float, new: int, new_step: float
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return the matrix [new, old] from a periodic grid to points, and which it reaches."""
    places = (shift + np.arange(new) * new_step) / old_step
    inside = (places >= -0.5) & (places <= old - 0.5)
    # A frequency h of the old grid is h / (old · step) in 1/Å.
    top = min((old - 1) // 2, int(old * old_step * 0.5 / new_step))
    offset = (places[:, None] - np.arange(old)[None, :]) / old
    matrix = dirichlet_kernel(offset, top) / old
    matrix[~inside] = 0
    return matrix.astype(np.float32), inside


def _grid(volume: Volume) -> str:
    shape = " x ".join(str(count) for count in reversed(volume.shape))
    voxel = ", ".join(f"{length:.3f}" for length in volume.voxel_size)
    origin = ", ".join(f"{length:.2f}" for length in volume.origin)
    return f"{shape} voxels of {voxel} Å from {origin} Å"
