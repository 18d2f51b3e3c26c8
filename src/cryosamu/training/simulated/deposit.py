"""Atoms onto grids: cubic B-splines laid down in real space, divided out of the spectrum.

A spline of order 4 spreads an atom over 4³ voxels; its transform, sinc⁴ along each axis, is known,
so that dividing by it leaves point atoms (smooth particle mesh Ewald: Essmann et al. 1995). What
remains of neighbouring periods of the grid is (s / (1 − s))⁴ of the signal, s in cycles a voxel:
1 % at 0.25.
"""

from __future__ import annotations

import torch
from torch import Tensor


def deposit(grids: Tensor, positions: Tensor, channels: Tensor, weights: Tensor) -> None:
    """Add atoms to grids, in place.

    Parameters
    ----------
    grids
        float32 [n, edge, edge, edge], axes z, y, x; periodic.
    positions
        float32 [atoms, 3]: x, y, z in voxels.
    channels
        int64 [atoms]: the grid that an atom belongs to.
    weights
        float32 [atoms].
    """
    edge = grids.shape[-1]
    base = positions.floor()
    fraction = positions - base
    splines = _cubic_spline(fraction)
    offsets = torch.arange(-1, 3, device=positions.device)
    places = (base.long()[:, :, None] + offsets) % edge
    x, y, z = places.unbind(1)
    wx, wy, wz = splines.unbind(1)
    rows = (channels[:, None, None] * edge + z[:, :, None]) * edge + y[:, None, :]
    index = rows[..., None] * edge + x[:, None, None, :]
    values = (weights[:, None] * wz)[:, :, None, None] * wy[:, None, :, None]
    values = values * wx[:, None, None, :]
    grids.view(-1).index_add_(0, index.flatten(), values.flatten())


def _cubic_spline(fraction: Tensor) -> Tensor:
    """Return the spline's values at the four nearest grid points [..., 4] of points in a cell."""
    t = fraction
    values = (
        (1 - t) ** 3,
        3 * t**3 - 6 * t**2 + 4,
        -3 * t**3 + 3 * t**2 + 3 * t + 1,
        t**3,
    )
    return torch.stack(values, dim=-1) / 6


def inverse_spline(edge: int, device: torch.device) -> Tensor:
    """Return what the half spectrum [edge, edge, edge/2 + 1] is to be multiplied by."""
    whole = torch.sinc(torch.fft.fftfreq(edge, device=device)) ** 4
    half = torch.sinc(torch.fft.rfftfreq(edge, device=device)) ** 4
    return 1 / (whole[:, None, None] * whole[:, None] * half)
