"""Models that lie in their map, and those that do not, on shapes strewn with atoms."""

from __future__ import annotations

import json
import re
from pathlib import Path

import gemmi
import numpy as np
import pytest
from made_up_molecule import MIDDLE, ORIGIN, VOXEL, density, model_of, noise, strewn, volume_of
from scipy.spatial.transform import Rotation

from cryosamu.enhancement.checks.fit import check_fit, read_mask
from cryosamu.errors import MapError, ModelError
from cryosamu.structure.model import read_model
from cryosamu.volume.io import read_map, write_map
from cryosamu.volume.volume import Volume

RESOLUTION = 5.0
SHARED = Path(__file__).parents[4] / "shared/data/maps"

ATOMS = strewn(260, (24.0, 15.0, 12.0), seed=1, apart=3.0)
ATOMS = ATOMS + np.array([6.0, -3.0, 2.0])
CENTRE = ATOMS.mean(axis=0)
CLEAN = density(ATOMS)
MAP = volume_of(CLEAN + noise(0.15 * CLEAN.max()))


def asked(positions, volume=MAP, resolution=RESOLUTION, forced=False):
    model = model_of(ALA=np.asarray(positions))
    return check_fit(volume, model, resolution, forced, "a.mrc", "b.cif")


def refusal(positions, **given) -> str:
    with pytest.raises(ModelError) as caught:
        asked(positions, **given)
    message = str(caught.value)
    assert message.startswith("b.cif: ")
    assert "a.mrc" in message
    assert message.endswith(".")
    assert message.count(". ") == 0, "one sentence"
    return message


def turned(angle: float, axis: str):
    matrix = Rotation.from_euler(axis, angle, degrees=True).as_matrix()
    return (ATOMS - CENTRE) @ matrix.T + CENTRE


@pytest.mark.parametrize("resolution", [RESOLUTION, 4.0, 8.0, None])
def test_the_maps_own_model_fits(resolution) -> None:
    assert asked(ATOMS, resolution=resolution) == []


@pytest.mark.parametrize("level", [0.5, 1.0])
def test_the_right_model_fits_a_poor_map_too(level: float) -> None:
    poor = volume_of(CLEAN + noise(level * CLEAN.std(), seed=8))
    assert asked(ATOMS, volume=poor) == []


@pytest.mark.parametrize("way", [(5.0, 0, 0), (0, -4.0, 3.0), (0, 6.0, -8.0), (-14.0, 0, 0)])
def test_a_displaced_model_is_refused_with_its_distance(way) -> None:
    message = refusal(ATOMS + np.array(way))
    told = float(re.search(r"lies ([\d.]+) Å", message)[1])
    assert told == pytest.approx(np.linalg.norm(way), abs=0.6)
    back = [float(part) for part in re.search(r"moving it by (.+?) Å", message)[1].split(",")]
    assert back == pytest.approx([-part for part in way], abs=0.6)


def test_a_small_displacement_is_told_and_not_refused() -> None:
    [found] = asked(ATOMS + np.array([0, 2.5, 0]))
    assert found.kind == "fit"
    assert found.value == pytest.approx(2.5, abs=0.4)
    assert "b.cif: lies 2." in found.sentence


def test_less_than_a_displacement_worth_telling_is_not_told() -> None:
    assert asked(ATOMS + np.array([0, 0, 0.8])) == []


@pytest.mark.parametrize("axis", ["x", "y", "z"])
@pytest.mark.parametrize("angle", [90, 180])
def test_a_turned_model_is_refused(angle: int, axis: str) -> None:
    assert "turning it at random" in refusal(turned(angle, axis))


def test_another_model_is_refused() -> None:
    other = strewn(260, (24.0, 15.0, 12.0), seed=2, apart=3.0) - MIDDLE + CENTRE
    message = refusal(other)
    assert "leave the model out" in message


def test_a_map_of_the_wrong_hand_is_named() -> None:
    for axis in range(3):
        flipped = MAP.with_data(np.flip(MAP.data, axis))
        assert "wrong hand" in refusal(ATOMS, volume=flipped)


def test_a_model_outside_the_box_is_refused_with_both_places() -> None:
    message = refusal(ATOMS + 500.0)
    assert "only 0% of its atoms lie inside a.mrc" in message
    assert ", ".join(f"{value:.0f}" for value in CENTRE + 500) in message


@pytest.mark.parametrize(
    ("positions", "value"),
    [
        (ATOMS + np.array([8.0, 0, 0]), pytest.approx(8, abs=0.6)),
        (turned(90, "x"), pytest.approx(0, abs=4)),
        (ATOMS + 500.0, 0),
    ],
)
def test_what_is_forced_is_a_finding_of_the_same_words(positions, value) -> None:
    [found] = asked(positions, forced=True)
    assert found.kind == "fit"
    assert found.value == value
    assert found.sentence == refusal(positions)


def test_a_model_of_water_is_refused_even_when_forced() -> None:
    with pytest.raises(ModelError, match=r"b\.cif: has no atoms but hydrogens and waters"):
        check_fit(MAP, model_of(HOH=ATOMS[:5]), RESOLUTION, True, "a.mrc", "b.cif")


def test_a_symmetric_model_turned_onto_itself_fits() -> None:
    third = strewn(90, (9.0, 9.0, 12.0), seed=4, apart=3.0) + np.array([14.0, 0, 0]) - MIDDLE
    turns = [Rotation.from_euler("z", angle, degrees=True).as_matrix() for angle in (0, 120, 240)]
    trimer = np.concatenate([third @ turn.T for turn in turns]) + MIDDLE
    volume = volume_of(density(trimer) + noise(0.1 * CLEAN.max()))
    assert asked(trimer, volume=volume) == []
    again = (trimer - MIDDLE) @ turns[1].T + MIDDLE
    assert asked(again, volume=volume) == []
    # Half-way between two of its own places it does not fit.
    half = Rotation.from_euler("z", 60, degrees=True).as_matrix()
    refusal((trimer - MIDDLE) @ half.T + MIDDLE, volume=volume)


def test_a_mask_cut_round_the_model_gives_no_alibi() -> None:
    cut = volume_of(np.where(0.05 * CLEAN.max() < CLEAN, MAP.data, 0))
    assert asked(ATOMS, volume=cut) == []
    refusal(turned(180, "y"), volume=cut)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real maps are not here")
class TestRealMaps:
    """A few of those of benchmarks/model_fit.py."""

    def pair(self, name: str) -> tuple[Volume, gemmi.Structure, float]:
        entries = json.loads((SHARED / "index.json").read_text())
        [entry] = [e for e in entries if f"{e['emdb']} {e['part']}" == name]
        folder = SHARED.parent
        volume = read_map(folder / entry["map"])
        return volume, read_model(folder / entry["model"]), float(entry["resolution"])

    def test_the_poorest_right_model_is_let_through(self) -> None:
        volume, model, resolution = self.pair("EMD-1044 pentamer_TM")
        [found] = check_fit(volume, model, resolution, False, "map", "model")
        # docs/alignment.md: it was deposited 2.34 Å from where it fits best.
        assert found.value == pytest.approx(2.34, abs=0.05)

    def test_another_chain_of_tubulin_in_the_place_of_one_is_refused(self) -> None:
        volume, own, resolution = self.pair("EMD-6187 K")
        _, other, _ = self.pair("EMD-6374 chainD")
        shift = [a - b for a, b in zip(centre_of(own), centre_of(other), strict=True)]
        other[0].transform_pos_and_adp(gemmi.Transform(gemmi.Mat33(), gemmi.Vec3(*shift)))
        with pytest.raises(ModelError, match="does not fit map"):
            check_fit(volume, other, resolution, False, "map", "model")


def centre_of(structure: gemmi.Structure) -> list[float]:
    return structure[0].calculate_center_of_mass().tolist()


class TestMask:
    def written(self, folder: Path, data, size: float = VOXEL, origin=ORIGIN) -> Path:
        path = folder / "mask.mrc"
        write_map(path, Volume(np.asarray(data, np.float32), (size,) * 3, origin), "mask")
        return path

    def test_it_comes_on_the_maps_grid(self, tmp_path: Path) -> None:
        data = (CLEAN > 0.1).astype(np.float32)
        found = read_mask(self.written(tmp_path, data), MAP)
        assert (found.data == data).all()
        assert found.voxel_size == MAP.voxel_size
        assert found.origin == MAP.origin

    def test_soft_edges_stay_and_overshoot_is_cut(self, tmp_path: Path) -> None:
        data = np.clip(CLEAN / CLEAN.max(), -0.0005, 1)
        data[0, 0, :2] = -0.0005, 1.0005
        found = read_mask(self.written(tmp_path, data), MAP).data
        assert found.min() == 0
        assert found.max() == 1
        inner = (data >= 0) & (data <= 1)
        assert np.array_equal(found[inner], data[inner].astype(np.float32))

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"data": CLEAN[1:] > 0.1}, "has 64 x 60 x 55 voxels and the map 64 x 60 x 56"),
            ({"size": 1.52}, "another voxel size or origin"),
            ({"origin": (-30.0, 13.5, 100.0)}, "another voxel size or origin"),
            ({"data": 3 * CLEAN}, "a mask goes from 0 to 1"),
            ({"data": (CLEAN > 0.1) - 0.5}, "a mask goes from 0 to 1"),
            ({"data": 0.4 * (CLEAN > 0.1)}, "is empty"),
            ({"data": 0 * CLEAN}, "is empty"),
        ],
    )
    def test_what_is_no_mask_of_the_map_is_refused(self, tmp_path, change, words) -> None:
        path = self.written(tmp_path, **{"data": CLEAN > 0.1, **change})
        with pytest.raises(MapError) as caught:
            read_mask(path, MAP)
        assert str(caught.value).startswith(f"{path}: ")
        assert words in str(caught.value)

    def test_a_frame_off_by_rounding_is_the_maps(self, tmp_path: Path) -> None:
        near = tuple(value + 0.04 * VOXEL for value in ORIGIN)
        assert read_mask(self.written(tmp_path, CLEAN > 0.1, VOXEL * 1.0001, near), MAP)
