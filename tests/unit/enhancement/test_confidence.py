"""Confidence: predictors against plain definitions, and the map against what must hold of any."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_calibration import SHA256, calibration

from cryosamu.enhancement.trust.confidence import confidence_map
from cryosamu.enhancement.trust.confidence_calibration import (
    DEFINITION,
)
from cryosamu.enhancement.trust.confidence_evidence import (
    NAMES,
    coarse_map,
    evidence_of,
    flat_voxels,
    local_correlation,
)
from cryosamu.errors import MapError
from cryosamu.volume.volume import Volume

RESOLUTION = 6.0
SHAPE = (44, 48, 40)
SIZE = 1.5
ORIGIN = (7.0, -20.0, 3.5)


def grid(data: np.ndarray) -> Volume:
    return Volume(np.asarray(data, np.float32), (SIZE,) * 3, ORIGIN)


@cache
def noise(seed: int) -> np.ndarray:
    """Gaussian noise of standard deviation 1 without detail finer than the resolution."""
    values = np.random.default_rng(seed).standard_normal(SHAPE)
    s = [np.fft.fftfreq(count, SIZE) for count in SHAPE]
    fine = np.sqrt(s[0][:, None, None] ** 2 + s[1][:, None] ** 2 + s[2] ** 2) > 1 / RESOLUTION
    smooth = np.fft.ifftn(np.where(fine, 0, np.fft.fftn(values))).real
    return smooth / smooth.std()


@cache
def molecule() -> tuple[np.ndarray, np.ndarray]:
    """A ball of blobs in the middle of the box, σ 2.4 Å, and which voxels lie in it."""
    random = np.random.default_rng(3)
    centre, radius = np.array(SHAPE) * SIZE / 2, 18.0
    directions = random.normal(size=(250, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    places = centre + radius * directions * random.random((250, 1)) ** (1 / 3)
    axes = [np.arange(count) * SIZE for count in SHAPE]
    factors = [np.exp(-((axes[d] - places[:, [d]]) ** 2) / (2 * 2.4**2)) for d in range(3)]
    data = np.einsum("az,ay,ax->zyx", *factors)
    distance = np.sqrt(sum((axes[d].reshape([-1 if d == e else 1 for e in range(3)]) - centre[d])
                           ** 2 for d in range(3)))  # fmt: skip
    return data / data.std(), distance < radius - 3


def confidence(data, enhanced=None, **other):
    enhanced = data if enhanced is None else enhanced
    given = {"resolution": RESOLUTION, "calibration": calibration(), **other}
    return confidence_map(grid(data), grid(enhanced), **given)


# Predictors


def test_the_local_correlation_is_pearsons_with_gaussian_weights():
    """Against the weighted sums written out at a few voxels."""
    first, second = noise(1), 0.6 * noise(1) + 0.8 * noise(2)
    found = local_correlation(grid(first), grid(second), RESOLUTION)
    sigma = 1.5 * RESOLUTION / 2.3548 / SIZE
    z, y, x = np.indices(SHAPE)
    for place in ((20, 22, 18), (15, 30, 22)):
        squared = (z - place[0]) ** 2 + (y - place[1]) ** 2 + (x - place[2]) ** 2
        weights = np.exp(-squared / (2 * sigma**2)).ravel()
        covariance = np.cov(first.ravel(), second.ravel(), aweights=weights)
        expected = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
        assert found[place] == pytest.approx(expected, abs=2e-3)


def test_unrelated_maps_correlate_by_chance_alone():
    """50 independent values a neighbourhood, says the documentation: 0 ± 0.14."""
    found = local_correlation(grid(noise(1)), grid(noise(2)), RESOLUTION)
    assert abs(found.mean()) < 0.05
    assert found.std() == pytest.approx(0.14, abs=0.03)


@settings(max_examples=5, deadline=None)
@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-1e2, 1e2))
def test_neither_scale_nor_offset_of_the_maps_matters(scale, shift):
    data, _ = molecule()
    data = data[10:-10, 10:-10, 8:-8] + 0.1 * noise(4)[10:-10, 10:-10, 8:-8]
    enhanced = data + 0.2 * noise(5)[10:-10, 10:-10, 8:-8]
    before = evidence_of(grid(data), grid(enhanced), RESOLUTION).values
    after = evidence_of(grid(data), grid(scale * enhanced + shift * scale), RESOLUTION).values
    np.testing.assert_allclose(after, before, atol=5e-3)


def test_predictors_tell_molecule_from_noise():
    data, _ = molecule()
    seen = evidence_of(grid(data + 0.1 * noise(6)), grid(data), RESOLUTION)
    blank = evidence_of(grid(noise(6)), grid(noise(7)), RESOLUTION)
    middle = tuple(count // 2 for count in seen.grid.shape)
    found = dict(zip(NAMES, seen.values[(slice(None), *middle)], strict=True))
    assert found["input_correlation"] > 0.95
    assert found["above_noise"] > 0.95
    lost = dict(zip(NAMES, blank.values.reshape(4, -1).mean(axis=1), strict=True))
    assert abs(lost["input_correlation"]) < 0.05
    assert lost["above_noise"] < 0.5
    assert lost["skewness"] < 0.2 < seen.values[2].max()


def test_power_that_was_added_beyond_the_resolution_is_seen_where_it_is():
    data, _ = molecule()
    z, y, x = np.indices(SHAPE)
    fine = np.cos(2 * np.pi * x * SIZE / 4.0)  # 4 Å waves, beyond 6 Å
    there = np.exp(-((z - 12) ** 2 + (y - 24) ** 2 + (x - 20) ** 2) / (2 * 3.0**2))
    plain, waves = (
        evidence_of(grid(data), grid(enhanced), RESOLUTION).values[NAMES.index("finer_detail")]
        for enhanced in (data, data + 2 * fine * there)
    )
    gained = waves - plain
    peak = np.array(np.unravel_index(gained.argmax(), gained.shape)) / gained.shape
    np.testing.assert_allclose(peak, np.array([12, 24, 20]) / SHAPE, atol=0.08)
    assert gained.max() > 1
    assert abs(gained[2 * len(gained) // 3 :]).mean() < 0.02 * gained.max()


def test_the_fine_share_is_the_ratio_of_standard_deviations():
    """A coarse wave of amplitude 3 and a fine one of amplitude 1 everywhere: ln(1/3)."""
    x = np.arange(SHAPE[2]) * SIZE
    coarse = 3 * np.cos(2 * np.pi * x / 10.0)
    fine = np.cos(2 * np.pi * x / 4.0)
    data = np.broadcast_to(coarse + fine, SHAPE)
    found = evidence_of(grid(data), grid(data), RESOLUTION).values[NAMES.index("finer_detail")]
    assert np.median(found) == pytest.approx(np.log(1 / 3), abs=0.05)


def test_what_a_mask_left_is_found_and_nothing_else():
    data, inside = molecule()
    assert not flat_voxels(grid(data + 0.1 * noise(1))).any()
    masked = np.where(inside, data, 0.25)
    np.testing.assert_array_equal(flat_voxels(grid(masked)), ~inside)


# The map


def test_a_perfect_map_is_believed_and_noise_is_not():
    data, inside = molecule()
    perfect = confidence(data).volume.data
    blank = confidence(noise(1), noise(2)).volume.data
    assert perfect[inside].min() > 0.85
    # Chance correlates single neighbourhoods, by 0.14 and rarely four times of it.
    assert blank.mean() < 0.3
    assert blank.max() < perfect[inside].min()
    assert perfect.min() >= 0
    assert perfect.max() <= 1


def test_confidence_falls_as_the_enhanced_map_departs_from_the_input():
    data, inside = molecule()
    data = data + 0.2 * noise(1)
    means = [
        confidence(data, data + strength * noise(2)).volume.data[inside].mean()
        for strength in (0, 1, 2, 4)
    ]
    assert all(np.diff(means) < -0.01)
    assert means[-1] < means[0] - 0.1


def test_invented_density_is_not_believed_where_it_is_and_the_rest_is():
    data, inside = molecule()
    z, y, _ = np.indices(SHAPE)
    there = (z < 12) & (y < 14)
    enhanced = np.where(there, 2 * noise(9), data)
    found = confidence(data + 0.1 * noise(8), enhanced).volume.data
    assert found[there & (z < 8) & (y < 10)].mean() < 0.35
    assert found[inside].mean() > 0.85


def test_outside_a_mask_confidence_is_zero_and_a_number_everywhere():
    data, inside = molecule()
    masked = np.where(inside, data, 0)
    found = confidence(masked)
    assert np.isfinite(found.volume.data).all()
    assert (found.volume.data[~inside] == 0).all()
    assert found.volume.data[inside].mean() > 0.8
    assert any("masked away" in note for note in found.record["notes"])


def test_an_enhanced_map_that_is_constant_is_not_believed():
    data, _ = molecule()
    found = confidence(data, np.zeros(SHAPE)).volume.data
    assert np.isfinite(found).all()
    assert found.max() < confidence(data).volume.data.max() - 0.2


def test_the_answer_lies_on_the_inputs_grid_where_the_input_does():
    """Signal everywhere but in one block of the enhanced map: what is lost is lost there."""
    data = noise(1) + 0.3 * np.random.default_rng(0).standard_normal(SHAPE)
    spoilt = data.copy()
    spoilt[30:, 4:14, 26:36] = noise(2)[30:, 4:14, 26:36]
    found = confidence(data, spoilt)
    assert found.volume.shape == SHAPE
    assert found.volume.voxel_size == (SIZE,) * 3
    assert found.volume.origin == ORIGIN
    lost = confidence(data).volume.data - found.volume.data
    weights = np.maximum(lost, 0) ** 2
    centre = [float((axis * weights).sum() / weights.sum()) for axis in np.indices(SHAPE)]
    np.testing.assert_allclose(centre, (36.5, 8.5, 30.5), atol=2.5)


# Half maps and resolution


def test_half_maps_bound_the_confidence_by_what_their_mean_can_know():
    """Locally uncorrelated halves: nothing is believed, however good the map looks; else C_ref."""
    data, inside = molecule()
    unrelated = grid(noise(11)), grid(noise(12))
    found = confidence(data, halves=unrelated)
    assert found.volume.data[inside].mean() < 0.35
    assert found.record["half_maps"] is True
    same = grid(data + 0.01 * noise(11)), grid(data + 0.01 * noise(12))
    np.testing.assert_allclose(
        confidence(data, halves=same).volume.data[inside],
        confidence(data).volume.data[inside],
        atol=0.01,
    )


def test_the_bound_is_c_ref():
    """Halves of local correlation 0.5 bound by √(2 · 0.5 / 1.5) = 0.816."""
    signal = noise(21)
    pair = grid(signal + noise(22)), grid(signal + noise(23))
    sure = calibration(intercept=40.0)
    found = confidence(signal, halves=pair, calibration=sure).volume.data
    coarse = local_correlation(*(coarse_map(half, RESOLUTION) for half in pair), RESOLUTION)
    coarse = np.maximum(coarse, 0)
    expected = np.sqrt(2 * coarse / (1 + coarse)).mean()
    assert expected == pytest.approx(np.sqrt(2 * 0.5 / 1.5), abs=0.03)
    assert found.mean() == pytest.approx(expected, abs=0.01)


def test_where_the_resolution_comes_from_is_told():
    data, _ = molecule()
    assert confidence(data).record["resolution_from"] == "given"
    unknown = confidence(data, resolution=None)
    assert unknown.record["resolution_from"] == "default"
    assert unknown.record["resolution"] == 6.0
    assert "no resolution was given" in unknown.record["notes"][0]
    white = [np.random.default_rng(seed).standard_normal(SHAPE) for seed in (1, 2)]
    pair = tuple(grid(3 * noise(3) + one) for one in white)
    told = confidence(data, resolution=None, halves=pair)
    assert told.record["resolution_from"] == "half maps"
    assert told.record["resolution"] == pytest.approx(RESOLUTION, abs=0.6)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"resolution": -1.0}, "positive"),
        ({"resolution": 1.0}, "finer than"),
        ({"halves": (grid(noise(1)), grid(noise(2)[1:]))}, "one grid"),
    ],
    ids=["negative", "too fine", "another grid"],
)
def test_what_cannot_be_judged_is_refused(change, told):
    with pytest.raises(MapError, match=told):
        confidence(noise(1), **change)


def test_a_constant_map_is_refused():
    with pytest.raises(MapError, match="constant"):
        confidence(np.ones(SHAPE))


# Calibration


def test_the_record_says_on_which_network_it_was_calibrated():
    data, _ = molecule()
    same = confidence(data, checkpoint_sha256=SHA256).record
    other = confidence(data, checkpoint_sha256="f" * 64).record
    unknown = confidence(data).record
    assert [one["calibration"]["same_network"] for one in (same, other, unknown)] == [
        True, False, None,
    ]  # fmt: skip
    assert same["notes"] == []
    assert "another network" in other["notes"][0]
    assert same["meaning"] == DEFINITION
    assert json.loads(json.dumps(same)) == same


def test_with_the_packaged_calibration_noise_is_believed_less_than_a_molecule():
    data, inside = molecule()
    given = {"resolution": RESOLUTION}
    clear = confidence_map(grid(data + 0.1 * noise(1)), grid(data), **given).volume.data
    blank = confidence_map(grid(noise(1)), grid(noise(2)), **given).volume.data
    assert blank.mean() < clear[inside].mean() - 0.2
