"""The voxel size by mass and by resolution, on balls of known volume."""

import json

import numpy as np
import pytest
from enhance_process import arguments_of, started
from real_protein import PACKED
from small_networks import write_checkpoint

import cryosamu
from cryosamu.config import EnhancementSettings
from cryosamu.enhancement.checks.mass_checks import (
    Mass,
    finer_than_voxels,
    mass_of,
    voxel_size_by_mass,
)
from cryosamu.errors import CryosamuError
from cryosamu.structure.density import gaussian_sigma, simulate_density
from cryosamu.structure.model import heavy_atoms, read_model
from cryosamu.volume.io import read_map, write_map
from cryosamu.volume.volume import Volume

EDGE, RADIUS = 48, 14.5
"""Voxels."""


def ball(voxel_size: float = 2.0, noise: float = 0.0) -> Volume:
    z, y, x = np.indices((EDGE,) * 3) - EDGE / 2 + 0.5
    data = (z**2 + y**2 + x**2 < RADIUS**2).astype(np.float32)
    data += noise * np.random.default_rng(3).standard_normal(data.shape)
    return Volume(data.astype(np.float32), (voxel_size,) * 3, (5.0, -9.0, 2.0))


def mass_in_kda(voxel_size: float) -> float:
    """Of a ball of protein: 0.73 cm³ a gram (Matthews 1968), Avogadro's number of daltons in it."""
    volume = 4 / 3 * np.pi * (RADIUS * voxel_size) ** 3
    return volume * 1e-24 / 0.73 * 6.02214e23 / 1000


@pytest.mark.parametrize(
    ("voxel_size", "noise"), [(0.7, 0.0), (0.7, 0.5), (2.0, 0.0), (2.0, 0.5), (6.0, 0.0)]
)
def test_the_mass_of_a_ball_is_that_of_protein_of_its_volume(
    voxel_size: float, noise: float
) -> None:
    mass = mass_of(ball(voxel_size, noise), contour=None if noise else 0.5)
    # A ball's outline after the low-pass to 10 Å is off by a fraction of that: 7 % of the radius.
    assert mass.seen == pytest.approx(mass_in_kda(voxel_size), rel=0.2 if voxel_size < 1 else 0.06)
    assert mass.told is None
    if noise:
        assert mass.at_contour is None
    else:
        assert mass.at_contour == pytest.approx(mass_in_kda(voxel_size), rel=0.01)


def test_the_mass_of_a_protein_is_near_that_of_its_chain() -> None:
    atoms = heavy_atoms(read_model(PACKED))
    low = atoms.positions.min(axis=0) - 15
    shape = tuple(int(n) for n in (np.ptp(atoms.positions, axis=0)[::-1] + 30) / 1.2)
    grid = Volume(np.zeros(shape, np.float32), (1.2,) * 3, tuple(float(n) for n in low))
    for resolution in (3.0, 6.0, 8.0):
        shown = simulate_density(atoms, grid, gaussian_sigma(resolution, "chimerax"))
        # Ubiquitin: 76 residues, 8,565 Da.
        assert mass_of(shown).seen == pytest.approx(8.565, rel=0.35)


@pytest.mark.parametrize(("wrong", "told"), [(0.5, True), (0.85, False), (1.2, False), (2.0, True)])
def test_a_wrong_voxel_size_is_told_from_the_mass(wrong: float, told: bool) -> None:
    shown = ball(2.0 * wrong)
    finding = voxel_size_by_mass(shown, mass_of(shown, told=mass_in_kda(2.0)))
    assert (finding is not None) == told
    if finding is not None:
        assert finding.kind == "voxel_size"
        assert finding.value == pytest.approx(1 / wrong, rel=0.02)
        right = float(finding.sentence.split("and about ")[1].split()[0])
        assert right == pytest.approx(2.0, rel=0.02)
        assert f"instead of {2 * wrong:.3f} Å right" in finding.sentence


def test_both_sides_of_the_bound_and_what_else_it_may_be() -> None:
    def finding(seen: float, at_contour: float | None = None):
        return voxel_size_by_mass(ball(), Mass(seen, at_contour, told=800.0))

    assert finding(401) is None
    assert finding(1599) is None
    light, heavy = finding(399), finding(1601, at_contour=320.0)
    assert "amounts to 399 kDa of protein, 0.5 times the 800 kDa" in light.sentence
    assert "missing or too faint" in light.sentence
    assert "1.6 MDa of protein (320 kDa at the given contour)" in heavy.sentence
    assert "neighbours, a micelle or noise" in heavy.sentence


@pytest.mark.parametrize(
    ("seen", "words"),
    [(4.9, "too little"), (5.1, None), (9e5, None), (1.1e6, "1,100 MDa of protein, which is too")],
)
def test_without_a_told_mass_only_what_no_particle_weighs_is_said(
    seen: float, words: str | None
) -> None:
    finding = voxel_size_by_mass(ball(), Mass(seen, None, None))
    assert (finding is None) == (words is None)
    if finding is not None:
        assert (finding.kind, finding.value) == ("mass", seen)
        assert words in finding.sentence


def test_at_the_contour_voxels_at_and_above_it_count() -> None:
    ramp = np.arange(20**3, dtype=np.float32).reshape(20, 20, 20)
    mass = mass_of(Volume(ramp, (1.0, 2.0, 3.0)), contour=2000.0)
    assert mass.at_contour == pytest.approx(6000 * 6 / 1210)


def test_a_flat_map_has_no_mass() -> None:
    assert mass_of(Volume(np.full((20, 20, 20), 3.0, np.float32), (1.5,) * 3)) is None


def test_a_resolution_that_the_voxels_cannot_hold_is_seen() -> None:
    shown = ball(2.0)
    assert finer_than_voxels(shown, 4.0) is None
    assert finer_than_voxels(shown, 3.97) is None  # rounded in a header
    finding = finer_than_voxels(shown, 3.0)
    assert (finding.kind, finding.value) == ("voxel_size", 0.75)
    assert "finer than the 4.00 Å" in finding.sentence
    assert "at most 1.50 Å" in finding.sentence


def test_what_was_seen_of_the_mass_is_recorded(tmp_path) -> None:
    checkpoint = write_checkpoint(tmp_path / "net.safetensors")
    settings = EnhancementSettings(device="cpu", precision="float32")

    def enhanced(volume: Volume, **given):
        return cryosamu.enhance(
            volume, checkpoint=checkpoint, confidence=False, keep=False, enhancement=settings,
            **given,
        )  # fmt: skip

    done = enhanced(ball(1.0), mass=8 * mass_in_kda(1.0), resolution=1.8, contour=0.5)
    assert done.record["mass"]["told_kda"] == 8 * mass_in_kda(1.0)
    assert done.record["mass"]["at_contour_kda"] == pytest.approx(mass_in_kda(1.0), rel=0.01)
    assert done.record["mass"]["seen_kda"] == pytest.approx(mass_in_kda(1.0), rel=0.2)
    # The mass's word, not that of the resolution, which tells the most that it may be.
    assert done.record["input"]["voxel_size"] == pytest.approx(2.0, rel=0.1)
    told = " ".join(done.seen)
    assert "finer than the 2.00 Å that voxels" in told
    assert "the particle was said to have" in told
    # Turned dark, it is the solvent that is bright.
    dark = ball(1.0).with_data(np.float32(0.2) - ball(1.0).data)
    seen = enhanced(dark, mass=mass_in_kda(1.0)).record["input"]
    assert "contrast" in seen
    assert "voxel_size" not in seen


def test_a_mass_in_daltons_is_no_voxel_size() -> None:
    shown = ball()
    finding = voxel_size_by_mass(shown, mass_of(shown, told=1000 * mass_in_kda(2.0)))
    assert "in kDa, not in daltons" in finding.sentence
    assert "instead of" not in finding.sentence


@pytest.mark.parametrize("offset", [0.0, -50.0, 1e3])
def test_an_offset_changes_no_mass(offset: float) -> None:
    """Nor one so large that few numbers lie between the least and the largest."""
    shown = ball()
    lifted = shown.with_data(shown.data * np.float32(0.01) + np.float32(offset))
    assert mass_of(lifted).seen == pytest.approx(mass_of(shown).seen, rel=0.02)


@pytest.mark.parametrize("mass", [0.0, -5.0, 0.5, 2e6, float("nan"), float("inf")])
def test_a_mass_that_makes_no_sense_is_refused(mass: float) -> None:
    with pytest.raises(CryosamuError, match=r"makes no sense; give kDa .thousands"):
        cryosamu.enhance(ball(), mass=mass)


def test_the_command_tells_it_and_its_page_shows_it(tmp_path) -> None:
    write_checkpoint(tmp_path / "net.safetensors")
    write_map(tmp_path / "map.mrc", ball(1.0), "a ball")
    given = ("--mass", 8 * mass_in_kda(1.0), "--no-confidence", "--report", tmp_path / "page.html")
    process = started(arguments_of(tmp_path, tmp_path / "out.mrc", *given))
    _, told = process.communicate(timeout=120)
    assert process.returncode == 0, told
    record = json.loads((tmp_path / "out.json").read_text())
    [sentence] = [note for note in record["notes"] if "said to have" in note]
    assert f"note: {sentence}" in told
    page = (tmp_path / "page.html").read_text()
    assert sentence.replace("'", "&#39;") in page
    assert "seen kda" in page
    assert read_map(tmp_path / "out.mrc").voxel_size == (1.0, 1.0, 1.0), "nothing is changed for it"
