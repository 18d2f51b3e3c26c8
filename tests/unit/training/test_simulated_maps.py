"""Simulated maps: atoms where they belong, noise as strong as the resolution says, masks, scale."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_toys import toy, toys

from cryosamu.config import SimulationSettings
from cryosamu.structure.density import simulate_density
from cryosamu.structure.model import Atoms
from cryosamu.training.simulated.conditions import Conditions, draw_conditions
from cryosamu.training.simulated.deposit import deposit, inverse_spline
from cryosamu.training.simulated.maps import MARGIN, box_edge, make_maps, normalised
from cryosamu.training.simulated.scene import Scene, draw_scene
from cryosamu.volume.normalise import normalise
from cryosamu.volume.volume import Volume

VIEW = 32
EDGE = box_edge(VIEW)
CPU = torch.device("cpu")
SETTINGS = SimulationSettings(view=VIEW)
PLAIN = Conditions(
    resolution=4.0,
    local_b_factor=0.0,
    net_b_factor=0.0,
    noise_b_factor=0.0,
    noise_resolution=1e-3,
    mismatch=0.0,
    noise_volume=1e12,
    noise_outside=1.0,
    anisotropy=0.0,
    axis=(0.0, 0.0, 1.0),
    low_pass=2.0,
    low_pass_edge=0.1,
    voxel_size=1.0,
    solvent=0.0,
    halo=0.0,
    halo_length=50.0,
    offset=0.0,
    mask_radius=None,
    mask_edge=0.0,
    gain=1.0,
)


def scene_of(structure, **conditions):
    """One structure in the middle of the box, without anything random but the noise."""
    count = len(structure.positions)
    return Scene(
        structure=0,
        conditions=dataclasses.replace(PLAIN, **conditions),
        positions=structure.positions + np.float32(EDGE / 2),
        weights=structure.atomic_numbers.astype(np.float32),
        mobility=np.zeros(count, np.float32),
        target_weights=structure.atomic_numbers.astype(np.float32),
        noise_seed=3,
    )


def maps_of(*scenes, sigma=0.85):
    return make_maps(scenes, VIEW, 1.0, 99.999, lambda _resolution: sigma, CPU)


def directly(structure, sigma):
    """The density of Gaussians, each evaluated where it is."""
    count = len(structure.positions)
    atoms = Atoms(
        structure.positions.astype(np.float64) + EDGE / 2,
        structure.atomic_numbers.astype(np.int64),
        np.zeros(count),
        np.ones(count),
    )
    empty = Volume(np.zeros((EDGE,) * 3, np.float32), (1.0,) * 3, (0.0,) * 3)
    middle = slice(MARGIN, MARGIN + VIEW)
    return simulate_density(atoms, empty, sigma).data[middle, middle, middle]


def correlation(one, other):
    return np.corrcoef(np.ravel(one), np.ravel(other))[0, 1]


def test_the_target_is_the_density_that_pairs_are_prepared_with():
    structure = toy()
    exact = directly(structure, 0.85)
    (target,) = maps_of(scene_of(structure)).target.numpy()
    assert correlation(target, exact) > 0.9995
    assert np.abs(target - exact / exact.max()).max() < 0.03


@settings(max_examples=25, deadline=None)
@given(st.tuples(*[st.floats(0, 8, exclude_max=True, width=32)] * 3))
def test_splines_keep_weight_and_place(position):
    grid = torch.zeros(1, 16, 16, 16)
    place = torch.tensor([position]) + 4
    deposit(grid, place, torch.zeros(1, dtype=torch.long), torch.tensor([2.5]))
    assert grid.sum().item() == pytest.approx(2.5, rel=1e-5)
    z, y, x = (
        (grid[0].sum(tuple(a for a in range(3) if a != axis)) * torch.arange(16)).sum() / 2.5
        for axis in range(3)
    )
    assert torch.allclose(torch.stack((x, y, z)), place[0], atol=1e-4)


def test_the_splines_transform_is_divided_out():
    grid = torch.zeros(1, 16, 16, 16)
    place = torch.tensor([[5.3, 7.7, 6.1]])
    deposit(grid, place, torch.zeros(1, dtype=torch.long), torch.ones(1))
    spectrum = torch.fft.rfftn(grid[0]) * inverse_spline(16, CPU)
    for z, y, x in ((0, 0, 2), (1, 2, 3), (14, 1, 2)):
        phase = 2 * math.pi * (5.3 * x + 7.7 * y + 6.1 * (z - 16 * (z > 8))) / 16
        wanted = complex(math.cos(phase), -math.sin(phase))
        assert abs(complex(spectrum[z, y, x]) - wanted) < 0.03


def test_a_b_factor_is_the_variance_of_the_blur():
    structure = toy()
    (density,) = maps_of(scene_of(structure, net_b_factor=150.0)).density.numpy()
    # A low-pass at 2 Å takes nothing of this; 13.5 Å² are the atoms' own.
    blurred = directly(structure, math.sqrt((150 + 13.5) / (8 * math.pi**2)))
    assert correlation(density, blurred) > 0.999


def test_mobile_atoms_are_blurred_more():
    structure = toy()
    scene = scene_of(structure, local_b_factor=300.0)
    first = structure.chains == 0
    mobile = dataclasses.replace(scene, mobility=first.astype(np.float32))
    weak, strong = (
        maps_of(one, sigma=0.85).density.numpy()[0] / maps_of(one).target.numpy()[0].max()
        for one in (mobile, scene)
    )
    places = np.rint(structure.positions + VIEW / 2).astype(int)
    at = [tuple(place[::-1]) for place in places]
    loss = np.array([weak[place] / strong[place] for place in at])
    assert np.median(loss[first]) < 0.7 * np.median(loss[~first])


def test_noise_is_as_strong_as_the_reported_resolution_says():
    # FSC of half maps 0.143 = 1/7: the whole map's noise has three times the signal's power.
    random = np.random.default_rng(0)
    count = 4000
    positions = random.uniform(0, EDGE, (count, 3)).astype(np.float32)
    volume = EDGE**3 / (count * 17.0)
    scene = Scene(
        0,
        dataclasses.replace(
            PLAIN, noise_resolution=5.0, noise_b_factor=100.0, noise_volume=volume, low_pass=2.2
        ),
        positions,
        np.full(count, math.sqrt(33.0), np.float32),
        np.zeros(count, np.float32),
        np.full(count, 6.0, np.float32),
        noise_seed=1,
    )
    quiet = dataclasses.replace(
        scene, conditions=dataclasses.replace(scene.conditions, noise_volume=1e12)
    )
    noisy, clean = (spectrum_before_normalisation(one) for one in (scene, quiet))
    noise = noisy - clean
    frequencies = np.fft.fftfreq(EDGE)
    s = np.sqrt(frequencies[:, None, None] ** 2 + frequencies[:, None] ** 2 + frequencies**2)
    shell = np.abs(s - 1 / 5.0) < 0.01
    ratio = (np.abs(noise[shell]) ** 2).sum() / (np.abs(clean[shell]) ** 2).sum()
    assert ratio == pytest.approx(3.0, rel=0.15)


def spectrum_before_normalisation(scene):
    from cryosamu.training.simulated import maps as module

    kept = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_levelled", lambda density, *_rest: kept.append(density) or density)
        maps_of(scene)
    return np.fft.fftn(kept[0][0].numpy())


def test_beyond_the_low_pass_and_the_voxels_there_is_nothing():
    density = spectrum_before_normalisation(
        scene_of(toy(), mismatch=0.5, noise_volume=2.0, low_pass=5.0, voxel_size=1.6)
    )
    frequencies = np.abs(np.fft.fftfreq(EDGE))
    s = np.sqrt(frequencies[:, None, None] ** 2 + frequencies[:, None] ** 2 + frequencies**2)
    power = np.abs(density) ** 2
    assert power[s > 1.1 / 5].sum() < 1e-6 * power.sum()


def test_a_mask_leaves_nothing_far_from_the_target():
    structure = toy()
    noisy = {"mismatch": 0.5, "noise_volume": 2.0, "offset": 0.3}
    (masked,) = maps_of(scene_of(structure, mask_radius=4.0, **noisy)).density.numpy()
    (whole,) = maps_of(scene_of(structure, **noisy)).density.numpy()
    z, y, x = np.indices(masked.shape).reshape(3, -1)
    voxels = np.stack((x, y, z), axis=1)
    distance = np.sqrt(
        ((voxels[:, None] - (structure.positions + VIEW / 2)[None]) ** 2).sum(-1)
    ).min(axis=1)
    far = distance > 8
    assert masked.ravel()[far].max() < 0.02
    assert whole.ravel()[far].max() > 0.1
    near = distance < 3
    assert correlation(masked.ravel()[near], whole.ravel()[near]) > 0.9


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**20), percentile=st.sampled_from([99.999, 99.9, 99.0, 90.0]))
def test_values_are_scaled_as_those_of_real_maps(seed, percentile):
    data = np.random.default_rng(seed).normal(0.1, 1, (3, 9, 10, 11)).astype(np.float32)
    ours = normalised(torch.from_numpy(data), percentile, torch.ones(3, 1, 1, 1)).numpy()
    for one, volume in zip(ours, data, strict=True):
        wanted = normalise(Volume(volume, (1.0,) * 3, (0.0,) * 3), percentile).data
        assert np.allclose(one, wanted, rtol=2e-5, atol=1e-6)


def test_scenes_together_are_the_scenes_one_by_one():
    drawn = [
        draw_scene(toys(3), number, SETTINGS, EDGE, 1.0, np.random.default_rng(number))
        for number in range(3)
    ]
    together = maps_of(*drawn)
    for number, scene in enumerate(drawn):
        alone = maps_of(scene)
        assert torch.allclose(alone.density[0], together.density[number], atol=1e-4)
        assert torch.allclose(alone.target[0], together.target[number], atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31))
def test_every_drawn_scene_gives_a_map_and_a_target(seed):
    structures = toys(3)
    scene = draw_scene(structures, 1, SETTINGS, EDGE, 1.0, np.random.default_rng(seed))
    again = draw_scene(structures, 1, SETTINGS, EDGE, 1.0, np.random.default_rng(seed))
    assert np.array_equal(scene.positions, again.positions)
    assert scene.conditions == again.conditions
    assert scene.target_weights.any()
    maps = maps_of(scene)
    for one in (maps.density, maps.target):
        assert torch.isfinite(one).all()
        assert 0 <= one.min() < one.max() <= 1


def test_conditions_stay_within_the_settings():
    settings = SimulationSettings(finest_resolution=4.5, coarsest_resolution=6.0)
    random = np.random.default_rng(0)
    drawn = [draw_conditions(settings, number % 2 == 0, random) for number in range(300)]
    assert all(4.5 <= one.resolution <= 6.0 for one in drawn)
    assert {one.mask_radius is None for one in drawn[::2]} == {False}
    assert {one.mask_radius is None for one in drawn[1::2]} == {True}
    assert all(2 * one.voxel_size < one.resolution for one in drawn)
