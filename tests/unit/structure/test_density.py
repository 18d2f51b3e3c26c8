import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryosamu.structure.density import gaussian_sigma, simulate_density
from cryosamu.structure.model import Atoms
from cryosamu.volume.volume import Volume


def atoms_at(positions, numbers=None, occupancies=None):
    positions = np.asarray(positions, np.float64).reshape(-1, 3)
    n = len(positions)
    return Atoms(
        positions,
        np.full(n, 6) if numbers is None else np.asarray(numbers),
        np.zeros(n),
        np.ones(n) if occupancies is None else np.asarray(occupancies, float),
    )


def grid_of(shape, voxel_size=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0)):
    return Volume(np.zeros(shape, np.float32), voxel_size, origin)


def summed_directly(atoms, grid, sigmas, weights, cutoff=4.0):
    """The formula at every voxel and atom, in the order of its symbols."""
    k, j, i = np.indices(grid.shape)
    x = grid.origin[0] + i * grid.voxel_size[0]
    y = grid.origin[1] + j * grid.voxel_size[1]
    z = grid.origin[2] + k * grid.voxel_size[2]
    total = np.zeros(grid.shape)
    for (ax, ay, az), sigma, weight in zip(atoms.positions, sigmas, weights, strict=True):
        near = np.ones(grid.shape, bool)
        for coordinate, centre in ((x, ax), (y, ay), (z, az)):
            near &= np.abs(coordinate - centre) <= cutoff * sigma
        squared = (x - ax) ** 2 + (y - ay) ** 2 + (z - az) ** 2
        theta = (2 * math.pi * sigma**2) ** -1.5
        total += near * weight * theta * np.exp(-squared / (2 * sigma**2))
    return total


@pytest.mark.parametrize(
    ("rule", "sigma"),
    [
        # k = (π / 0.9 R)² with R = 4: k = 0.76154, σ = 1 / √(2k)
        ("cryoten", 0.81028),
        ("tempy", 1.424),
        ("chimerax", 0.9),
        # k = (π / (2.4 + 0.8 · 4))² = 0.31472
        ("eman", 1.26044),
    ],
)
def test_the_width_of_each_convention_at_4_angstrom(rule, sigma):
    assert gaussian_sigma(4.0, rule) == pytest.approx(sigma, abs=1e-5)


@given(
    seed=st.integers(0, 1000),
    shape=st.tuples(*[st.integers(1, 14)] * 3),
    voxel_size=st.tuples(*[st.floats(0.5, 2.5)] * 3),
    origin=st.tuples(*[st.floats(-50, 50)] * 3),
)
@settings(max_examples=60, deadline=None)
def test_the_density_is_the_sum_over_atoms(seed, shape, voxel_size, origin):
    rng = np.random.default_rng(seed)
    grid = grid_of(shape, voxel_size, origin)
    n = 12
    box = np.asarray(grid.box)
    positions = np.asarray(origin) + rng.uniform(-0.3, 1.3, (n, 3)) * box  # some outside
    atoms = atoms_at(positions, rng.integers(6, 17, n), rng.uniform(0, 1, n))
    sigmas = rng.uniform(0.4, 2.5, n)
    weights = atoms.atomic_numbers * atoms.occupancies
    expected = summed_directly(atoms, grid, sigmas, weights)
    found = simulate_density(atoms, grid, sigmas)
    assert np.abs(found.data - expected).max() < 1e-6 * max(1.0, expected.max())
    assert (found.voxel_size, found.origin) == (grid.voxel_size, grid.origin)


def test_one_sigma_for_all_and_given_weights():
    grid = grid_of((12, 13, 14), (1.1, 1.0, 0.9), (2.0, -3.0, 5.0))
    atoms = atoms_at([[8.0, 2.0, 9.0], [9.5, 3.0, 11.0]])
    expected = summed_directly(atoms, grid, [1.3, 1.3], [2.5, -1.0])
    found = simulate_density(atoms, grid, 1.3, np.array([2.5, -1.0]))
    assert np.abs(found.data - expected).max() < 1e-7


@pytest.mark.parametrize("sigma", [0.81, 1.5])
@pytest.mark.parametrize("voxel_size", [(1.0, 1.0, 1.0), (0.8, 1.0, 1.2)])
def test_the_integral_is_the_sum_of_the_weights(sigma, voxel_size):
    rng = np.random.default_rng(4)
    grid = grid_of((60, 60, 60), voxel_size)
    positions = rng.uniform(0.3, 0.7, (500, 3)) * grid.box
    atoms = atoms_at(positions, rng.integers(6, 17, 500), rng.uniform(0.5, 1, 500))
    found = simulate_density(atoms, grid, sigma)
    total = found.data.sum(dtype=np.float64) * math.prod(voxel_size)
    # What the cut-off at 4σ along each axis leaves: erf(4 / √2)³.
    kept = math.erf(4 / math.sqrt(2)) ** 3
    expected = kept * (atoms.atomic_numbers * atoms.occupancies).sum()
    assert total == pytest.approx(expected, rel=3e-4)


def test_a_shift_by_whole_voxels_shifts_the_density():
    atoms = atoms_at(np.random.default_rng(1).uniform(8, 12, (30, 3)))
    grid = grid_of((20, 20, 20))
    moved = atoms_at(atoms.positions + np.array([2.0, -1.0, 3.0]))
    expected = np.roll(simulate_density(atoms, grid, 0.9).data, (3, -1, 2), (0, 1, 2))
    assert np.abs(simulate_density(moved, grid, 0.9).data - expected).max() < 1e-6


def test_atoms_outside_the_box_leave_no_trace_and_the_box_is_not_periodic():
    grid = grid_of((10, 10, 10))
    far = [[1e30, 5, 5], [-1e30, 5, 5], [5, 15, 5], [5, 5, -4.1], [5e6, 5e6, 5e6]]
    assert simulate_density(atoms_at(far), grid, 1.0).data.max() == 0
    edge = simulate_density(atoms_at([[0.0, 5.0, 5.0]]), grid, 1.0).data
    assert edge[5, 5, 0] > 0
    assert edge[:, :, 5:].max() == 0


def test_no_atoms_are_an_empty_map():
    assert simulate_density(atoms_at([]), grid_of((4, 5, 6)), 1.0).data.shape == (4, 5, 6)


def test_batches_of_atoms_add_up():
    """More atoms than one batch, against two halves."""
    rng = np.random.default_rng(2)
    positions = rng.uniform(3, 17, (20_000, 3))
    grid = grid_of((20, 20, 20))
    whole = simulate_density(atoms_at(positions), grid, 0.8).data
    halves = [simulate_density(atoms_at(part), grid, 0.8).data for part in np.split(positions, 2)]
    assert np.abs(whole - sum(halves)).max() < 1e-4 * whole.max()


def test_five_thousand_atoms_take_a_fraction_of_a_second():
    atoms = atoms_at(np.random.default_rng(0).uniform(10, 90, (5000, 3)))
    start = time.process_time()
    simulate_density(atoms, grid_of((100, 100, 100)), 0.81)
    assert time.process_time() - start < 1.0  # seen: 0.02 s
