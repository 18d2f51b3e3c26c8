"""Blocks of a map against pooling, distances and interpolation as other libraries do them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import RegularGridInterpolator
from scipy.ndimage import binary_erosion, distance_transform_edt
from torch.nn import functional as F

from cryosamu.enhancement.inference.blocks import (
    all_round,
    between_centres,
    block_statistics,
    reached,
    squared_distances,
    voxels_in,
)

EDGES = st.tuples(*[st.integers(1, 5)] * 3)
SHAPES = st.tuples(*[st.integers(5, 13)] * 3)


@given(EDGES, SHAPES, st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_extremes_and_means_are_those_of_pooling(edges, shape, seed):
    data = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    highest, lowest, means = block_statistics(data, edges)
    given = torch.from_numpy(data)[None, None]
    pooled = F.avg_pool3d(given, edges, ceil_mode=True, count_include_pad=False)[0, 0].numpy()
    np.testing.assert_array_equal(highest, F.max_pool3d(given, edges, ceil_mode=True)[0, 0])
    np.testing.assert_array_equal(lowest, -F.max_pool3d(-given, edges, ceil_mode=True)[0, 0])
    np.testing.assert_allclose(means, pooled, atol=1e-6)


@given(EDGES, SHAPES, st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_the_voxels_of_blocks_are_those_whose_block_is_chosen(edges, shape, seed):
    rng = np.random.default_rng(seed)
    data = rng.normal(size=shape).astype(np.float32)
    counts = [-(-length // edge) for length, edge in zip(shape, edges, strict=True)]
    chosen = rng.random(counts) < 0.4
    z, y, x = np.indices(shape)
    expected = data[chosen[z // edges[0], y // edges[1], x // edges[2]]]
    np.testing.assert_array_equal(voxels_in(data, chosen, edges), expected)


@pytest.mark.parametrize("share", [0.0, 0.002, 0.05, 0.9])
@pytest.mark.parametrize("shape", [(30, 21, 17), (3, 40, 1)])
def test_distances_are_euclidean_as_far_as_they_are_asked_for(share, shape):
    chosen = np.random.default_rng(5).random(shape) < share
    exact = distance_transform_edt(~chosen) if chosen.any() else np.full(shape, np.inf)
    np.testing.assert_array_equal(
        squared_distances(chosen, 5), np.minimum(np.round(exact**2), 25)
    )  # fmt: skip


def test_what_is_chosen_all_round_is_an_erosion():
    chosen = np.random.default_rng(2).random((12, 9, 15)) < 0.95
    expected = binary_erosion(chosen, np.ones((3, 3, 3), bool), border_value=1)
    assert expected.any()
    np.testing.assert_array_equal(all_round(chosen), expected)


@pytest.mark.parametrize("counts", [(5, 4, 6), (1, 3, 2)])
def test_between_centres_lies_the_linear_interpolation(counts):
    blocks = np.random.default_rng(4).random(counts).astype(np.float32)
    blocks[blocks < 0.5] = 0
    box = (slice(1, counts[0] * 4), slice(0, counts[1] * 4 - 3), slice(3, counts[2] * 4 - 1))
    repeated = [max(count, 2) for count in counts]
    padded = np.pad(blocks, [(0, n - c) for n, c in zip(repeated, counts, strict=True)], "edge")
    known = RegularGridInterpolator([4 * np.arange(n) + 1.5 for n in repeated], padded)
    places = np.stack(np.mgrid[box], axis=-1)
    expected = known(np.clip(places, 1.5, [4 * n - 2.5 for n in repeated]))
    found = np.array([plane.copy() for plane in between_centres(blocks, 4, box)])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_array_equal(reached(blocks, 4, box), found > 0)
