import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryosamu.errors import ModelError
from cryosamu.structure.model import Atoms
from cryosamu.structure.simulation import (
    ATOM_B_FACTOR,
    MOLECULE_RADIUS,
    SimulationParameters,
    distance_to_atoms,
    draw_parameters,
    simulate_map,
    smooth_b_factors,
    soft_edge,
)
from cryosamu.volume.volume import Volume

BARE = SimulationParameters(
    resolution=5.0, b_factor_variation=0.0, noise_to_signal=0.0, solvent_level=0.0
)


def atoms_at(positions):
    positions = np.asarray(positions, float)
    count = len(positions)
    return Atoms(positions, np.full(count, 6), np.zeros(count), np.ones(count))


def globule(count=400, seed=1):
    """Carbons at random in a ball, 17 Å³ each as a protein's heavy atoms have."""
    rng = np.random.default_rng(seed)
    directions = rng.standard_normal((count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    radius = (3 * 17 * count / (4 * math.pi)) ** (1 / 3)
    return atoms_at(radius * directions * rng.random((count, 1)) ** (1 / 3))


def box(count=40, voxel_size=1.5, centre=(0.0, 0.0, 0.0)):
    corner = tuple(float(c) - voxel_size * (count // 2) for c in centre)
    return Volume(np.zeros((count, count, count), np.float32), (voxel_size,) * 3, corner)


def radial_frequencies(volume):
    nz, ny, nx = volume.shape
    x, y, z = volume.voxel_size
    return np.sqrt(
        np.fft.fftfreq(nz, z)[:, None, None] ** 2
        + np.fft.fftfreq(ny, y)[None, :, None] ** 2
        + np.fft.rfftfreq(nx, x)[None, None, :] ** 2
    )


def spectrum(volume):
    return np.fft.rfftn(volume.data.astype(np.float64))


def simulate(atoms, grid, parameters, seed=7):
    return simulate_map(atoms, grid, parameters, np.random.default_rng(seed))


def test_same_seed_gives_the_same_map_and_another_seed_another():
    parameters = SimulationParameters(resolution=6.0, noise_to_signal=0.3)
    first, again = (simulate(globule(), box(), parameters) for _ in range(2))
    other = simulate(globule(), box(), parameters, seed=8)
    assert np.array_equal(first.data, again.data)
    assert not np.allclose(first.data, other.data, atol=0.1)


def test_solvent_is_at_zero_and_the_deviation_is_one():
    volume = simulate(globule(), box(), SimulationParameters(resolution=6.0))
    solvent = distance_to_atoms(globule(), box()) > MOLECULE_RADIUS
    assert volume.data.std() == pytest.approx(1.0, abs=1e-5)
    assert volume.data[solvent].mean() == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize(("b_factor", "sharpening"), [(40.0, 0.0), (150.0, -60.0)])
def test_amplitude_of_one_atom_falls_off_as_its_b_factor_says(b_factor, sharpening):
    parameters = dataclasses.replace(
        BARE, b_factor=b_factor, sharpening_b_factor=sharpening, resolution=4.0
    )
    grid = box()
    volume = simulate(atoms_at([[0.3, -0.4, 0.7]]), grid, parameters)
    s = radial_frequencies(grid)
    band = (s > 0.05) & (s < 0.2)
    slope = np.polyfit(s[band] ** 2, np.log(np.abs(spectrum(volume)[band])), 1)[0]
    assert slope == pytest.approx(-(b_factor + ATOM_B_FACTOR + sharpening) / 4, rel=0.01)


def test_nothing_is_left_beyond_the_low_pass():
    parameters = dataclasses.replace(BARE, edge_width=0.2)
    volume = simulate(globule(), box(), parameters)
    power = np.abs(spectrum(volume)) ** 2
    s = radial_frequencies(volume)
    beyond = s > 1.1 / parameters.resolution
    assert power[beyond].max() < 1e-9 * power[~beyond].max()
    assert power[(s > 0.85 / 5.0) & (s < 0.9 / 5.0)].mean() > 1e-7 * power[~beyond].max()


def test_noise_reaches_finer_than_the_signal_and_no_further():
    parameters = dataclasses.replace(
        BARE, noise_to_signal=0.5, edge_width=0.2, noise_resolution_ratio=0.8
    )
    power = np.abs(spectrum(simulate(globule(), box(), parameters))) ** 2
    s = radial_frequencies(box())
    between = (s > 1.1 / 5.0) & (s < 0.9 / 4.0)
    beyond = s > 1.1 / 4.0
    assert power[between].mean() > 1e6 * power[beyond].mean()


@pytest.mark.parametrize("ratio", [0.25, 1.0, 2.0])
def test_noise_is_as_strong_as_stated(ratio):
    """Independent noise of r times the signal leaves a correlation of 1 / √(1 + r²)."""
    atoms, grid = globule(), box()
    inside = distance_to_atoms(atoms, grid) <= MOLECULE_RADIUS
    found = []
    for seed in range(8):
        noisy, clean = (
            simulate(atoms, grid, dataclasses.replace(BARE, noise_to_signal=r), seed).data[inside]
            for r in (ratio, 0.0)
        )
        found.append(np.corrcoef(noisy, clean)[0, 1])
    assert np.mean(found) == pytest.approx(1 / math.sqrt(1 + ratio**2), abs=0.04)


def test_b_factors_are_gamma_distributed_over_a_large_model():
    rng = np.random.default_rng(3)
    positions = rng.uniform(0, 2000, (20000, 3))
    parameters = SimulationParameters(resolution=5.0, b_factor=120.0, b_factor_variation=0.5)
    values = smooth_b_factors(positions, parameters, rng)
    assert values.min() > 0
    assert values.mean() == pytest.approx(120.0, rel=0.02)
    assert values.std() / values.mean() == pytest.approx(0.5, rel=0.05)
    skewness = np.mean(((values - values.mean()) / values.std()) ** 3)
    assert skewness == pytest.approx(2 * 0.5, rel=0.15)  # of a gamma distribution: 2 · variation


def test_b_factors_of_neighbours_are_alike_and_far_ones_are_not():
    rng = np.random.default_rng(4)
    positions = rng.uniform(0, 500, (4000, 3))
    parameters = SimulationParameters(resolution=5.0, b_factor_length=8.0)
    both = np.concatenate(
        [positions, positions + np.array([1.5, 0, 0]), positions + np.array([60.0, 0, 0])]
    )
    here, near, far = np.split(smooth_b_factors(both, parameters, rng), 3)
    assert np.corrcoef(here, near)[0, 1] == pytest.approx(math.exp(-(1.5**2) / 128), abs=0.02)
    assert abs(np.corrcoef(here, far)[0, 1]) < 0.15


def test_solvent_lowers_the_contrast_of_the_molecule():
    atoms, grid = globule(), box()
    inside = distance_to_atoms(atoms, grid) <= MOLECULE_RADIUS
    contrasts = []
    for level in (0.0, 0.4, 0.8):
        data = simulate(atoms, grid, dataclasses.replace(BARE, solvent_level=level)).data
        contrasts.append((data[inside].mean() - data[~inside].mean()) / data[inside].std())
    assert contrasts[0] > 1.15 * contrasts[1] > 1.3 * contrasts[2]


def test_mask_leaves_the_molecule_and_nothing_else():
    parameters = dataclasses.replace(BARE, noise_to_signal=0.5)
    masked = dataclasses.replace(parameters, mask_radius=5.0, mask_edge=4.0)
    whole, cut = (simulate(globule(), box(), p).data for p in (parameters, masked))
    distance = distance_to_atoms(globule(), box())
    assert not cut[distance > 9.0].any()
    kept = distance <= 5.0
    factor = cut[kept] / whole[kept]
    np.testing.assert_allclose(factor, factor.mean(), rtol=1e-3)


def test_map_moves_with_its_model():
    shift = np.array([31.5, -12.0, 4.5])
    parameters = dataclasses.replace(BARE, noise_to_signal=0.2)
    here = simulate(globule(), box(), parameters)
    moved = simulate(atoms_at(globule().positions + shift), box(centre=shift), parameters)
    np.testing.assert_allclose(moved.data, here.data, atol=2e-5)
    assert moved.origin == pytest.approx(tuple(np.array(here.origin) + shift))


@given(st.floats(3.5, 9.0), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_drawn_parameters_are_in_their_ranges_and_repeat(resolution, seed):
    drawn, again = (draw_parameters(resolution, np.random.default_rng(seed)) for _ in range(2))
    assert drawn == again
    assert drawn.resolution == resolution
    assert 4 <= drawn.b_factor / resolution**2 <= 8
    assert 0.05 <= drawn.noise_to_signal <= 0.5
    assert 0.8 <= drawn.noise_resolution_ratio <= 0.95
    assert drawn.noise_b_factor < drawn.b_factor
    assert drawn.mask_radius is None or 5 <= drawn.mask_radius <= 9


def test_half_of_the_drawn_maps_are_masked():
    rng = np.random.default_rng(0)
    masked = [draw_parameters(5.0, rng).mask_radius is not None for _ in range(400)]
    assert 0.42 < np.mean(masked) < 0.58


def test_soft_edge_is_one_a_half_and_nothing():
    found = soft_edge(np.array([0.0, 5.0, 7.0, 9.0, 20.0]), 5.0, 4.0)
    np.testing.assert_allclose(found, [1, 1, 0.5, 0, 0], atol=1e-7)


def test_distance_is_measured_in_angstrom_along_every_axis():
    grid = Volume(np.zeros((5, 7, 9), np.float32), (1.0, 2.0, 3.0), (10.0, 0.0, 0.0))
    distance = distance_to_atoms(atoms_at([[12.0, 2.0, 3.0], [1000.0, 0, 0]]), grid)
    assert distance[1, 1, 2] == 0
    assert distance[1, 1, 5] == pytest.approx(3.0)
    assert distance[1, 3, 2] == pytest.approx(4.0)
    assert distance[2, 1, 2] == pytest.approx(3.0)


def test_a_model_outside_the_box_is_refused():
    with pytest.raises(ModelError, match="no atom of the model lies in the box"):
        simulate(atoms_at([[500.0, 0, 0]]), box(), BARE)
