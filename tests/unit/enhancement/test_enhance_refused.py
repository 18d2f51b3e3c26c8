"""What the command refuses, before the network's work."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from enhance_process import arguments_of
from real_protein import RESOLUTION, write_inputs

from cryosamu.cli.main import main
from cryosamu.enhancement.network_pass import NetworkPass
from cryosamu.enhancement.outputs import Wanted, output_paths
from cryosamu.errors import CryosamuError
from cryosamu.volume.io import read_map, write_map
from cryosamu.volume.volume import Volume


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ubiquitin")
    write_inputs(folder)
    write_map(folder / "tiny.mrc", Volume(np.eye(4, dtype=np.float32) * np.ones((4, 1, 1), "f4"),
                                          (1.0, 1.0, 1.0)), "tiny")  # fmt: skip
    return folder


@pytest.fixture
def refused(folder, tmp_path, monkeypatch, capsys):
    """Runs the command without a network; asserts one sentence and that nothing was left."""
    torch.set_num_threads(1)
    monkeypatch.setattr(NetworkPass, "__call__", None)

    def run(*options, words, output="a.mrc", given=("map.mrc",)):
        before = sorted(tmp_path.rglob("*"))
        arguments = arguments_of(folder, tmp_path / output, *options, given=given)
        monkeypatch.setattr(sys, "argv", ["cryosamu", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        told = capsys.readouterr().err
        assert caught.value.code == 1, told
        assert told.startswith("cryosamu: ")
        assert told.count("\n") == 1
        for word in words:
            assert word in told
        assert sorted(tmp_path.rglob("*")) == before

    return run


def test_one_output_under_two_names(refused, tmp_path):
    (tmp_path / "o").mkdir()
    (tmp_path / "link").symlink_to("o")
    for report in (f"{tmp_path}/o/../o/d.json", tmp_path / "link" / "d_confidence.mrc"):
        refused("--report", report, output="o/d.mrc", words=["another output"])


def test_a_resolution_that_the_map_cannot_hold(refused):
    finer = ["map.mrc: ", "finer than this map's voxels", "--no-confidence"]
    refused("--resolution", 1, words=finer)
    coarser = ["tiny.mrc: ", "too coarse for a box of 4 Å", "--no-confidence"]
    refused("--resolution", 5, given=("tiny.mrc",), words=coarser)


def test_a_compressed_output_with_a_scene(refused):
    words = ["a.mrc.gz: no scene can open it", "--no-chimerax"]
    refused("--chimerax", output="a.mrc.gz", words=words)


def test_folders_and_names_that_are_too_long(refused, tmp_path):
    (tmp_path / "there.mrc").mkdir()
    refused(output="there.mrc", words=["there.mrc: is a folder"])
    refused("--report", tmp_path, words=[f"{tmp_path}: is a folder"])
    # The map itself could be written, but not …_confidence.mrc.
    words = ["_confidence.mrc: is a name of more than 255 bytes"]
    refused(output=f"{'é' * 123}.mrc", words=words)


def test_a_name_of_255_bytes_is_taken():
    assert output_paths(Path("a" * 250 + ".mrc"), Wanted(confidence=False, scene=False))
    with pytest.raises(CryosamuError, match="255"):
        output_paths(Path("a" * 252 + ".mrc"), Wanted(confidence=False, scene=False))


@pytest.mark.parametrize("contour", ["nan", "inf", "1e9"])
def test_a_contour_that_encloses_nothing(refused, contour):
    refused("--contour", contour, words=["contour of", "give a level of"])


def test_an_input_that_is_not_there_or_would_be_overwritten(refused, tmp_path):
    refused("--config", tmp_path / "no.yaml", words=["no.yaml"])
    (tmp_path / "c.json").write_text("{}")
    refused("--config", tmp_path / "c.json", output="c.mrc", words=["would overwrite"])


def test_a_map_that_was_not_made_from_its_half_maps(refused, folder, tmp_path):
    """The map given as a half, a half as the map, another map, and one of inverted contrast."""
    one, two, whole = (folder / name for name in ("half_1.mrc", "half_2.mrc", "map.mrc"))
    halves = ("--half-maps", one, two)
    refused(*halves, given=("half_2.mrc",), words=["half_2.mrc: holds the same as the second half"])
    swapped = ("--half-maps", whole, two)
    refused(*swapped, given=("half_1.mrc",), words=["half_1.mrc: ", "the second half map (mean"])
    refused("--half-maps", one, whole, given=("half_2.mrc",), words=["the first half map (mean"])
    given = read_map(whole)
    for name, data in (("inverted", -given.data), ("turned", given.data[::-1, ::-1])):
        write_map(folder / f"{name}.mrc", given.with_data(np.ascontiguousarray(data)), name)
        refused(*halves, given=(f"{name}.mrc",), words=[f"{name}.mrc: has little to do with"])


def test_a_mask_in_memory_is_checked_as_a_file_is(folder):
    from cryosamu.enhancement.sources import read_sources

    given = read_map(folder / "map.mrc")
    for data, words in (
        (np.full(given.shape, 0.1, np.float32), "the mask: is empty"),
        (np.full(given.shape, 7, np.float32), "a mask goes from 0 to 1"),
    ):
        with pytest.raises(CryosamuError, match=words):
            read_sources(given, None, None, given.with_data(data), RESOLUTION)
