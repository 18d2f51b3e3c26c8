import math

import gemmi
import numpy as np
import pytest
import scipy.fft
from small_pairs import empty, molecule, moved

from cryosamu.errors import ModelError
from cryosamu.evaluation import atom_density
from cryosamu.evaluation.atom_density import (
    choose_sampling,
    cut_radii,
    density_slabs,
    scatterers_of,
)
from cryosamu.evaluation.frame import in_box
from cryosamu.evaluation.structure_factors import corner_spacing, measured, model_coefficients


def by_summation(boxed, grid, d_min):
    """Σ f(s) exp(−B s²/4) exp(−2πi h·x) over the atoms, for every measured h with d >= d_min."""
    nz, ny, nx = grid.shape
    ell, k, h = np.meshgrid(
        np.fft.fftfreq(nz, 1 / nz),
        np.fft.fftfreq(ny, 1 / ny),
        np.arange(nx // 2 + 1),
        indexing="ij",
    )
    s = np.stack([h, k, ell], axis=-1) / grid.box
    squared = (s**2).sum(axis=-1)
    total = np.zeros(squared.shape, complex)
    for site in boxed[0].all():
        atom = site.atom
        coefficients = atom.element.c4322
        form = sum(
            a * np.exp(-b * squared / 4)
            for a, b in zip(coefficients.a, coefficients.b, strict=True)
        )
        if atom.aniso.nonzero():
            u = np.array(atom.aniso.as_mat33().tolist())
            damping = np.exp(-2 * np.pi**2 * np.einsum("...i,ij,...j", s, u, s))
        else:
            damping = np.exp(-atom.b_iso * squared / 4)
        total += atom.occ * form * damping * np.exp(-2j * np.pi * (s @ atom.pos.tolist()))
    return np.where(measured(grid.shape) & (squared <= 1 / d_min**2), total, 0)


def relative_error(found, expected):
    scale = np.vdot(found, expected) / np.vdot(found, found)
    assert abs(scale.imag / scale.real) < 2e-3
    return np.linalg.norm(scale * found - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize("d_min", [2.9, 4.0])
@pytest.mark.parametrize("shape", [(30, 28, 25), (31, 27, 24)])
def test_agree_with_direct_summation(shape, d_min):
    grid = empty(shape)
    boxed = in_box(molecule(), grid)
    found = model_coefficients(boxed, grid, d_min)
    # cctbx cuts atoms at 1/1000 of the mean peak: agreement is no better than that allows.
    assert relative_error(found, by_summation(boxed, grid, d_min)) < 0.01


def test_agree_with_direct_summation_closely_where_atoms_are_cut_late():
    grid = empty()
    boxed = in_box(molecule(), grid)
    found = model_coefficients(boxed, grid, 6.0)
    assert relative_error(found, by_summation(boxed, grid, 6.0)) < 3e-3


def test_anisotropic_atoms_count_as_such():
    structure = molecule(atoms=12)
    for site in structure[0].all():
        u = gemmi.SMat33f(0.9, 0.3, 0.5, 0.05, -0.1, 0.0)
        site.atom.aniso = u
    grid = empty()
    boxed = in_box(structure, grid)
    assert (
        relative_error(model_coefficients(boxed, grid, 3.0), by_summation(boxed, grid, 3.0)) < 0.01
    )


def test_slabs_add_up_to_the_whole(monkeypatch):
    grid = empty()
    boxed = in_box(molecule(spread=16), grid)
    whole = model_coefficients(boxed, grid, 3.0)
    scatterers = scatterers_of(boxed[0])
    sampling = choose_sampling(scatterers, grid.box, 3.0)
    monkeypatch.setattr(atom_density, "_SLAB_VOXELS", sampling.shape[0] * sampling.shape[1] * 14)
    assert sum(1 for _ in density_slabs(scatterers, sampling)) > 3
    sliced = model_coefficients(boxed, grid, 3.0)
    np.testing.assert_allclose(sliced, whole, atol=1e-5 * abs(whole).max())


def test_radii_are_where_the_last_grid_point_reaches_the_cut_off():
    grid = empty()
    scatterers = scatterers_of(in_box(molecule(atoms=8), grid)[0])
    sampling = choose_sampling(scatterers, grid.box, 3.0)
    radii = cut_radii(scatterers, sampling)
    for place, position in enumerate(scatterers.positions):
        reached = []
        for axis in range(3):
            step = sampling.steps[axis]
            for index in range(-60, 200):
                distance = abs(index * step - position[axis])
                distances = np.zeros(len(radii))
                distances[place] = distance
                if scatterers.density(distances, sampling.blur)[place] >= sampling.cutoff:
                    reached.append(distance)
        assert radii[place] == pytest.approx(max(reached), abs=1e-6)


def test_painted_atoms_end_at_their_radii():
    grid = empty()
    structure = molecule(atoms=1, spread=0.0)
    scatterers = scatterers_of(in_box(structure, grid)[0])
    sampling = choose_sampling(scatterers, grid.box, 3.0)
    ((first, density),) = density_slabs(scatterers, sampling)
    z, y, x = np.nonzero(density)
    points = np.stack([x, y, z + first], axis=1) * sampling.steps
    farthest = np.linalg.norm(points - scatterers.positions[0], axis=1).max()
    (radius,) = cut_radii(scatterers, sampling)
    assert radius - max(sampling.steps) < farthest < radius + 0.003


def test_density_integrates_to_the_form_factor_at_zero():
    structure = molecule(atoms=1, spread=0.0)
    scatterers = scatterers_of(structure[0])
    radii = np.linspace(0, 30, 30001)
    shells = [float(scatterers.density(np.array([r]), 10.0)[0]) * 4 * math.pi * r**2 for r in radii]
    expected = sum(gemmi.Element("C").c4322.a) * 0.5
    assert np.trapezoid(shells, radii) == pytest.approx(expected, rel=1e-5)


def test_a_box_shifted_by_whole_periods_changes_nothing():
    grid = empty()
    structure = molecule()
    here = model_coefficients(in_box(structure, grid), grid, 3.0)
    there = model_coefficients(in_box(moved(structure, grid.box), grid), grid, 3.0)
    np.testing.assert_allclose(there, here, atol=2e-4 * abs(here).max())


def test_corner_spacing_is_of_the_finest_measured_coefficient():
    grid = empty()
    s = [((n - 1) // 2) / edge for n, edge in zip(grid.shape[::-1], grid.box, strict=True)]
    assert corner_spacing(grid) == pytest.approx(1 / np.sqrt(np.sum(np.square(s))))
    assert measured((4, 5, 6)).sum() == 3 * 5 * 3 - 1
    assert measured((4, 5, 6)).shape == scipy.fft.rfftn(np.zeros((4, 5, 6))).shape


def test_a_model_without_occupied_atoms_is_refused():
    structure = molecule(atoms=3)
    for site in structure[0].all():
        site.atom.occ = 0
    grid = empty()
    with pytest.raises(ModelError, match="positive occupancy"):
        model_coefficients(in_box(structure, grid), grid, 3.0)
