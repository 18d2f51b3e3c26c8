"""Scenes for ChimeraX: file names are data, whatever they hold."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryosamu.enhancement.scene import can_be_opened, matched_levels, scene_of
from cryosamu.errors import CryosamuError
from cryosamu.volume.volume import Volume

HOSTILE = (
    "a\nexit.mrc", "a; exit.mrc", 'a" ; exit ; ".mrc', "a'.mrc", "$HOME.mrc", "a\\N{DIGIT ONE}.mrc",
    "emdb:1234.mrc", "a*.mrc", "a?.mrc", "a[1].mrc", "a\ropen b.mrc", "a\u2028b.mrc",
)  # fmt: skip


def volume(seed):
    data = np.random.default_rng(seed).normal(size=(8, 9, 10)).astype(np.float32)
    return Volume(data, (1.0, 1.5, 2.0))


@pytest.fixture(scope="module")
def enhanced():
    return SimpleNamespace(given=volume(1), volume=volume(2), structure=None, contour=None)


def scene(enhanced, input_name, output="out/enhanced.mrc", **inputs):
    outputs = {"enhanced": Path(output), "scene": Path(output).with_name("enhanced.cxc")}
    return scene_of(enhanced, outputs, {"map": Path("in") / input_name, **inputs})


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_becomes_a_command(enhanced, name):
    """Every line is one of the scene's own, and the hostile file is left out of it."""
    lines = scene(enhanced, name).split("\n")
    assert lines[1].startswith("# The input is left out: its name")
    assert lines[2] == 'open "./enhanced.mrc" format mrc'
    assert {line.partition(" ")[0] for line in lines if line} == {"#", "open", "volume", "view"}
    with pytest.raises(CryosamuError, match="choose another name, or --no-chimerax"):
        scene(enhanced, "map.mrc", f"out/{name}")
    assert not can_be_opened(Path(name))


@settings(deadline=None, max_examples=200)
@given(st.text(min_size=1, max_size=30).filter(lambda name: "/" not in name and "\0" not in name))
def test_whatever_the_name_lines_stay_whole(name):
    shown = SimpleNamespace(given=volume(1), volume=volume(2), structure=None, contour=None)
    text = scene(shown, f"{name}.mrc")
    lines = text.splitlines()
    assert lines == text.split("\n")[:-1], "no sign that some reader takes for a line's end"
    assert sum(line.startswith("open ") for line in lines) in (1, 2)
    for line in lines:
        if line.startswith("open "):
            assert line.count('"') == 2
            assert not set(line) & set(";$*?[]:'\\")


def test_a_plain_name_with_spaces_and_letters_of_any_script_is_opened(enhanced):
    lines = scene(enhanced, "Karte é (1) 電子.mrc").split("\n")
    assert lines[1] == 'open "./../in/Karte é (1) 電子.mrc" format mrc'


def test_what_chimerax_cannot_unpack_is_left_out(enhanced):
    text = scene(enhanced, "emd_1234.map.gz", model=Path("in/1abc.cif.gz"))
    assert [line for line in text.split("\n") if line.startswith("open ")] == [
        'open "./enhanced.mrc" format mrc'
    ]
    assert "# The input is left out: ChimeraX opens no compressed" in text
    assert "# The model is left out: ChimeraX opens no compressed" in text
    assert "volume #1 style surface" in text, "the enhanced map is the first model then"
    told = scene(enhanced, "emd_1234.map.gz", model=Path("in/1abc.pdb.gz"))
    assert 'open "./../in/1abc.pdb.gz"' in told, "PDB files may be compressed"
    assert not can_be_opened(Path("a.mrc.gz"))
    assert can_be_opened(Path("a.mrc"))


def test_levels_follow_the_contour_that_is_given():
    one, other = volume(1), volume(2)
    first, second, enclosed = matched_levels(one, other, None, 0.8)
    inside = int((one.data >= 0.8).sum())
    assert enclosed == pytest.approx(3 * inside)
    assert int((one.data >= first).sum()) == int((other.data >= second).sum()) == inside


def test_a_map_without_a_positive_voxel_is_opened_without_a_level(enhanced):
    dark = volume(2).with_data(-np.abs(volume(2).data))
    text = scene(
        SimpleNamespace(given=volume(1), volume=dark, structure=None, contour=None), "map.mrc"
    )
    assert "level" not in text
    assert "volume #2 style surface step 1 color" in text


def test_paths_lead_there_when_the_output_folder_is_a_link(enhanced, tmp_path):
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "stored").write_text("x")
    (tmp_path / "in" / "map.mrc").symlink_to("stored")
    (tmp_path / "out").symlink_to("far/away")
    outputs = {"enhanced": tmp_path / "out" / "a.mrc", "scene": tmp_path / "out" / "a.cxc"}
    text = scene_of(enhanced, outputs, {"map": tmp_path / "in" / "map.mrc"})
    assert 'open "./../../in/map.mrc" format mrc' in text
    # As ChimeraX opens it, from the folder that the scene truly lies in.
    assert (tmp_path / "far" / "away" / "../../in/map.mrc").is_file()


@pytest.mark.filterwarnings("error")
def test_a_map_of_four_voxels_along_x_is_no_picture_to_otsu(enhanced):
    data = np.random.default_rng(3).random((8, 9, 4)).astype(np.float32)
    narrow = Volume(data, (1.0, 1.0, 1.0))
    assert matched_levels(narrow, narrow, None) is not None
