from dataclasses import replace

import numpy as np
import pytest

from cryosamu.curation.header_offset import explain_shift
from cryosamu.volume.header import computed_frame
from cryosamu.volume.io import read_map, write_map
from cryosamu.volume.volume import Volume

VOXELS = np.zeros((20, 30, 41), np.float32)


def volume_of(tmp_path, origin=(0.0, 0.0, 0.0), nstart=(0, 0, 0)):
    """A map as read back from a file with these words in its header."""
    volume = Volume(VOXELS, (1.5, 1.5, 1.5), origin)
    frame = replace(computed_frame(volume), nstart=nstart)
    write_map(tmp_path / "map.mrc", replace(volume, frame=frame), "test")
    return read_map(tmp_path / "map.mrc")


@pytest.mark.parametrize(
    ("header", "shift", "words"),
    [
        ({"origin": (60.0, -30.0, 9.0)}, (60, -30, 9), "it equals the map's header origin: "),
        ({"origin": (60.0, -30.0, 9.0)}, (61.2, -31, 9), "it equals the map's header origin: "),
        ({"origin": (60.0, -30.0, 9.0)}, (-60, 30, -9), "equals minus the map's header origin"),
        ({"nstart": (10, -20, 4)}, (15, -30, 6), "it equals the map's nstart: "),
        (
            {"origin": (60.0, -30.0, 9.0), "nstart": (10, 0, 0)},
            (45, -30, 9),
            "header origin minus its nstart",
        ),
        ({}, (-30.0, -22.5, -15), "as if the box's corner were its centre"),
        ({}, (30.0, 22.5, 15), "the place of the box's centre"),
        ({"nstart": (10, -20, 4)}, (45, -7.5, 21), "the place of the box's centre"),
        ({"nstart": (10, -20, 4)}, (30, 22.5, 15), "as if the box's centre were its corner"),
    ],
)
def test_an_offset_of_the_header_is_told(tmp_path, header, shift, words):
    assert words in explain_shift(volume_of(tmp_path, **header), shift)


@pytest.mark.parametrize("shift", [(0.0, 0.0, 0.0), (62.0, -30.0, 9.0), (9.0, 8.0, 7.0)])
def test_other_shifts_are_not(tmp_path, shift):
    assert explain_shift(volume_of(tmp_path, origin=(60.0, -30.0, 9.0)), shift) is None


def test_a_short_offset_explains_nothing(tmp_path):
    assert explain_shift(volume_of(tmp_path, nstart=(2, 0, 0)), (3.0, 0, 0)) is None


def test_a_computed_map_has_an_origin_too():
    volume = Volume(VOXELS, (1.0, 1.0, 1.0), (50.0, 0.0, 0.0))
    assert "nstart" not in explain_shift(volume, (50.0, 0, 0))
