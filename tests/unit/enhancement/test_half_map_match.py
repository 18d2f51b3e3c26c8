"""Whether a map was made from its half maps: changes that do not matter, and those that do."""

import numpy as np
import pytest

from cryosamu.enhancement.checks.half_map_match import check_map_of_halves
from cryosamu.errors import MapError
from cryosamu.volume.fourier import low_pass, sharpen
from cryosamu.volume.volume import Volume

SHAPE = (32, 36, 40)
Z, Y, X = np.ogrid[-1:1:32j, -1:1:36j, -1:1:40j]
INSIDE = Z**2 + Y**2 + X**2 < 0.4
RANDOM = np.random.default_rng(5)


def volume(data):
    return Volume(np.ascontiguousarray(data, np.float32), (1.5, 1.5, 1.5))


def noise():
    return volume(RANDOM.normal(size=SHAPE)).data


def molecule():
    rough = volume(noise() * INSIDE)
    return 6 * low_pass(rough.with_data(rough.data + np.float32(0.3) * INSIDE), 6.0).data


SIGNAL = molecule()
HALVES = volume(SIGNAL + noise()), volume(SIGNAL + noise())
MEAN = volume((HALVES[0].data + HALVES[1].data) / 2)


@pytest.mark.parametrize(
    "made",
    [
        MEAN,
        volume(0.01 * MEAN.data + 7),
        sharpen(MEAN, -100.0),
        volume(MEAN.data * INSIDE),
        sharpen(low_pass(volume(MEAN.data * INSIDE), 5.0, 0.2), -60.0),
    ],
    ids=["mean", "scaled", "sharpened", "masked", "all"],
)
def test_whatever_is_commonly_done_to_a_map_is_let_pass(made):
    assert check_map_of_halves(made, HALVES, "m") == []


@pytest.mark.parametrize(
    ("made", "halves", "words"),
    [
        (HALVES[0], HALVES, "same as the first half map"),
        (HALVES[0], (MEAN, HALVES[1]), "with the second half map"),
        (HALVES[1], (HALVES[0], MEAN), "with the first half map"),
        (volume(noise()), HALVES, "little to do"),
        (volume(-MEAN.data), HALVES, "little to do"),
    ],
)
def test_another_map_is_refused_in_a_sentence_or_noted_by_force(made, halves, words):
    with pytest.raises(MapError, match=f"^m: .*{words}.* or the half maps alone\\.$"):
        check_map_of_halves(made, halves, "m")
    (note,) = check_map_of_halves(made, halves, "m", forced=True)
    assert words in note


def test_a_map_that_agrees_less_with_both_halves_is_noted():
    (note,) = check_map_of_halves(low_pass(MEAN, 8.0), HALVES, "m")
    assert "it was low-passed, or changed by more than filters and masks" in note
