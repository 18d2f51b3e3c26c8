"""A few hundred of the files of `benchmarks/fuzz_maps.py`, and what it takes for a fault."""

import fuzz_maps
import numpy as np
import pytest
from hostile_maps import KINDS, hostile_file, sound_file

from cryosamu.errors import MapError
from cryosamu.volume.io import read_map


def test_the_reader_survives_hostile_files():
    found = fuzz_maps.outcomes(61_000, 61_250)
    assert [one.number for one in found] == list(range(61_000, 61_250))
    assert [one for one in found if one.ending == "fault"] == []
    assert {one.kind for one in found} == set(KINDS)
    assert {one.ending for one in found} == {"made", "refused", "unprepared"}


def test_a_file_is_the_same_whenever_it_is_made():
    assert [hostile_file(number) for number in range(40)] == [
        hostile_file(number) for number in range(40)
    ]


def test_what_is_damaged_was_sound(tmp_path):
    for seed in range(20):
        (tmp_path / "a.map").write_bytes(sound_file(np.random.default_rng(seed)))
        assert read_map(tmp_path / "a.map").data.std() > 1


def faulty(kind):
    def read(path):
        if kind == "crash":
            raise IndexError("list index out of range")
        if kind == "nameless":
            raise MapError("is not a map.")
        if kind == "several lines":
            raise MapError(f"{path}: is not\na map.")
        if kind == "memory":
            np.ones(80_000_000, np.uint8)
        raise MapError(f"{path}: is not a map.")

    return read


@pytest.mark.parametrize("kind", ["crash", "nameless", "several lines", "memory"])
def test_a_fault_of_the_reader_is_noticed(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(fuzz_maps, "read_map", faulty(kind))
    # A plain small file: one of a kind that is never packed.
    number = next(n for n in range(99) if hostile_file(n)[0] == "cut short")
    assert fuzz_maps.tried(number, tmp_path).ending == "fault"
    monkeypatch.setattr(fuzz_maps, "read_map", faulty("none"))
    assert fuzz_maps.tried(number, tmp_path).ending == "refused"


def test_a_process_that_dies_is_a_fault_of_its_file(monkeypatch):
    monkeypatch.setattr(fuzz_maps, "__file__", "no such script")
    found = fuzz_maps.outcomes(0, 2)
    assert [(one.number, one.ending) for one in found] == [(0, "fault"), (1, "fault")]
    assert "ended with status 2" in found[0].told
