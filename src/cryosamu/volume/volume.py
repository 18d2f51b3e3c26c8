"""The map as this software holds it: an array in z, y, x order with its place in space.

One frame is used throughout, the *model frame*: Cartesian Å, x y z order, in which the
coordinates of the deposited model are given. Voxel (0, 0, 0) of `Volume.data` has its centre at
`Volume.origin` in that frame, and voxel [k, j, i] at ``origin + (i, j, k) * voxel_size``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class FileFrame:
    """What an MRC/CCP4 header says of the frame, kept so that it can be written back unchanged.

    Attributes
    ----------
    axis_order
        (mapc, mapr, maps): which of x = 1, y = 2, z = 3 the columns, rows and sections are.
    nstart
        (nxstart, nystart, nzstart) as stored, in the file's column, row, section order.
    origin
        (x, y, z) of the header's origin words, Å.
    sampling
        (mx, my, mz): intervals along the cell's x, y, z.
    cell
        (a, b, c) in Å; the angles are 90°.
    space_group
        `ispg`: 1 for a map of a volume, 0 for an image stack.
    labels
        The header's text labels, at most ten, with the blanks that end them.
    symmetry
        Symmetry operators as text, 80 bytes each, where the file's extended header holds them.
    """

    axis_order: tuple[int, int, int]
    nstart: tuple[int, int, int]
    origin: tuple[float, float, float]
    sampling: tuple[int, int, int]
    cell: tuple[float, float, float]
    space_group: int = 1
    labels: tuple[str, ...] = ()
    symmetry: bytes = b""


@dataclass(frozen=True)
class Volume:
    """A map on an orthogonal grid.

    Attributes
    ----------
    data
        float32 array [nz, ny, nx].
    voxel_size
        (x, y, z) in Å.
    origin
        Position of the centre of voxel (0, 0, 0) in the model frame, (x, y, z) in Å.
    frame
        The header that the map came with, or None for a map that was computed.
    """

    data: FloatArray
    voxel_size: tuple[float, float, float]
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    frame: FileFrame | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.data.ndim != 3:
            raise ValueError(f"a volume has 3 axes, not {self.data.ndim}: shape {self.data.shape}")
        if self.data.dtype != np.float32:
            raise ValueError(f"a volume holds float32, not {self.data.dtype}")
        if min(self.voxel_size) <= 0:
            raise ValueError(f"voxel size must be positive, not {self.voxel_size}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(nz, ny, nx)."""
        nz, ny, nx = self.data.shape
        return nz, ny, nx

    @property
    def box(self) -> tuple[float, float, float]:
        """Edge lengths (x, y, z) of the periodic box, n · voxel size, in Å."""
        nz, ny, nx = self.shape
        x, y, z = self.voxel_size
        return nx * x, ny * y, nz * z

    def with_data(self, data: FloatArray) -> Volume:
        """Return this frame around other voxels of the same shape.

        Raises
        ------
        ValueError
            When the shape is another.
        """
        if data.shape != self.data.shape:
            raise ValueError(f"shape {data.shape} does not fit a frame of shape {self.data.shape}")
        return replace(self, data=np.ascontiguousarray(data, dtype=np.float32))

    def to_grid(self, positions: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return fractional voxel indices [..., (i, j, k)] = (x, y, z) of model-frame positions.

        Parameters
        ----------
        positions
            [..., 3] array of x, y, z in Å, model frame.
        """
        return (np.asarray(positions, np.float64) - self.origin) / self.voxel_size

    def to_model_frame(self, indices: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return model-frame positions (x, y, z) in Å of voxel indices [..., (i, j, k)]."""
        return np.asarray(indices, np.float64) * self.voxel_size + self.origin
