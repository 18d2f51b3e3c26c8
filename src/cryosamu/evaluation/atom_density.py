"""The electrostatic density of a model's atoms, sampled as cctbx 2025.11 samples it.

Form factors of International Tables vol. C, 4.3.2.2 (five Gaussians), deposited B factors and
occupancies, all atoms. An artificial B factor guards against aliasing and is taken off the
transform again (G. Bricogne, International Tables vol. B, 1.3.4.4.5). Each atom is cut at a
radius; cctbx's choice of it moves CC_box by up to 0.002, so it is taken over to the grid point.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import gemmi
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from cryosamu.errors import ModelError

_SLAB_VOXELS = 40_000_000
"""Fine voxels that are held at once: 160 MB."""

_BISECTIONS = 30
_SECANT_STEPS = 6
_RADIUS_TOLERANCE = 0.002
"""Å."""


@dataclass(frozen=True)
class Scatterers:
    """The atoms that scatter, one row each.

    Attributes
    ----------
    atoms
        gemmi's atoms, of positive occupancy.
    positions
        float64 [atoms, 3], Å.
    b_low, b_high
        float64 [atoms]: smallest and largest principal B factor, Å².
    amplitudes, widths
        float64 [atoms, 5]: a (times the occupancy) and b (Å²) of Σ a exp(−b s² / 4).
    """

    atoms: list[gemmi.Atom]
    positions: NDArray[np.float64]
    b_low: NDArray[np.float64]
    b_high: NDArray[np.float64]
    amplitudes: NDArray[np.float64]
    widths: NDArray[np.float64]

    def density(self, distances: NDArray[np.float64], blur: float) -> NDArray[np.float64]:
        """Return each atom's density at a distance of its own, [atoms] -> [atoms].

        Σ a (4π / B)^{3/2} exp(−4π² r² / B) with B = b + B factor + blur.
        """
        b = self.widths + (self.b_high + blur)[:, None]
        gaussians = np.exp(-4 * math.pi**2 * distances[:, None] ** 2 / b)
        total: NDArray[np.float64] = np.sum(
            self.amplitudes * (4 * math.pi / b) ** 1.5 * gaussians, axis=1
        )
        return total


@dataclass(frozen=True)
class Sampling:
    """How finely the density is sampled.

    Attributes
    ----------
    shape
        Fine grid (nx, ny, nz).
    steps
        Its spacing (x, y, z), Å.
    blur
        Artificial B factor, Å²; negative where the model's own leave room.
    cutoff
        Density below which an atom is left out.
    """

    shape: tuple[int, int, int]
    steps: tuple[float, float, float]
    blur: float
    cutoff: float


def scatterers_of(model: gemmi.Model) -> Scatterers:
    """Return the atoms that scatter.

    Raises
    ------
    ModelError
        When no atom has a positive occupancy.
    """
    atoms = [site.atom for site in model.all() if site.atom.occ > 0]
    if not atoms:
        raise ModelError("no atom of the model has a positive occupancy; check the file.")
    factors = {name: gemmi.Element(name).c4322 for name in {atom.element.name for atom in atoms}}
    b_factors = np.array([_principal_b_factors(atom) for atom in atoms])
    occupancies = np.array([atom.occ for atom in atoms])
    return Scatterers(
        atoms=atoms,
        positions=np.array([atom.pos.tolist() for atom in atoms]),
        b_low=b_factors[:, 0],
        b_high=b_factors[:, 1],
        amplitudes=occupancies[:, None] * [factors[atom.element.name].a for atom in atoms],
        widths=np.array([factors[atom.element.name].b for atom in atoms]),
    )


def _principal_b_factors(atom: gemmi.Atom) -> tuple[float, float]:
    if not atom.aniso.nonzero():
        return atom.b_iso, atom.b_iso
    principal = 8 * math.pi**2 * np.linalg.eigvalsh(atom.aniso.as_mat33().tolist())
    return float(principal[0]), float(principal[-1])


def choose_sampling(
    scatterers: Scatterers, box: tuple[float, float, float], d_min: float
) -> Sampling:
    """Return the sampling that holds coefficients to `d_min` Å in a box (x, y, z) in Å."""
    step, quality, wing = _accuracy(d_min)
    nx, ny, nz = (scipy.fft.next_fast_len(math.ceil(e / step), real=True) for e in box)
    oversampling = d_min / (2 * step)
    damping = math.log10(quality) * d_min**2 / (oversampling * (oversampling - 1))
    blur = damping - float(scatterers.b_low.min())
    peaks = scatterers.density(np.zeros(len(scatterers.atoms)), blur)
    return Sampling(
        shape=(nx, ny, nz),
        steps=(box[0] / nx, box[1] / ny, box[2] / nz),
        blur=blur,
        cutoff=wing * float(peaks.mean()),
    )


def _accuracy(d_min: float) -> tuple[float, float, float]:
    """Return fine grid step (Å), quality factor, and the cut-off as a share of the mean peak."""
    if d_min < 5:
        return d_min / 3, 100, 1e-3
    return (2.0 if d_min < 10 else 3.0), 1000, 1e-4


def cut_radii(scatterers: Scatterers, sampling: Sampling) -> NDArray[np.float64]:
    """Return the radius in Å at which each atom is cut, [atoms].

    The distance of the last fine grid point, on a line along an axis through the atom, at which
    its density still reaches the cut-off; the farthest of the six directions counts.
    """
    low = np.zeros(len(scatterers.atoms))
    high = np.full_like(low, 2.0)
    while (growing := scatterers.density(high, sampling.blur) > sampling.cutoff).any():
        high[growing] *= 2
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        dense = scatterers.density(middle, sampling.blur) >= sampling.cutoff
        low, high = np.where(dense, middle, low), np.where(dense, high, middle)
    steps = np.array(sampling.steps)
    offset = scatterers.positions / steps % 1
    reach = low[:, None] / steps
    distances = [(np.floor(reach + sign * offset) - sign * offset) * steps for sign in (1, -1)]
    radii: NDArray[np.float64] = np.max(distances, axis=(0, 2))
    return np.maximum(radii, 0)


def density_slabs(
    scatterers: Scatterers, sampling: Sampling
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield slabs of density that add up to the model's: (first plane, float32 [z, ny, nx]).

    Planes count from the first of the fine grid and may be negative or past its end: the box is
    periodic. A slab's voxels are overwritten by the next.
    """
    nx, ny, nz = sampling.shape
    radii = cut_radii(scatterers, sampling)
    reach = math.ceil(radii.max() / sampling.steps[2]) + 1
    thickness = max(1, _SLAB_VOXELS // (nx * ny) - 2 * reach)
    if thickness + 2 * reach >= nz:
        thickness, reach = nz, 0
    painter = _Painter(sampling, thickness + 2 * reach)
    heights = scatterers.positions[:, 2] / sampling.steps[2] % nz
    for first in range(0, nz, thickness):
        chosen = np.flatnonzero((heights >= first) & (heights < first + thickness))
        if chosen.size:
            lowered = (heights[chosen] - first + reach) * sampling.steps[2]
            atoms = (scatterers.atoms[place] for place in chosen)
            yield first - reach, painter.paint(atoms, lowered, radii[chosen])


class _Painter:
    """gemmi's density calculator on a slab of the fine grid, with a radius given for each atom."""

    def __init__(self, sampling: Sampling, planes: int) -> None:
        nx, ny, _ = sampling.shape
        x, y, z = sampling.steps
        self._cutoff = sampling.cutoff
        self._calculator = gemmi.DensityCalculatorE()
        self._calculator.blur = sampling.blur
        grid = self._calculator.grid
        grid.spacegroup = gemmi.SpaceGroup("P 1")
        grid.set_size(nx, ny, planes)
        grid.set_unit_cell(gemmi.UnitCell(nx * x, ny * y, planes * z, 90, 90, 90))

    def paint(
        self,
        atoms: Iterator[gemmi.Atom],
        heights: NDArray[np.float64],
        radii: NDArray[np.float64],
    ) -> NDArray[np.float32]:
        """Return the density of atoms at `heights` Å above the slab's first plane."""
        grid = self._calculator.grid
        grid.fill(0)
        for atom, height, radius in zip(atoms, heights.tolist(), radii.tolist(), strict=True):
            placed = atom.clone()
            placed.pos.z = height
            self._set_radius(placed, radius)
            self._calculator.add_atom_density_to_grid(placed)
        density: NDArray[np.float32] = np.array(grid, copy=False).T
        return density

    def _set_radius(self, atom: gemmi.Atom, radius: float) -> None:
        """Set the cut-off from which gemmi's estimate of the radius comes out as `radius`.

        gemmi cuts where its estimate of the density falls below the cut-off: secant steps on the
        cut-off find the one that belongs to a radius.
        """
        cutoff, trial = self._cutoff, 1.1 * self._cutoff
        found = self._radius_at(atom, cutoff)
        for _ in range(_SECANT_STEPS):
            if abs(found - radius) < _RADIUS_TOLERANCE:
                break
            tried = self._radius_at(atom, trial)
            slope = (tried - found) / (trial - cutoff)
            cutoff, found = trial, tried
            if slope >= 0:
                break  # the estimate has reached its end
            trial = max(cutoff + (radius - found) / slope, cutoff / 10)

    def _radius_at(self, atom: gemmi.Atom, cutoff: float) -> float:
        self._calculator.cutoff = cutoff
        return float(self._calculator.estimate_radius(atom))
