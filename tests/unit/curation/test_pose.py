import json
from dataclasses import replace

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from tiny_pairs import SHARED, helix, moved, simulated_map, structure_of, two_helices

from cryosamu.config import AlignmentSettings
from cryosamu.errors import MapError, ModelError
from cryosamu.structure import pose
from cryosamu.structure.model import heavy_atoms, read_model
from cryosamu.structure.motion import RigidMotion
from cryosamu.structure.pose import find_best_pose
from cryosamu.structure.refinement import LocalCorrelation, _left_jacobian
from cryosamu.volume.io import read_map, write_map
from cryosamu.volume.volume import Volume

MODEL = two_helices()
MAP = simulated_map(MODEL, (56, 40, 44), (1.4, 1.5, 1.3), (-24.0, -44.0, -6.0))
RESOLUTION = 5.0


def pose_after(shift, volume=MAP):
    return find_best_pose(volume, heavy_atoms(moved(MODEL, shift)), RESOLUTION)


def test_a_model_in_place_stays():
    found = pose_after((0, 0, 0))
    assert found.displacement < 0.3
    assert found.correlation_deposited > 0.9
    assert found.correlation_best - found.correlation_deposited < 0.01


shifts = st.tuples(*[st.floats(-25, 25)] * 3)


@settings(max_examples=6, deadline=None)
@given(shifts)
def test_any_shift_is_found_in_the_model_frame(shift):
    found = pose_after(shift)
    assert found.shift == pytest.approx(tuple(-value for value in shift), abs=0.5)
    assert found.correlation_best > 0.85


@settings(max_examples=6, deadline=None)
@given(st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda axis: np.linalg.norm(axis) > 0.1), shifts)
def test_a_turn_of_ten_degrees_is_found_with_any_shift(axis, shift):
    atoms = heavy_atoms(MODEL)
    rotation = Rotation.from_rotvec(np.deg2rad(10) * np.array(axis) / np.linalg.norm(axis))
    centre = atoms.positions.mean(axis=0)
    turned = RigidMotion.about(centre, rotation.as_matrix(), np.array(shift))
    misplaced = replace(atoms, positions=turned.apply(atoms.positions))
    found = find_best_pose(MAP, misplaced, RESOLUTION)
    assert rmsd(found.motion.apply(misplaced.positions), atoms.positions) < 0.3
    assert found.displacement == pytest.approx(rmsd(misplaced.positions, atoms.positions), abs=0.3)
    assert found.motion.angle == pytest.approx(10, abs=1.0)
    assert found.correlation_best > 0.85


def rmsd(first, second):
    return float(np.sqrt(((first - second) ** 2).sum(axis=1).mean()))


def test_a_model_far_outside_the_box_is_found():
    found = pose_after((400.0, -250.0, 130.0))
    assert found.shift == pytest.approx((-400.0, 250.0, -130.0), abs=0.5)
    assert found.correlation_deposited == 0


def test_the_frame_of_the_file_does_not_matter(tmp_path):
    frame_shift = np.array([130.0, -60.0, 21.0])
    origin = tuple((np.array(MAP.origin) + frame_shift).tolist())
    write_map(tmp_path / "map.mrc", Volume(MAP.data, MAP.voxel_size, origin), "test")
    placed = heavy_atoms(moved(MODEL, frame_shift + np.array([2.0, 0.0, -4.0])))
    found = find_best_pose(read_map(tmp_path / "map.mrc"), placed, RESOLUTION)
    assert found.shift == pytest.approx((-2.0, 0.0, 4.0), abs=0.4)


def test_the_correlation_at_home_is_the_local_correlation():
    """Checked against numpy's corrcoef over the voxels near the model, on the map's own grid."""
    atoms = heavy_atoms(MODEL)
    sigma = 0.225 * 3 * 1.5
    volume = simulated_map(MODEL, (60, 44, 48), (1.5, 1.5, 1.5), (-30, -46, -14), noise=0.3)
    clean = simulated_map(MODEL, (60, 44, 48), (1.5, 1.5, 1.5), (-30, -46, -14), sigma, noise=0)
    near = clean.data > 0.02 * clean.data.max()
    expected = np.corrcoef(volume.data[near], clean.data[near])[0, 1]
    found = find_best_pose(volume, atoms, 4.5)
    assert found.correlation_deposited == pytest.approx(expected, abs=2e-3)


def test_repeats_fit_elsewhere_but_not_better():
    """A row of equal bodies: a pose on the next one is as good, so nothing is gained."""
    repeats = structure_of(
        {
            name: [*moved(structure_of({"A": helix(20)}), (16.0 * place, 0, 0))[0]["A"]]
            for place, name in enumerate("ABCD")
        }
    )
    volume = simulated_map(repeats, (40, 32, 72), (1.3, 1.3, 1.3), (-18, -20, -10), noise=0.05)
    one = heavy_atoms(structure_of({"B": [*repeats[0]["B"]]}))
    found = find_best_pose(volume, one, 6.0)
    assert found.correlation_best - found.correlation_deposited < 0.05


def test_noise_gains_little():
    noise = np.random.default_rng(1).normal(size=MAP.shape).astype(np.float32)
    found = find_best_pose(MAP.with_data(noise), heavy_atoms(MODEL), RESOLUTION)
    assert found.correlation_best < 0.25


def test_what_lies_outside_a_tight_box_counts_as_background():
    cut = Volume(MAP.data[10:40, 8:, :30].copy(), MAP.voxel_size,
                 tuple(MAP.to_model_frame(np.array([0, 8, 10])).tolist()))  # fmt: skip
    found = find_best_pose(cut, heavy_atoms(moved(MODEL, (6.0, 0, 0))), RESOLUTION)
    assert found.shift == pytest.approx((-6.0, 0, 0), abs=0.7)


WIDE = ((60, 44, 90), (1.5, 1.5, 1.5), (-30, -46, -14))


def pose_in_wide(shift, volume):
    """At 4.5 Å the map is searched on its own voxels of 1.5 Å."""
    return find_best_pose(volume, heavy_atoms(moved(MODEL, (shift, 0, 0))), 4.5)


@pytest.mark.parametrize("shift", [0.0, 6.0])
def test_a_faint_ghost_in_an_empty_region_is_no_better_place(shift):
    found = pose_in_wide(shift, noisy_with_a_ghost())
    assert found.shift == pytest.approx((-shift, 0, 0), abs=0.7)
    before, after = found.correlation_deposited, found.correlation_best
    significance = found.resolved_volumes * np.log((1 - before**2) / (1 - after**2))
    assert (significance > AlignmentSettings().minimum_significance) == (shift > 0)


def test_a_faint_ghost_is_no_good_place_either():
    found = pose_in_wide(70.0, noisy_with_a_ghost())
    assert found.correlation_deposited < 0.3
    assert found.shift == pytest.approx((-70, 0, 0), abs=0.7)


def noisy_with_a_ghost():
    """Strong noise moves the best place of two helices by half an Ångström."""
    noisy = simulated_map(MODEL, *WIDE, noise=0.3)
    ghost = simulated_map(moved(MODEL, (70, 0, 0)), *WIDE, noise=0)
    noisy.data[:, :, 45:] = 0.02 * ghost.data[:, :, 45:]
    return noisy


def test_a_denser_neighbour_does_not_attract():
    crowded = simulated_map(MODEL, *WIDE, noise=0.05)
    clutter = scipy.ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(60, 44, 50)), 1.5)
    crowded.data[:, :, 40:] += 20 * crowded.data.std() / clutter.std() * clutter
    assert pose_in_wide(6.0, crowded).shift == pytest.approx((-6, 0, 0), abs=0.5)


def test_a_large_map_or_model_is_binned(monkeypatch):
    monkeypatch.setattr(pose, "_LARGEST_GRID", 24)
    assert max(pose._binned(MAP, heavy_atoms(MODEL), RESOLUTION).shape) == 24
    long = heavy_atoms(structure_of({"A": helix(200)}))
    assert max(pose._binned(MAP, long, RESOLUTION).shape) == round(
        24 * MAP.box[2] / (1.5 * 199 + 4)
    )
    found = pose_after((12.0, 0.0, 0.0))
    assert found.shift == pytest.approx((-12.0, 0.0, 0.0), abs=1.0)


def test_what_cannot_be_searched_is_said():
    atoms = heavy_atoms(MODEL)
    flat = MAP.with_data(np.full(MAP.shape, 3, np.float32))
    with pytest.raises(MapError, match="constant"):
        find_best_pose(flat, atoms, RESOLUTION)
    with pytest.raises(ModelError, match="not numbers"):
        find_best_pose(MAP, replace(atoms, positions=atoms.positions * np.nan), RESOLUTION)
    with pytest.raises(ModelError, match="no heavy atoms"):
        find_best_pose(MAP, replace(atoms, positions=np.zeros((0, 3))), RESOLUTION)
    with pytest.raises(ModelError, match="occupancy of zero"):
        find_best_pose(MAP, replace(atoms, occupancies=0 * atoms.occupancies), RESOLUTION)


def test_the_climb_follows_the_slope():
    """The analytic slope against differences of the correlation itself."""
    atoms = heavy_atoms(MODEL)
    field = np.random.default_rng(0).normal(size=(20, 20, 20)).astype(np.float32)
    field = scipy.ndimage.gaussian_filter(field, 2)
    volume = Volume(field / field.std(), (1.5, 1.5, 1.5), (-12.0, -12.0, -10.0))
    density = np.random.default_rng(1).gamma(2.0, size=len(atoms.positions))
    likeness = LocalCorrelation(volume, atoms.positions / 4, density)
    unit = (density - density.mean()) / np.linalg.norm(density - density.mean())
    # The points are drawn in an order of their own.
    order = np.random.default_rng(0).permutation(len(density))
    value, pulls = likeness._pulls(likeness._points, unit[order])
    assert value == pytest.approx(likeness.at(RigidMotion()), abs=1e-9)
    for axis, step in enumerate(0.01 * np.eye(3)):
        ahead, behind = (likeness.at(RigidMotion(translation=tuple(way * step))) for way in (1, -1))
        assert pulls[:, axis].sum() == pytest.approx((ahead - behind) / 0.02, abs=1e-4)


@given(st.tuples(*[st.floats(-2, 2)] * 3))
def test_a_small_turn_on_top_of_a_turn(turn):
    small = 1e-6 * np.array([1.0, -2.0, 0.5])
    together = Rotation.from_rotvec(turn + small) * Rotation.from_rotvec(turn).inv()
    assert together.as_rotvec() == pytest.approx(_left_jacobian(np.array(turn)) @ small, abs=1e-10)


def real_pairs():
    if not (SHARED / "index.json").is_file():
        return []
    wanted = {"EMD-6187 K", "EMD-3240 chainC", "EMD-5925 chain_masked"}
    rows = json.loads((SHARED / "index.json").read_text())
    return [row for row in rows if f"{row['emdb']} {row['part']}" in wanted]


@pytest.mark.skipif(not real_pairs(), reason="the real maps of ../shared/data are not here")
@pytest.mark.parametrize(("length", "angle"), [(0.0, 0.0), (3.0, 0.0), (10.0, 10.0)])
def test_real_pairs(length, angle):
    direction = np.array([2.0, -1.0, 2.0]) / 3
    turn = Rotation.from_rotvec(np.deg2rad(angle) * direction[::-1]).as_matrix()
    for row in real_pairs():
        volume = read_map(SHARED.parent / row["map"])
        atoms = heavy_atoms(read_model(SHARED.parent / row["model"]))
        misplacing = RigidMotion.about(atoms.positions.mean(axis=0), turn, length * direction)
        misplaced = replace(atoms, positions=misplacing.apply(atoms.positions))
        found = find_best_pose(volume, misplaced, row["resolution"])
        back = found.motion.apply(misplaced.positions)
        assert rmsd(back, atoms.positions) < 0.55, row["emdb"]
        if length:
            gain = found.correlation_best - found.correlation_deposited
            assert gain > 0.1, row["emdb"]
