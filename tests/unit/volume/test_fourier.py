import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryosamu.volume.fourier import low_pass, sharpen, spatial_frequency_squared
from cryosamu.volume.volume import Volume

shapes = st.tuples(*[st.integers(2, 12)] * 3)
sizes = st.tuples(*[st.floats(0.5, 3)] * 3)


def volume_of(shape, voxel_size, seed=0):
    data = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return Volume(data, voxel_size, (1.0, 2.0, 3.0))


def frequencies(shape, voxel_size):
    """|s| in 1/Å of numpy's full transform, float64."""
    axes = [np.fft.fftfreq(n, d) for n, d in zip(shape, reversed(voxel_size), strict=True)]
    return np.sqrt(sum(grid**2 for grid in np.meshgrid(*axes, indexing="ij")))


def filtered(volume, gain):
    return np.fft.ifftn(np.fft.fftn(volume.data.astype(np.float64)) * gain).real


@given(shapes, sizes, st.floats(1.5, 20))
@settings(max_examples=60, deadline=None)
def test_a_hard_low_pass_is_a_sphere_in_fourier_space(shape, voxel_size, resolution):
    volume = volume_of(shape, voxel_size)
    s = frequencies(shape, voxel_size)
    # A float32 frequency on the very edge may fall to either side: step off it.
    if (np.abs(s * resolution - 1) < 1e-5).any():
        resolution *= 1.0001
    found = low_pass(volume, resolution)
    assert np.abs(found.data - filtered(volume, s <= 1 / resolution)).max() < 1e-5
    assert (found.voxel_size, found.origin) == (volume.voxel_size, volume.origin)


def test_a_soft_low_pass_falls_as_a_cosine_about_the_cut():
    volume = volume_of((12, 10, 14), (1.2, 1.0, 0.9))
    found = low_pass(volume, 4.0, width=0.4)
    s = frequencies(volume.shape, volume.voxel_size) * 4.0
    gain = np.where(
        s < 0.8, 1.0, np.where(s > 1.2, 0.0, 0.5 + 0.5 * np.cos((s - 0.8) / 0.4 * np.pi))
    )
    assert np.abs(found.data - filtered(volume, gain)).max() < 1e-5


@given(shapes, sizes, st.floats(-100, 200))
@settings(max_examples=60, deadline=None)
def test_sharpening_multiplies_by_the_debye_waller_factor(shape, voxel_size, b_factor):
    volume = volume_of(shape, voxel_size)
    gain = np.exp(-b_factor / 4 * frequencies(shape, voxel_size) ** 2)
    found = sharpen(volume, b_factor).data
    assert np.abs(found - filtered(volume, gain)).max() < 1e-5 * max(1.0, gain.max())


def test_the_sign_of_the_b_factor():
    x = np.cos(2 * np.pi * 4 * np.arange(16) / 16)
    wave = Volume(np.broadcast_to(x, (4, 4, 16)).astype(np.float32).copy(), (1.0, 1.0, 1.0))
    assert sharpen(wave, -100.0).data.max() == pytest.approx(np.exp(25 / 16), rel=1e-5)
    assert sharpen(wave, 100.0).data.max() == pytest.approx(np.exp(-25 / 16), rel=1e-5)


def test_frequencies_belong_to_their_axes():
    volume = volume_of((4, 6, 8), (1.0, 2.0, 3.0))
    s2 = spatial_frequency_squared(volume)
    assert s2.shape == (4, 6, 5)
    assert s2[1, 0, 0] == pytest.approx((1 / 12) ** 2)  # z: 4 voxels of 3 Å
    assert s2[0, 1, 0] == pytest.approx((1 / 12) ** 2)  # y: 6 voxels of 2 Å
    assert s2[0, 0, 1] == pytest.approx((1 / 8) ** 2)  # x: 8 voxels of 1 Å
