import numpy as np
import pytest

from cryosamu.errors import MapError
from cryosamu.volume.normalise import normalise
from cryosamu.volume.volume import Volume


def volume_of(values):
    return Volume(np.asarray(values, np.float32).reshape(1, 1, -1), (1.0, 1.0, 1.0))


def test_a_percentile_of_the_positive_voxels_becomes_one():
    found = normalise(volume_of([-50, -1, 0, 0, 0, 1, 2, 3, 4, 5]), percentile=75)
    assert found.scale == 4  # of 1..5
    assert found.data.ravel() == pytest.approx([0, 0, 0, 0, 0, 0.25, 0.5, 0.75, 1, 1])
    assert found.data.dtype == np.float32


def test_the_default_lets_one_voxel_in_a_hundred_thousand_be_clipped():
    values = np.linspace(0, 1, 1_000_001)
    found = normalise(volume_of(values))
    assert found.scale == pytest.approx(0.99999, abs=1e-7)
    assert (found.data == 1).sum() == pytest.approx(11, abs=1)


@pytest.mark.parametrize("unit", [1e-30, 1e-6, 1e12])
def test_the_unit_of_the_map_does_not_matter(unit):
    values = np.random.default_rng(0).normal(size=1000)
    plain, scaled = normalise(volume_of(values)), normalise(volume_of(values * unit))
    assert np.abs(plain.data - scaled.data).max() < 1e-6
    assert scaled.scale == pytest.approx(plain.scale * unit, rel=1e-5)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [([0, 0, 0], "constant"), ([7, 7], "constant"), ([-1, -2, 0], "inverted")],
)
def test_a_map_without_density_is_refused(values, sentence):
    with pytest.raises(MapError, match=sentence):
        normalise(volume_of(values))


def test_large_maps_are_scaled_to_the_bit_as_by_sorting_them():
    data = np.random.default_rng(1).normal(size=(20, 300, 300)).astype(np.float32)
    found = normalise(Volume(data, (1.0, 1.0, 1.0)))
    scale = float(np.percentile(data[data > 0], 99.999))
    assert found.scale == scale
    np.testing.assert_array_equal(found.data, np.clip(data / np.float32(scale), 0, 1))
