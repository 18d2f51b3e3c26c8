"""The page about one enhanced map."""

from types import SimpleNamespace

import numpy as np
import pytest
from parsed_page import HOSTILE, Page
from strand import write_strand

from cryosamu.report import one_map, pictures
from cryosamu.report.drawing import entry
from cryosamu.report.drawing.entry import Scene, draw_surfaces
from cryosamu.report.drawing.surface import cast_rays
from cryosamu.report.one_map import confidence_surface, map_page
from cryosamu.structure.density import simulate_density
from cryosamu.structure.model import heavy_atoms, read_model
from cryosamu.volume.volume import Volume

CHECKSUMS = {"map": "a" * 64, "model": "b" * 64}


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch):
    monkeypatch.setattr(pictures, "SURFACE_PIXELS", 48)
    monkeypatch.setattr(pictures, "SLICE_PIXELS", 32)
    monkeypatch.setattr(one_map, "SURFACE_PIXELS", 48)


@pytest.fixture
def files(tmp_path):
    """A strand along x, and files whose names are hostile."""
    write_strand(tmp_path / "model.pdb", 6, (12.0, 14.0, 14.0))
    inputs = {
        "map": tmp_path / f"{HOSTILE[:20].replace('/', '')}.mrc",
        "model": tmp_path / "model.pdb",
    }
    inputs["map"].write_bytes(b"a map")
    return inputs


def enhanced_map(files, with_model=True, **changes):
    structure = read_model(files["model"])
    grid = Volume(np.zeros((28, 28, 44), np.float32), (1.0, 1.0, 1.0))
    sharp = simulate_density(heavy_atoms(structure), grid, 1.5)
    believed = np.broadcast_to(np.linspace(0, 1, 44, dtype=np.float32), (28, 28, 44))
    record = {
        "control": None, "half_maps": None, "structure_tokens": 6 if with_model else 0,
        "confidence": {
            "share_of_density_above_half": 0.4, "meaning": "What it means.", "notes": ["A note."],
        },
        "keeping": {"sentence": "3 % was kept.", "share_of_density": 0.03},
        "mass": {"seen_kda": 812.345, "at_contour_kda": None, "told_kda": 800.0},
        "low_pass": None, "symmetry": None, "device": "cpu",
        "windows": {"count": 1, "shape": [28, 28, 44]}, "seconds": {"network": 1.25},
    }  # fmt: skip
    values = {
        "given": sharp, "volume": sharp.with_data(2 * sharp.data - np.float32(0.01)),
        "structure": structure if with_model else None, "resolution": 5.0, "guard": None,
        "confidence": grid.with_data(believed.copy()), "record": record,
        "seen": ("The map is masked.",), "checkpoint_notes": ("Trained on one map.",),
    }  # fmt: skip
    return SimpleNamespace(**(values | changes))


@pytest.mark.parametrize("with_model", [True, False])
def test_the_page_says_what_to_believe_and_shows_the_map(files, with_model):
    html = map_page(enhanced_map(files, with_model), files, CHECKSUMS)
    text = " ".join(Page(html).text)
    assert len(html) < 5_000_000
    for words in (
        "40% of the density has a confidence above one half. What it means.", "A note.",
        "3 % was kept.", "What is finer than 5 Å", "The map is masked.", "Trained on one map.",
        "seen kda", "812.3",
        "No half maps were given", "network 1.2",
    ):  # fmt: skip
        assert words in text
    assert ("it is no evidence for it" in text) == with_model
    assert ("backbone, coloured by chain" in text) == with_model
    assert "coloured by confidence: red 0" in text
    assert "http" not in html.partition("<script>")[0].replace("http-equiv", "")


def test_without_density_the_page_says_why_nothing_is_drawn(files):
    dark = enhanced_map(files)
    dark.volume = dark.volume.with_data(-dark.given.data)
    text = " ".join(Page(map_page(dark, files, CHECKSUMS)).text)
    assert "A map has no positive voxel" in text
    assert "What to believe" in text


def test_the_surface_is_red_where_the_confidence_is_low_and_blue_where_it_is_high(files):
    made = enhanced_map(files)
    surfaces = draw_surfaces(Scene(made.given, made.volume, made.structure), 40)
    left_dark, right_dark = (
        confidence_surface(
            surfaces, made.volume.with_data(np.full((28, 28, 44), value, np.float32))
        )
        for value in (0.0, 1.0)
    )
    for pixels, strong, weak in ((left_dark, 0, 2), (right_dark, 2, 0)):
        seen = pixels[pixels[..., 3] > 0].astype(int)
        assert len(seen) > 20
        assert (seen[:, strong] > seen[:, weak]).mean() > 0.95


def test_no_surface_is_cast_twice(files, monkeypatch):
    levels = []

    def counted(volume, level, camera):
        levels.append(level)
        return cast_rays(volume, level, camera)

    monkeypatch.setattr(entry, "cast_rays", counted)
    map_page(enhanced_map(files), files, CHECKSUMS)
    assert len(levels) == 2
