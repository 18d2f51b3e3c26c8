import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cryosamu.volume.quantiles import median, percentile

VALUES = arrays(
    st.sampled_from([np.float32, np.float64]),
    st.one_of(st.tuples(st.integers(1, 60)), st.tuples(*[st.integers(1, 5)] * 3)),
    elements=st.floats(-1e6, 1e6, width=32),
)
PERCENTS = st.sampled_from([0.0, 0.1, 25.0, 50.0, 75.0, 99.9, 99.999, 100.0])


@given(VALUES, PERCENTS)
def test_percentiles_are_those_of_numpy(data, percent):
    assert percentile(data, percent) == float(np.percentile(data, percent))


@given(VALUES, PERCENTS)
def test_percentiles_of_what_lies_above_a_value(data, percent):
    data.flat[0] = 3
    expected = float(np.percentile(data[data > 0], percent))
    assert percentile(data, percent, above=0) == expected


@given(VALUES)
def test_medians_are_those_of_numpy_in_double_precision(data):
    assert median(data) == np.median(data.astype(np.float64))


@pytest.fixture(scope="module", params=["noise", "sorted", "masked", "periodic", "two values"])
def large(request):
    """Maps of 10⁶ voxels, some of which a sample tells nothing about."""
    rng = np.random.default_rng(3)
    data = rng.normal(size=(100, 100, 100)).astype(np.float32)
    match request.param:
        case "sorted":
            data = np.sort(data, axis=None).reshape(data.shape)
        case "masked":
            data[:, 20:] = 0
        case "periodic":
            # Every voxel that the sample sees is far above the rest.
            data.reshape(-1)[:: data.size // (1 << 14)] += 1000
        case "two values":
            data = np.sign(data)
    return data


@pytest.mark.parametrize("percent", [0.0, 0.1, 50.0, 75.0, 99.9, 99.999, 100.0])
def test_large_maps_have_the_percentiles_of_numpy(large, percent):
    assert percentile(large, percent) == float(np.percentile(large, percent))
    positive = float(np.percentile(large[large > 0], percent))
    assert percentile(large, percent, above=0) == positive
    thinned = large[::3]
    assert percentile(thinned, percent) == float(np.percentile(thinned, percent))


def test_medians_of_deviations(large):
    middle = np.float64(1 / 3)
    expected = np.median(np.abs(large.astype(np.float64) - middle))
    assert median(large, lambda piece: np.abs(piece - middle)) == expected


def test_the_given_values_stay_in_their_order(large):
    before = large.copy()
    percentile(large, 99.9)
    median(large.reshape(-1))
    np.testing.assert_array_equal(large, before)
