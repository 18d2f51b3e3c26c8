import tracemalloc

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from cryosamu.volume import grid
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


def gaussians(shape, voxel_size, sigma):
    """Four Gaussians and their neighbours in the periodic box, evaluated where voxels lie."""
    total = np.zeros(shape)
    box = [n * size for n, size in zip(shape, reversed(voxel_size), strict=True)]
    axes = [np.arange(n) * size for n, size in zip(shape, reversed(voxel_size), strict=True)]
    for centre in np.random.default_rng(4).uniform(size=(4, 3)) * box:
        z, y, x = (
            sum(np.exp(-((r - c + n * edge) ** 2) / (2 * sigma**2)) for n in (-1, 0, 1))
            for r, c, edge in zip(axes, centre, box, strict=True)
        )
        total += z[:, None, None] * y[:, None] * x
    return Volume(total.astype(np.float32), voxel_size)


@pytest.mark.parametrize(
    ("shape", "voxel_size"),
    [
        ((40, 44, 37), (0.75, 0.8, 0.85)),
        ((31, 33, 30), (1.061, 1.1, 1.3)),
        ((24, 20, 23), (1.7, 1.9, 1.5)),
    ],
)
def test_gaussians_are_resampled_to_their_values_there_and_back(shape, voxel_size):
    """Of width σ = 1.9 voxels a Gaussian's spectrum is 2e-8 at the grid's Nyquist limit."""
    sigma = 1.9 * max(*voxel_size, 1.0)
    old = gaussians(shape, voxel_size, sigma)
    working = resample(old, grid_shape(old, 1.0))
    expected = gaussians(working.shape, working.voxel_size, sigma)
    assert np.abs(working.data - expected.data).max() < 2e-5
    assert np.abs(resample(working, shape).data - old.data).max() < 2e-5


@pytest.mark.parametrize(("old", "new"), [(24, 20), (24, 19), (25, 20), (20, 24), (21, 25)])
def test_a_map_that_its_inversion_leaves_alone_stays_so(old, new):
    noise = np.random.default_rng(5).normal(size=(old, old, old)).astype(np.float32)
    inverted = np.roll(noise[::-1, ::-1, ::-1], 1, axis=(0, 1, 2))
    resampled = resample(Volume(noise + inverted, (1.0, 1.0, 1.0)), (new, new, new)).data
    assert np.abs(resampled - np.roll(resampled[::-1, ::-1, ::-1], 1, axis=(0, 1, 2))).max() < 5e-6
    assert resampled.std() > 0.5


@pytest.mark.parametrize("new", [(50, 60, 51), (80, 60, 90), (50, 75, 60)])
def test_resampling_takes_one_more_grid_and_a_slab(monkeypatch, new):
    volume = random_volume((64, 70, 66))
    whole = resample(volume, new).data
    monkeypatch.setattr(grid, "_SLAB_VOXELS", 20_000)
    tracemalloc.start()
    try:
        slabs = resample(volume, new).data
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert np.abs(slabs - whole).max() < 1e-6
    assert held < slabs.nbytes + 50_000
    assert peak < 4 * max(64, new[0]) * new[1] * new[2] + 800_000


def test_a_long_axis_takes_memory_in_proportion_to_it():
    volume = random_volume((1, 1, 100_003))
    tracemalloc.start()
    try:
        resample(volume, (1, 1, 90_001))
        assert tracemalloc.get_traced_memory()[1] < 50 * volume.data.nbytes
    finally:
        tracemalloc.stop()
