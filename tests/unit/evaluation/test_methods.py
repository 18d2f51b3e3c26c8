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
        ((72, 68, 64), (0.55, 0.6, 0.65), (5.0, -7.0, 11.0)),  # a finer grid in the same box
        ((50, 48, 46), (1.0, 1.0, 1.0), (3.0, -9.5, 9.5)),  # 1 Å, another and larger box
    ],
)
def test_a_map_on_another_grid_is_interpolated_exactly(tmp_path, shape, voxel, origin):
    """A band-limited function of the finished map's box, sampled on both grids."""
    deposited = empty((36, 34, 32), (1.1, 1.2, 1.3), (5.0, -7.0, 11.0))
    other = empty(shape, voxel, origin)

    def function(grid):
        places = np.stack(np.indices(grid.shape)[::-1], axis=-1) * grid.voxel_size + grid.origin
        x, y, z = np.moveaxis((places - other.origin) / other.box, -1, 0)
        waves = np.cos(2 * np.pi * (3 * x - 2 * y + z)) + np.sin(2 * np.pi * (5 * z + y))
        return (2 + waves).astype(np.float32)

    write_map(tmp_path / "other.mrc", other.with_data(function(other)), "a test")
    made = read_finished(tmp_path / "other.mrc", deposited)
    inside = np.s_[2:-2, 2:-2, 2:-2]
    np.testing.assert_allclose(made.data[inside], function(deposited)[inside], atol=2e-5)
    assert made.data.shape == deposited.shape
    assert made.settings["resampled_from"].startswith(f"{shape[2]} x {shape[1]} x {shape[0]} ")
    assert made.settings["covered"] > 0.9


def test_what_a_finished_map_does_not_reach_is_zero(deposited, tmp_path):
    part = Volume(np.ones((36, 34, 20), np.float32), (1.1, 1.2, 1.3), deposited.origin)
    write_map(tmp_path / "part.mrc", part, "a test")
    made = read_finished(tmp_path / "part.mrc", deposited)
    np.testing.assert_allclose(made.data[:, :, :20], 1, atol=1e-5)
    assert not made.data[:, :, 20:].any()
    assert made.settings["covered"] == pytest.approx(20 / 32)


def test_a_finished_map_elsewhere_is_refused(deposited, tmp_path):
    far = Volume(np.ones((36, 34, 32), np.float32), (1.1, 1.2, 1.3), (500.0, 0.0, 0.0))
    write_map(tmp_path / "far.mrc", far, "a test")
    with pytest.raises(MapError, match=r"far\.mrc: is elsewhere .* reaches 0 % of the deposited"):
        read_finished(tmp_path / "far.mrc", deposited)


def test_local_sharpening_levels_what_differs_from_place_to_place():
    """Two like blobs of fine detail, one ten times weaker: a global filter keeps the ratio."""
    grid = empty((40, 40, 80), (1.0, 1.0, 1.0))
    z, y, x = np.indices(grid.shape)
    ripple = np.cos(2 * np.pi * x / 6) * np.cos(2 * np.pi * y / 8)
    blobs = [np.exp(-((z - 20) ** 2 + (y - 20) ** 2 + (x - c) ** 2) / 50) for c in (20, 60)]
    data = (blobs[0] * (1 + ripple) + blobs[1] * (1 + 0.1 * ripple)).astype(np.float32)
    volume = grid.with_data(data)
    level = 0.15

    def fine(made):
        detail = made - low_pass(grid.with_data(made), 12.0).data
        return [float(np.sqrt(np.mean((detail[b > 0.5]) ** 2))) for b in blobs]

    flat, sharp, local = (
        fine(make_baseline(name, volume, RESOLUTION, SETTINGS, level).data)
        for name in ("low_pass", "sharpened", "locally_sharpened")
    )
    assert flat[1] / flat[0] < 0.25
    assert sharp[1] / sharp[0] < 0.25
    assert local[1] / local[0] > 2 * sharp[1] / sharp[0]
    settings = make_baseline("locally_sharpened", volume, RESOLUTION, SETTINGS, level).settings
    assert settings["window"] == 7 * RESOLUTION
    assert settings["b_factor"] == -60


def test_a_missing_finished_map_is_refused(deposited, tmp_path):
    with pytest.raises(CryosamuError, match="does not exist"):
        read_finished(tmp_path / "nothing.mrc", deposited)


def test_the_configuration_names_these_baselines():
    assert set(BASELINES) < set(SETTINGS.methods)
