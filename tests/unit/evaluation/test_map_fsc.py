import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_pairs import empty, noise

from cryosamu.evaluation import map_fsc as module
from cryosamu.evaluation.map_fsc import map_fsc


def by_definition(first, second, grid):
    """Sums over all coefficients of the full transform, shell by shell."""
    f, g = np.fft.fftn(first.astype(float)), np.fft.fftn(second.astype(float))
    axes = [
        np.fft.fftfreq(count, step)
        for count, step in zip(grid.shape, grid.voxel_size[::-1], strict=True)
    ]
    s = np.sqrt(sum(a**2 for a in np.meshgrid(*axes, indexing="ij")))
    shell = (s * max(grid.box) + 0.5).astype(int)
    fsc = []
    for number in range(1, shell.max() + 1):
        inside = shell == number
        norm = np.sqrt((abs(f[inside]) ** 2).sum() * (abs(g[inside]) ** 2).sum())
        fsc.append((f[inside] * g[inside].conj()).real.sum() / norm)
    return np.array(fsc), np.bincount(shell.ravel())[1:]


@pytest.mark.parametrize("shape", [(12, 15, 18), (13, 16, 11), (8, 8, 8)])
@pytest.mark.parametrize("block", [1, 300_000])
def test_agrees_with_the_definition(shape, block, monkeypatch):
    monkeypatch.setattr(module, "_BLOCK_VOXELS", block)
    grid = empty(shape, (1.13, 1.21, 0.97))
    first = noise(grid).data
    second = first + noise(grid, 1).data
    found = map_fsc(first, second, grid)
    expected, counts = by_definition(first, second, grid)
    np.testing.assert_allclose(found.fsc, expected[: len(found.fsc)], atol=1e-5)
    np.testing.assert_array_equal(found.counts, counts[: len(found.fsc)])
    assert found.spatial_frequency[-1] == pytest.approx(0.5 / 1.21, abs=0.51 / max(grid.box))
    average = np.average(found.fsc, weights=found.counts)
    assert found.average(0.1) == pytest.approx(average)


@settings(deadline=None, max_examples=15)
@given(scale=st.floats(0.1, 10), seed=st.integers(0, 100))
def test_a_map_with_itself_is_one_whatever_its_scale(scale, seed):
    grid = empty((10, 11, 12))
    data = noise(grid, seed).data
    np.testing.assert_allclose(map_fsc(data, np.float32(scale) * data, grid).fsc, 1, atol=1e-5)
    np.testing.assert_allclose(map_fsc(data, -data, grid).fsc, -1, atol=1e-5)
