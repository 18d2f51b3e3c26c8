import math

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from cryosamu.volume.windowed import predict_in_windows
from cryosamu.volume.windows import plan_windows, smallest_window

shapes = st.tuples(*[st.integers(1, 40)] * 3)


@st.composite
def plans(draw, least_margin=0):
    stride = draw(st.sampled_from([1, 2, 4, 8]))
    margin = draw(st.integers(least_margin, 6))
    smallest = smallest_window(margin, stride)
    window = draw(st.integers(smallest, smallest + 8))
    return plan_windows(draw(shapes), window, margin, stride), window, margin, stride


def volume_of(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@given(plans())
@settings(max_examples=150, deadline=None)
def test_a_plan_keeps_every_voxel_once_with_its_margin_and_stride(case):
    plan, window, margin, stride = case
    assert math.prod(plan.window) <= window**3
    for axis, (spans, length) in enumerate(zip(plan.spans, plan.padded, strict=True)):
        assert length == math.ceil(plan.shape[axis] / stride) * stride
        kept = [voxel for span in spans for voxel in range(span.keep_start, span.keep_stop)]
        assert kept == list(range(length))
        for span in spans:
            assert span.start % stride == 0
            assert 0 <= span.start < span.stop <= length
            assert span.stop - span.start == plan.window[axis]
            assert span.start == 0 or span.keep_start - span.start >= margin
            assert span.stop == length or span.stop - span.keep_stop >= margin


@given(plans())
@settings(max_examples=50, deadline=None)
def test_an_identity_gives_back_the_volume_to_the_bit(case):
    plan, *_ = case
    data = volume_of(plan.shape)
    assert np.array_equal(predict_in_windows(data, np.copy, plan), data)


@given(plans())
@settings(max_examples=30, deadline=None)
def test_smooth_blending_of_an_identity_gives_back_the_volume(case):
    plan, *_ = case
    data = volume_of(plan.shape)
    blended = predict_in_windows(data, np.copy, plan, smooth=True)
    # Rounding alone: a voxel may be the sum of hundreds of windows.
    assert np.abs(blended - data).max() < 5e-5


def mean_of_neighbours(block):
    return scipy.ndimage.uniform_filter(block, 3, mode="constant", axes=(-3, -2, -1))


@given(plans(least_margin=1))
@settings(max_examples=30, deadline=None)
def test_a_local_predictor_gives_the_whole_volumes_answer(case):
    plan, *_ = case
    data = volume_of(plan.shape)
    padded = np.pad(data, [(0, p - n) for p, n in zip(plan.padded, plan.shape, strict=True)])
    whole = mean_of_neighbours(padded)[tuple(slice(0, n) for n in plan.shape)]
    assert np.abs(predict_in_windows(data, mean_of_neighbours, plan) - whole).max() < 1e-5


def test_without_a_margin_the_seams_of_a_local_predictor_show():
    """The test above can fail: a plan whose margin is less than the predictor's reach does."""
    data = np.ones((40, 8, 8), np.float32)
    plan = plan_windows(data.shape, 12, 0, 1)
    assert plan.count > 1
    assert (
        np.abs(predict_in_windows(data, mean_of_neighbours, plan) - mean_of_neighbours(data)).max()
        > 0.2
    )


def coarse_blocks(block):
    """Every voxel becomes its 4³ block's mean: local, but tied to a lattice of stride 4."""
    *windows, z, y, x = block.shape
    means = block.reshape(*windows, z // 4, 4, y // 4, 4, x // 4, 4).mean(axis=(-5, -3, -1))
    return np.repeat(np.repeat(np.repeat(means, 4, -3), 4, -2), 4, -1)


@given(shapes, st.sampled_from([4, 8]))
@settings(max_examples=30, deadline=None)
def test_a_strided_predictor_sees_the_same_lattice_in_every_window(shape, stride):
    data = volume_of(shape)
    plan = plan_windows(shape, smallest_window(4, stride), 4, stride)
    padded = np.pad(data, [(0, p - n) for p, n in zip(plan.padded, shape, strict=True)])
    whole = coarse_blocks(padded)[tuple(slice(0, n) for n in shape)]
    assert np.abs(predict_in_windows(data, coarse_blocks, plan) - whole).max() < 1e-6


def test_smooth_blending_leaves_no_seam_where_windows_disagree():
    """Each window answers with its own constant: cut, the answer jumps; blended, it slopes."""
    plan = plan_windows((100, 8, 8), 16, 4, 1)
    data = volume_of(plan.shape)

    def largest_step(smooth):
        answers = iter(range(plan.count))
        line = predict_in_windows(
            data, lambda block: np.full(block.shape, next(answers), np.float32), plan, smooth=smooth
        )[:, 4, 4]
        return np.abs(np.diff(line)).max()

    overlap = plan.spans[0][0].stop - plan.spans[0][1].start
    assert largest_step(False) == 1
    assert largest_step(True) == pytest.approx(1 / overlap, rel=0.01)


def test_memory_limits_the_window_by_its_volume_not_by_its_edge():
    assert plan_windows((60, 60, 200), 96, 24, 8).window == (64, 64, 200)
    plan = plan_windows((100, 100, 100), 96, 24, 8)
    assert (plan.count, plan.window) == (2, (104, 104, 80))
    assert plan.passes_per_voxel == 2 * 104 * 104 * 80 / 1e6


def test_a_volume_that_fits_is_one_window():
    plan = plan_windows((33, 40, 7), 96, 24, 8)
    assert (plan.count, plan.window) == (1, (40, 40, 8))


@pytest.mark.parametrize(
    ("window", "margin", "stride"), [(48, 24, 8), (55, 24, 8), (8, -1, 8), (8, 0, 0)]
)
def test_windows_of_which_nothing_is_left_are_refused(window, margin, stride):
    with pytest.raises(ValueError, match="cannot cover"):
        plan_windows((100, 100, 100), window, margin, stride)


def test_shapes_that_do_not_belong_together_are_named():
    plan = plan_windows((20, 20, 20), 16, 2, 4)
    with pytest.raises(ValueError, match=r"\(20, 20, 20\).*\(20, 20, 21\)"):
        predict_in_windows(np.zeros((20, 20, 21), np.float32), np.copy, plan)
    with pytest.raises(ValueError, match="the predictor turned"):
        predict_in_windows(np.zeros((20, 20, 20), np.float32), lambda block: block[:, 1:], plan)
