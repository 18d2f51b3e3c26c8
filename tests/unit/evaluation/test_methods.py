import numpy as np
import pytest
import scipy.fft
from small_pairs import empty, molecule, noise

from cryosamu.config import EvaluationSettings
from cryosamu.errors import CryosamuError, MapError
from cryosamu.evaluation.methods import (
    BASELINES,
    density_mask,
    make_baseline,
    make_floor,
    randomise_phases,
    read_finished,
)
from cryosamu.evaluation.reference import ModelReference
from cryosamu.volume.fourier import low_pass
from cryosamu.volume.io import write_map
from cryosamu.volume.volume import Volume

RESOLUTION = 4.0
SETTINGS = EvaluationSettings()


@pytest.fixture(scope="module")
def deposited():
    grid = empty((36, 34, 32), (1.1, 1.2, 1.3), (5.0, -7.0, 11.0))
    z, y, x = np.indices(grid.shape)
    blob = 8 * np.exp(-((z - 18) ** 2 + (y - 16) ** 2 + (x - 15) ** 2) / 40)
    return grid.with_data((blob + noise(grid).data).astype(np.float32))


def frequencies(volume):
    nz, ny, nx = volume.shape
    x, y, z = volume.voxel_size
    return np.sqrt(
        np.fft.fftfreq(nz, z)[:, None, None] ** 2
        + np.fft.fftfreq(ny, y)[None, :, None] ** 2
        + np.fft.rfftfreq(nx, x)[None, None, :] ** 2
    )


def gain(volume, data):
    return scipy.fft.rfftn(data.astype(float)) / scipy.fft.rfftn(volume.data.astype(float))


def test_deposited_is_left_as_it_is(deposited):
    made = make_baseline("deposited", deposited, RESOLUTION, SETTINGS)
    assert made.data is deposited.data
    assert not made.band_limited


def test_low_pass_and_sharpening_act_on_frequencies_alone(deposited):
    s = frequencies(deposited)
    kept = s < 1 / RESOLUTION - 1e-6
    for name, expected in (("low_pass", 1.0), ("sharpened", np.exp(60 / 4 * s[kept] ** 2))):
        made = make_baseline(name, deposited, RESOLUTION, SETTINGS)
        assert made.band_limited
        found = gain(deposited, made.data)
        np.testing.assert_allclose(found[kept].real / expected, 1, atol=1e-2)
        assert abs(found[s > 1 / RESOLUTION + 1e-6]).max() < 1e-2
        again = low_pass(deposited.with_data(made.data), RESOLUTION).data
        np.testing.assert_allclose(again, made.data, atol=1e-4 * abs(made.data).max())
    assert made.settings == {"b_factor": -60.0, "low_pass": RESOLUTION}


@pytest.mark.parametrize(
    ("contour", "source"), [(3.0, "deposited contour level"), (None, "Otsu's threshold")]
)
def test_mask_comes_from_the_map_alone(deposited, contour, source):
    smooth = low_pass(deposited, RESOLUTION)
    mask, made = density_mask(smooth, RESOLUTION, contour)
    assert made["mask_from"] == source
    assert made["mask_level"] == pytest.approx(3.0, abs=1.5)
    assert 0 <= mask.min() < 1e-3
    assert mask.max() == 1
    inside = smooth.data >= made["mask_level"]
    assert mask[inside].mean() > 0.98
    assert mask[:4].max() < 0.01
    masked = make_baseline("low_pass_masked", deposited, RESOLUTION, SETTINGS, contour)
    np.testing.assert_allclose(masked.data, smooth.data * mask, atol=1e-5)


def test_random_phases_keep_amplitudes_and_coarse_phases(deposited):
    data = randomise_phases(deposited, 7.0, seed=1)
    found = gain(deposited, data)
    s = frequencies(deposited)
    coarse = s < 1 / 7
    np.testing.assert_allclose(found[coarse], 1, atol=1e-2)
    nyquist_free = found[1:16, 1:15, 1:15]
    np.testing.assert_allclose(abs(nyquist_free), 1, atol=2e-2)
    fine = found[~coarse]
    assert abs((fine / abs(fine)).mean()) < 0.05
    np.testing.assert_array_equal(data, randomise_phases(deposited, 7.0, seed=1))
    assert not np.array_equal(data, randomise_phases(deposited, 7.0, seed=2))


@pytest.mark.parametrize(("resolution", "beyond"), [(4.0, 7.0), (8.0, 10.0)])
def test_floors(resolution, beyond):
    grid = empty((36, 34, 32))
    reference = ModelReference(grid, molecule(spread=10), resolution)
    volume = noise(grid)
    envelope = make_floor("envelope", volume, reference)
    inside = volume.with_data(reference.inside.astype(np.float32))
    np.testing.assert_allclose(envelope.data, low_pass(inside, resolution).data, atol=1e-6)
    shuffled = make_floor("random_phases", volume, reference)
    assert shuffled.settings["phases_random_beyond"] == beyond
    np.testing.assert_array_equal(shuffled.data, randomise_phases(volume, beyond, 2024))


def test_a_finished_map_is_read_where_its_grid_is_the_deposited_ones(deposited, tmp_path):
    path = tmp_path / "enhanced.mrc"
    write_map(path, deposited.with_data(2 * deposited.data), "a test")
    made = read_finished(path, deposited)
    np.testing.assert_array_equal(made.data, 2 * deposited.data)
    assert made.settings == {"file": "enhanced.mrc"}


@pytest.mark.parametrize(
    ("shape", "voxel", "origin"),
    [
        ((36, 34, 31), (1.1, 1.2, 1.3), (5.0, -7.0, 11.0)),
        ((36, 34, 32), (1.1, 1.25, 1.3), (5.0, -7.0, 11.0)),
        ((36, 34, 32), (1.1, 1.2, 1.3), (5.0, -6.0, 11.0)),
    ],
)
def test_another_grid_is_refused(deposited, tmp_path, shape, voxel, origin):
    path = tmp_path / "enhanced.mrc"
    write_map(path, Volume(np.ones(shape, np.float32), voxel, origin), "a test")
    with pytest.raises(MapError, match=r"enhanced\.mrc: is on another grid .* than the deposited"):
        read_finished(path, deposited)


def test_a_missing_finished_map_is_refused(deposited, tmp_path):
    with pytest.raises(CryosamuError, match="does not exist"):
        read_finished(tmp_path / "nothing.mrc", deposited)


def test_the_configuration_names_these_baselines():
    assert set(BASELINES) < set(SETTINGS.methods)
