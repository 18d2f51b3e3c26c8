"""Local measures on densities whose figures are known."""

import gemmi
import numpy as np
import pytest
from small_pairs import empty, molecule, noise

from cryosamu.evaluation.local_correlation import (
    image_radius,
    local_correlations,
    local_radius,
    near_atoms,
)
from cryosamu.evaluation.local_fsc import first_crossing, local_resolutions
from cryosamu.evaluation.q_score import SHELLS, free_radii, q_scores, sphere_directions
from cryosamu.evaluation.residues import residues_of
from cryosamu.volume.fourier import low_pass

GRID = empty((80, 80, 80), (0.25, 0.25, 0.25))


def gaussian(centre, sigma, grid=GRID):
    nz, ny, nx = grid.shape
    k, j, i = np.mgrid[:nz, :ny, :nx]
    places = np.stack([i, j, k], axis=-1) * grid.voxel_size
    squared = ((places - centre) ** 2).sum(axis=-1)
    return np.exp(-squared / (2 * sigma**2)).astype(np.float32)


def test_an_atom_shaped_like_the_reference_scores_one():
    centre = np.array([[10.1, 9.9, 10.05]])
    free = free_radii(centre)
    assert np.isinf(free).all()
    for sigma in (0.6, 0.4):
        data = gaussian(centre[0], sigma)
        assert q_scores(data, GRID, centre, free, sigma)[0] == pytest.approx(1, abs=2e-3)
    # Any scale and offset will do; a hole scores minus one.
    data = 5 - 3 * gaussian(centre[0], 0.6)
    assert q_scores(data, GRID, centre, free)[0] == pytest.approx(-1, abs=2e-3)


def test_a_wider_atom_scores_the_correlation_of_two_gaussians():
    centre = np.array([[10.0, 10.0, 10.0]])
    expected = np.corrcoef(np.exp(-(SHELLS**2) / (2 * 1.5**2)), np.exp(-(SHELLS**2) / 0.72))[0, 1]
    found = q_scores(gaussian(centre[0], 1.5), GRID, centre, free_radii(centre))
    assert found[0] == pytest.approx(expected, abs=2e-3)


def test_flat_density_and_places_outside_score_nothing():
    centre = np.array([[10.0, 10.0, 10.0], [500.0, 0.0, 0.0]])
    flat = np.ones(GRID.shape, np.float32)
    assert q_scores(flat, GRID, centre, free_radii(centre)).tolist() == [0, 0]


def test_free_radii_are_those_of_the_nearest_atom_search():
    positions = np.random.default_rng(0).uniform(0, 9, (60, 3))
    free = free_radii(positions)
    directions = sphere_directions(32)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1)
    for radius in SHELLS[[0, 9, 19]]:
        points = positions[:, None] + radius * directions
        distances = np.linalg.norm(points[:, :, None] - positions, axis=-1)
        nearest = distances.argmin(axis=-1) == np.arange(60)[:, None]
        np.testing.assert_array_equal(radius <= free, nearest)


def test_radii_are_those_of_cctbx():
    """`maptbx.atom_curves.image` of cctbx 2025.11, radius_step 0.01."""
    for resolution, b_factor, expected in (
        (3.2, 50, 2.73), (4, 0, 3.21), (4, 60, 3.35), (5, 100, 4.17), (8, 100, 6.49),
        (7.6, 200, 6.29),
    ):  # fmt: skip
        assert image_radius(resolution, b_factor) == pytest.approx(expected, abs=1e-6)
    assert local_radius(2.0, 20) == 3
    assert local_radius(12.0, 20) == 10


@pytest.mark.parametrize("voxel", [(1.1, 1.2, 1.3), (4.0, 4.0, 4.0)])
def test_residues_are_correlated_over_the_voxels_near_them(voxel):
    grid = empty((12, 13, 11), voxel, (3.0, -4.0, 5.0))
    structure = molecule(atoms=15, centre=(6.0, 4.0, 9.0))
    residues = residues_of(structure[0])
    data, other = noise(grid).data, noise(grid, 1).data
    found = local_correlations(data, other, grid, residues, 4.5)
    k, j, i = np.mgrid[: grid.shape[0], : grid.shape[1], : grid.shape[2]]
    places = np.stack([i, j, k], axis=-1) * grid.voxel_size + grid.origin
    covered = np.zeros(grid.shape, bool)
    for number, position in enumerate(residues.positions):
        apart = places - position
        apart -= np.round(apart / grid.box) * grid.box
        near = (apart**2).sum(axis=-1) <= 4.5**2
        expected = np.corrcoef(data[near], other[near])[0, 1]
        assert found.residues[number] == pytest.approx(expected, abs=1e-6)
        covered |= near
    assert found.chains["A"] == pytest.approx(
        np.corrcoef(data[covered], other[covered])[0, 1], abs=1e-6
    )
    moved = structure[0].clone()
    moved.transform_pos_and_adp(gemmi.Transform(gemmi.Mat33(), -gemmi.Vec3(*grid.origin)))
    np.testing.assert_array_equal(near_atoms(moved, grid, 4.5), covered)


def test_local_resolution_finds_the_side_that_is_blurred():
    grid = empty((72, 40, 40), (1.0, 1.0, 1.0), (7.0, 8.0, 9.0))
    sharp = noise(grid)
    blurred = low_pass(sharp, 8.0).data + 0.05 * noise(grid, 1).data
    data = sharp.data.copy()
    data[36:] = blurred[36:]
    centres = np.array([[27.0, 28, 9 + 16], [27.0, 28, 9 + 54]])
    found = local_resolutions(data, sharp.data, grid, centres, 28.0, 0.5)
    assert found[0] == pytest.approx(2.0)
    assert found[1] == pytest.approx(8.0, abs=1.0)
    same = local_resolutions(sharp.data, sharp.data, grid, centres, 28.0, 0.143)
    assert same.tolist() == [2.0, 2.0]
    nothing = local_resolutions(0 * sharp.data, sharp.data, grid, centres, 28.0, 0.5)
    assert np.isnan(nothing).all()


def test_crossings_are_interpolated():
    curve = np.array([1.0, 0.9, 0.7, 0.4, 0.8])
    assert first_crossing(curve, 30.0, 2.0, 0.5) == pytest.approx(30 / (2 + 2 / 3))
    assert first_crossing(curve, 30.0, 2.0, 0.3) == 2.0
    assert first_crossing(curve, 30.0, 2.0, 0.95) == 30.0
