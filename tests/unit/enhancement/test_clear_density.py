"""What counts as solvent, as clear and as a blob."""

from __future__ import annotations

import numpy as np
import pytest
from made_up_molecule import ORIGIN, SHAPE, VOXEL, density, noise, strewn, volume_of

from cryosamu.enhancement.trust.clear_density import blobs_in, clear_level, mask_value, solvent_of
from cryosamu.volume.volume import Volume

RESOLUTION = 5.0
MOLECULE = density(strewn(500, (22.0, 15.0, 14.0), seed=1))
TOP = MOLECULE.max()


@pytest.mark.parametrize("level", [0.02, 0.1])
def test_the_solvents_noise_is_measured_beside_the_molecule(level: float) -> None:
    data = volume_of(MOLECULE + noise(level * TOP) - 3.0)
    found = solvent_of(data, data.data, 0.3 * TOP - 3.0, RESOLUTION)
    assert found.mean == pytest.approx(-3, abs=0.5 * level * TOP)
    # The quiet tenth lies below the true deviation, by less than a third.
    assert 0.67 * level * TOP < found.deviation < 1.05 * level * TOP


def test_a_box_full_of_molecule_has_no_solvent() -> None:
    edges = VOXEL * np.array(SHAPE[::-1])
    full = density(np.random.default_rng(2).uniform(-10, edges + 10, (4000, 3)) + ORIGIN)
    full = full + 0.5 * full**2 / full.max()
    volume = volume_of(full)
    assert solvent_of(volume, volume.data, float(np.median(full)) * 0.5, RESOLUTION).deviation == 0


def test_a_mask_leaves_its_value_and_no_noise() -> None:
    inside = MOLECULE > 0.05 * TOP
    volume = volume_of(np.where(inside, MOLECULE + noise(0.1 * TOP), -2.0))
    assert mask_value(volume) == -2.0
    found = solvent_of(volume, volume.data, 0.3 * TOP, RESOLUTION)
    assert (found.mean, found.deviation) == (-2.0, 0.0)
    assert mask_value(volume_of(noise(1.0))) is None


def test_noise_within_a_wide_mask_is_still_seen() -> None:
    data = MOLECULE + noise(0.1 * TOP)
    data[:8] = 0
    volume = volume_of(data)
    found = solvent_of(volume, volume.data, 0.3 * TOP, RESOLUTION)
    assert 0.067 * TOP < found.deviation < 0.105 * TOP


def test_clear_is_five_deviations_or_the_contour() -> None:
    quiet = volume_of(MOLECULE + noise(0.005 * TOP))
    level, solvent = clear_level(quiet, quiet.data, RESOLUTION)
    assert 0.15 * TOP < level < 0.5 * TOP
    loud = volume_of(MOLECULE + noise(0.15 * TOP))
    level, solvent = clear_level(loud, loud.data, RESOLUTION)
    assert level == pytest.approx(solvent.mean + 5 * solvent.deviation)
    assert level > 0.5 * TOP


@pytest.mark.parametrize(("resolution", "least"), [(2.0, 30.0), (6.0, np.pi * 36)])
def test_blobs_are_as_large_as_a_ball_of_the_resolution(resolution: float, least: float) -> None:
    # Rods of one voxel's cross-section: 1.5³ = 3.375 Å³ a voxel.
    region = np.zeros(SHAPE, bool)
    shortest = int(np.ceil(least / 3.375))
    region[10, 10, :shortest] = True
    region[20, 10, : shortest - 1] = True
    region[30, 10, : shortest + 5] = True
    volume = volume_of(np.zeros(SHAPE))
    labels, count = blobs_in(region, volume, resolution)
    assert count == 2
    assert set(np.unique(labels)) == {0, 1, 2}
    assert (labels[10, 10, :shortest] > 0).all()
    assert not labels[20].any()
    assert labels[10, 10, 0] != labels[30, 10, 0]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("along_x", [3, 4])
def test_a_box_of_few_voxels_along_x_is_no_picture(along_x):
    data = np.random.default_rng(1).normal(size=(12, 12, along_x)).astype(np.float32)
    assert np.isfinite(clear_level(Volume(data, (2.0, 2.0, 2.0)), data, 6.0)[0])
