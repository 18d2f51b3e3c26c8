import numpy as np
import pytest
import scipy.fft
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from small_pairs import empty, molecule, moved, noise

from cryosamu.errors import MapError
from cryosamu.evaluation.crossing import first_below, fit_parabola
from cryosamu.evaluation.fsc import map_model_fsc, model_fsc, smooth
from cryosamu.evaluation.reference import ModelReference
from cryosamu.evaluation.reflections import mtriage_bins, sorted_reflections

RESOLUTION = 4.0


@pytest.fixture(scope="module")
def reference():
    return ModelReference(empty((44, 42, 40), (1.1, 1.1, 1.2)), molecule(spread=14), RESOLUTION)


def own_map(reference):
    """The map whose transform is the model's coefficients: FSC 1 at every frequency."""
    return scipy.fft.irfftn(reference.coefficients, s=reference.grid.shape).astype(np.float32)


def test_a_map_agrees_with_itself_at_every_frequency(reference):
    found = model_fsc(own_map(reference), reference)
    np.testing.assert_allclose(found.unmasked.smoothed.fsc, 1, atol=1e-3)
    np.testing.assert_allclose(found.unmasked.shells.fsc[1:], 1, atol=1e-3)
    assert found.d_fsc_05_unmasked is None
    assert found.unmasked.average == pytest.approx(1, abs=1e-4)


@settings(deadline=None, max_examples=6)
@given(scale=st.floats(1e-2, 1e2), offset=st.floats(-1, 1), seed=st.integers(0, 99))
def test_scale_and_offset_change_nothing(reference, scale, offset, seed):
    data = own_map(reference)
    data = data / data.std() + noise(reference.grid, seed).data
    plain = model_fsc(data, reference).unmasked
    changed = model_fsc((scale * (data + offset)).astype(np.float32), reference).unmasked
    np.testing.assert_allclose(changed.smoothed.fsc, plain.smoothed.fsc, atol=1e-3)
    assert changed.d_fsc_05 == pytest.approx(plain.d_fsc_05, abs=0.02)


def test_moving_map_and_model_together_changes_nothing(reference):
    shift = (-31.7, 250.2, 12.9)
    grid = reference.grid
    data = own_map(reference)
    data = data / data.std() + noise(grid).data
    there = empty(grid.shape, grid.voxel_size, shift).with_data(data)
    found = map_model_fsc(there, moved(molecule(spread=14), shift), RESOLUTION)
    plain = model_fsc(data, reference)
    assert found.d_fsc_05_masked == pytest.approx(plain.d_fsc_05_masked, abs=0.01)
    assert found.d_fsc_05_unmasked == pytest.approx(plain.d_fsc_05_unmasked, abs=0.01)


def test_noise_agrees_with_nothing(reference):
    found = model_fsc(noise(reference.grid).data, reference)
    counts = np.diff(reference.reflections.shells)[::-1]
    bound = 4 / np.sqrt(2 * counts)  # four standard deviations
    assert (abs(found.unmasked.shells.fsc) < bound).all()
    crossing = found.unmasked.below_half
    assert crossing.first_bin > 8
    assert crossing.spacing > 8 or crossing.extrapolated


def test_the_curve_falls_where_noise_takes_over(reference):
    """Phases lost beyond a frequency: the curve crosses 0.5 there, mask or not."""
    spectrum = reference.coefficients.copy()
    nz, ny, nx = reference.grid.shape
    x, y, z = reference.grid.voxel_size
    s = np.sqrt(
        np.fft.fftfreq(nz, z)[:, None, None] ** 2
        + np.fft.fftfreq(ny, y)[None, :, None] ** 2
        + np.fft.rfftfreq(nx, x)[None, None, :] ** 2
    )
    lost = s > 1 / 5.0
    other = scipy.fft.rfftn(noise(reference.grid).data)
    spectrum[lost] = abs(spectrum[lost]) * (other / abs(other))[lost]
    data = scipy.fft.irfftn(spectrum, s=reference.grid.shape).astype(np.float32)
    found = model_fsc(data, reference)
    assert found.d_fsc_05_unmasked == pytest.approx(5.0, abs=0.2)
    shells = found.unmasked.shells
    width = 1 / max(reference.grid.box)
    assert shells.fsc[shells.spatial_frequency < 0.2 - width].min() > 0.99
    assert shells.fsc[shells.spatial_frequency > 0.2 + width].max() < 0.5
    counts = np.diff(reference.reflections.shells)[::-1]
    within = shells.spatial_frequency <= 1 / RESOLUTION
    expected = (counts * shells.fsc)[within].sum() / counts[within].sum()
    assert found.unmasked.average == pytest.approx(expected)


def test_reflections_are_unique_and_sorted():
    grid = empty((9, 8, 7), (1.0, 1.5, 2.0))
    found = sorted_reflections(grid)
    assert len(found.order) == len(np.unique(found.order)) == (9 * 7 * 7 - 1) // 2
    nz, ny, nx = np.unravel_index(found.order, (9, 8, 4))
    squared = (
        np.fft.fftfreq(9, 2.0)[nz] ** 2
        + np.fft.fftfreq(8, 1.5)[ny] ** 2
        + np.fft.rfftfreq(7, 1.0)[nx] ** 2
    )
    assert (np.diff(squared) <= 1e-12).all()
    assert found.shells[-1] == len(found.order)
    for first, last, middle in zip(
        found.shells[:-1], found.shells[1:], found.shell_frequencies, strict=True
    ):
        inside = np.sqrt(squared[first:last])
        assert (abs(inside - middle) <= 0.5 / max(grid.box) + 1e-12).all()


def bins_one_by_one(spacings):
    """mtriage's rule as a loop over reflections."""
    bins, first = [], 0
    for place, spacing in enumerate(spacings):
        begun = spacings[first]
        least = 100 if begun > 10 else 250 if begun > 5 else 500
        count, left = place - first + 1, len(spacings) - place - 1
        if count < least and left >= least:
            continue
        if count > least or spacing - begun > 0.005:
            if left < least:
                return [*bins, first, len(spacings)]
            bins.append(first)
            first = place + 1
    return [*bins, first]


@settings(deadline=None, max_examples=60)
@given(
    size=st.integers(1, 4000),
    seed=st.integers(0, 999),
    finest=st.floats(1.5, 9),
    ties=st.sampled_from([1e-6, 0.01, 0.5]),
)
def test_bins_hold_enough_reflections(size, seed, finest, ties):
    rng = np.random.default_rng(seed)
    spacings = np.sort(1 / np.cbrt(rng.uniform(1e-5, 1 / finest**3, size)))
    spacings = np.sort(np.round(spacings / ties) * ties)
    assert list(mtriage_bins(spacings)) == bins_one_by_one(spacings)


def test_smoothing_keeps_parabolas_and_coarse_bins():
    s = np.linspace(0.02, 0.4, 60)
    parabola = 0.9 - 2 * s**2 + 0.3 * s
    np.testing.assert_allclose(smooth(s, parabola).fsc[20:-10], parabola[20:-10], atol=1e-9)
    rough = np.where(np.arange(60) % 2, 0.9, 0.1)
    found = smooth(s, rough)
    coarse = s < 1 / 15
    np.testing.assert_array_equal(found.fsc[coarse], rough[coarse])
    assert found.fsc[~coarse].std() < 0.1
    np.testing.assert_array_equal(smooth(s[:10], rough[:10]).fsc, rough[:10])


def test_smoothing_is_scipys_filter():
    values = np.random.default_rng(0).uniform(size=80)
    s = np.linspace(0.07, 0.4, 80)
    expected = scipy.signal.savgol_filter(values, 21, 2, mode="mirror")
    np.testing.assert_allclose(smooth(s, values).fsc, expected, atol=1e-12)


def test_smoothing_sorts_from_coarse_to_fine():
    s = np.linspace(0.02, 0.4, 60)
    np.testing.assert_array_equal(smooth(s[::-1], s).spatial_frequency, s)


@settings(deadline=None, max_examples=50)
@given(middle=st.floats(0.12, 0.3), width=st.floats(0.02, 0.08))
def test_crossing_of_a_smooth_fall(middle, width):
    s = np.linspace(0.02, 0.45, 300)
    fall = 1 / (1 + np.exp((s - middle) / width))
    found = first_below(s, fall, 0.5)
    assert found.spacing == pytest.approx(1 / middle, abs=0.25)
    assert not found.extrapolated


def test_crossing_on_a_line_is_exact_and_absent_where_there_is_none():
    s = np.linspace(0.02, 0.45, 300)
    found = first_below(s, 1 - 2 * s, 0.5)
    assert found.spacing == pytest.approx(4.0, abs=0.05)
    assert found.first_bin == pytest.approx(1 / s[s > 0.25][0])
    assert not found.extrapolated
    assert first_below(s, np.ones(300), 0.5) is None
    few = first_below(s[:3], np.array([1.0, 0.2, 0.1]), 0.5)
    assert few.spacing == few.first_bin == pytest.approx(1 / s[1])


def test_a_curve_below_from_the_start_crosses_at_its_first_bin():
    s = np.linspace(0.02, 0.45, 300)
    nowhere = first_below(s, np.zeros(300), 0.5)
    assert nowhere.spacing == nowhere.first_bin == pytest.approx(50.0)


def test_fit_comes_near_the_least_squares_solution():
    x = np.linspace(0.1, 0.3, 11)
    y = 1.3 - 2 * x - 5 * x**2
    found = fit_parabola(x, y)
    np.testing.assert_allclose(np.vander(x, 3, increasing=True) @ found, y, atol=2e-3)


def test_fit_stops_where_cctbx_stops():
    """Parameters that `scitbx.math.curve_fitting.univariate_polynomial_fit` 2025.11 returned."""
    x = np.array([0.10, 0.11, 0.12, 0.13, 0.14, 0.15, 0.16, 0.17, 0.18, 0.19, 0.20])
    y = np.array([0.62, 0.60, 0.59, 0.55, 0.53, 0.49, 0.47, 0.44, 0.42, 0.37, 0.36])
    expected = (0.8223048648480853, -1.5824543057739342, -3.846442313897709)
    np.testing.assert_allclose(fit_parabola(x, y), expected, rtol=1e-7)
    solution = np.polyfit(x, y, 2)[::-1]
    assert abs(solution - expected).max() > 1e-5


def test_a_constant_map_is_refused():
    with pytest.raises(MapError, match="constant"):
        map_model_fsc(empty(), molecule(), RESOLUTION)
