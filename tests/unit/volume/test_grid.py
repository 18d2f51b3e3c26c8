import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from cryosamu.volume.grid import grid_shape, resample
from cryosamu.volume.volume import Volume

lengths = st.integers(1, 24)


def random_volume(shape, voxel_size=(1.0, 1.0, 1.0), seed=0):
    data = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return Volume(data, voxel_size, (5.0, -7.0, 11.0))


def waves(shape, box, seed=0):
    """A map of fifty plane waves of up to 4 periods a box edge, evaluated where its voxels lie."""
    rng = np.random.default_rng(seed)
    z, y, x = np.meshgrid(*[np.arange(n) / n for n in shape], indexing="ij")
    total = np.zeros(shape)
    for _ in range(50):
        h, k, m = rng.integers(-4, 5, 3)
        phase = 2 * np.pi * (h * x + k * y + m * z + rng.uniform())
        total += rng.uniform(0.5, 1) * np.cos(phase)
    total /= 20
    sizes = tuple(length / n for length, n in zip(box, reversed(shape), strict=True))
    return Volume(total.astype(np.float32), sizes)


@pytest.mark.parametrize("new", [(13, 14, 15), (40, 37, 46), (10, 9, 11), (60, 9, 31)])
def test_a_band_limited_map_is_resampled_to_its_exact_values(new):
    box = (31.0, 20.0, 25.0)
    old = waves((21, 18, 24), box)
    found = resample(old, new)
    expected = waves(new, box)
    assert np.abs(found.data - expected.data).max() < 1e-5
    assert found.voxel_size == pytest.approx(expected.voxel_size)
    assert found.origin == old.origin


@given(
    st.tuples(lengths, lengths, lengths), st.tuples(lengths, lengths, lengths), st.integers(0, 9)
)
@settings(max_examples=60, deadline=None)
def test_resampling_agrees_with_scipy_along_each_axis(old, new, seed):
    volume = random_volume(old, seed=seed)
    expected = volume.data.astype(np.float64)
    for axis, count in enumerate(new):
        expected = scipy.signal.resample(expected, count, axis=axis)
    found = resample(volume, new)
    assert found.shape == new
    assert np.abs(found.data - expected).max() < 1e-5
    assert found.box == pytest.approx(volume.box)


@given(st.tuples(lengths, lengths, lengths), st.tuples(*[st.integers(0, 20)] * 3))
@settings(max_examples=60, deadline=None)
def test_the_way_back_from_a_finer_grid_is_exact(shape, added):
    volume = random_volume(shape)
    finer = tuple(n + extra for n, extra in zip(shape, added, strict=True))
    back = resample(resample(volume, finer), shape)
    assert np.abs(back.data - volume.data).max() < 1e-5
    assert back.voxel_size == pytest.approx(volume.voxel_size)


def test_the_same_grid_is_the_same_map_to_the_bit():
    volume = random_volume((6, 5, 4))
    assert np.array_equal(resample(volume, (6, 5, 4)).data, volume.data)


def test_a_coarser_grid_drops_what_it_cannot_hold_without_aliasing():
    x = np.arange(64) / 64
    slow, fast = np.cos(2 * np.pi * 3 * x), np.cos(2 * np.pi * 21 * x)
    data = np.broadcast_to(slow + fast, (4, 4, 64)).astype(np.float32).copy()
    coarse = resample(Volume(data, (1.0, 1.0, 1.0)), (4, 4, 24))
    expected = np.cos(2 * np.pi * 3 * np.arange(24) / 24)
    assert np.abs(coarse.data - expected).max() < 1e-5


@given(
    st.tuples(*[st.integers(1, 400)] * 3),
    st.tuples(*[st.floats(0.3, 4)] * 3),
    st.floats(0.5, 2),
)
def test_the_grid_is_the_nearest_that_divides_the_box(shape, sizes, wanted):
    volume = Volume(np.broadcast_to(np.float32(0), shape), sizes)
    for n, length in zip(grid_shape(volume, wanted), reversed(volume.box), strict=True):
        assert n >= 1
        assert abs(n * wanted - length) <= wanted / 2 + 1e-6 or n == 1
        if length >= 50 * wanted:
            assert length / n == pytest.approx(wanted, rel=0.0102)
