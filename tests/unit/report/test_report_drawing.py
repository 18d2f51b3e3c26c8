from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from strand import write_strand

from cryosamu.errors import MapError, ModelError
from cryosamu.report.drawing import slices
from cryosamu.report.drawing.camera import Camera, view_of
from cryosamu.report.drawing.entry import read_scene
from cryosamu.report.drawing.image import png_bytes
from cryosamu.report.drawing.shading import averaged, shade
from cryosamu.report.drawing.surface import cast_rays
from cryosamu.report.drawing.trace import backbone_pieces, draw_tubes, smooth_path
from cryosamu.structure.contour import equal_volume_levels, molecular_volume
from cryosamu.structure.model import Atoms, ProteinChain
from cryosamu.volume.io import write_map
from cryosamu.volume.volume import Volume


def front_camera(centre, extent=40.0, pixels=40):
    """Looks against z: right is x and up is y."""
    return Camera(np.array(centre, float), np.eye(3), extent, pixels)


def ball(radius, shape=(32, 36, 40), voxel=(1.1, 1.0, 1.2), origin=(5.0, -7.0, 3.0)):
    """A map that is the depth below a sphere's surface, with the sphere's centre."""
    empty = Volume(np.zeros(shape, np.float32), voxel, origin)
    centre = empty.to_model_frame((np.array(shape[::-1]) - 1) / 2)
    k, j, i = np.indices(shape)
    places = empty.to_model_frame(np.stack([i, j, k], -1))
    return empty.with_data(
        (radius - np.linalg.norm(places - centre, axis=-1)).astype(np.float32)
    ), centre


class TestSurface:
    @pytest.mark.parametrize("view", ["front", "oblique"])
    def test_a_sphere_is_seen_as_a_sphere(self, view):
        radius = 11.0
        volume, centre = ball(radius)
        camera = front_camera(centre)
        if view == "oblique":
            camera = Camera(centre, view_of(centre[None], 1, 1).rotation, 40.0, 40)
        seen = cast_rays(volume, 0.0, camera)
        right, up = camera.pixel_centres()
        square = radius**2 - right**2 - up**2
        well_inside, outside = square > 12, square < -8
        assert np.isfinite(seen.depth[well_inside]).all()
        assert np.isnan(seen.depth[outside]).all()
        expected = np.sqrt(square[well_inside])
        assert np.abs(seen.depth[well_inside] - expected).max() < 0.02
        radial = np.stack([right[well_inside], up[well_inside], expected], -1) / radius
        assert (np.sum(seen.normals[well_inside] * radial, axis=-1) > 0.999).all()

    def test_the_level_moves_the_surface(self):
        volume, centre = ball(11.0)
        camera = front_camera(centre, pixels=41)
        depth = cast_rays(volume, 4.0, camera).depth[20, 20]
        assert depth == pytest.approx(7.0, abs=0.02)

    def test_density_cut_by_the_box_is_closed_at_its_wall(self):
        volume = Volume(np.ones((8, 8, 8), np.float32), (1.0, 1.0, 1.0)).with_data(
            np.pad(np.ones((8, 4, 4), np.float32), ((0, 0), (2, 2), (2, 2)))
        )
        seen = cast_rays(volume, 0.5, front_camera((3.5, 3.5, 3.5), 16.0, 16))
        assert seen.depth[8, 8] == pytest.approx(4.0, abs=0.5)
        assert np.isnan(seen.depth[0, 0])

    def test_nothing_above_the_level_is_nothing_seen(self):
        volume, centre = ball(5.0)
        camera = front_camera(centre)
        seen = cast_rays(volume, 6.0, camera)
        assert np.isnan(seen.depth).all()
        assert not shade(seen, np.array([[0.5, 0.5, 0.5]]), camera).any()


class TestCamera:
    @given(st.integers(0, 1000))
    @settings(max_examples=25)
    def test_all_positions_lie_in_the_picture(self, seed):
        positions = np.random.default_rng(seed).normal(20, 15, (12, 3))
        camera = view_of(positions, 3.0, 100)
        assert np.allclose(camera.rotation @ camera.rotation.T, np.eye(3))
        assert np.linalg.det(camera.rotation) == pytest.approx(1.0)
        view = camera.to_view(positions)
        assert np.abs(view[:, :2]).max() <= camera.extent / 2 - 3 + 1e-9
        assert np.allclose(camera.to_model_frame(view), positions)

    def test_up_is_the_side_of_z(self):
        camera = view_of(np.zeros((1, 3)), 5.0, 10)
        assert camera.to_view(np.array([[0.0, 0.0, 1.0]]))[0, 1] > 0.8


class TestContour:
    @given(st.integers(0, 10_000), st.floats(5, 300))
    @settings(max_examples=60)
    def test_maps_of_any_scale_enclose_the_same_volume(self, seed, enclosed):
        random = np.random.default_rng(seed)
        voxel = (1.0, 1.5, 0.8)
        first = Volume(random.normal(size=(6, 7, 8)).astype(np.float32), voxel)
        second = Volume(random.gamma(1.0, 40.0, (6, 7, 8)).astype(np.float32), voxel)
        levels, volume = equal_volume_levels([first, second], enclosed)
        counts = [
            int((v.data >= level).sum()) for v, level in zip((first, second), levels, strict=True)
        ]
        assert counts[0] == counts[1]
        assert counts[0] * 1.2 == pytest.approx(volume)
        assert volume <= enclosed + 0.6 + 1e-9 or counts[0] == 1
        assert min(levels) > 0

    def test_a_map_with_little_density_limits_both(self):
        full = Volume(np.arange(1, 28, dtype=np.float32).reshape(3, 3, 3), (1.0, 1.0, 1.0))
        sparse = np.zeros((3, 3, 3), np.float32)
        sparse[0, 0] = [3, 2, 1]
        levels, volume = equal_volume_levels([full, full.with_data(sparse)], 20.0)
        assert volume == 3
        assert levels == [25.0, 1.0]

    def test_a_map_without_density_is_refused(self):
        flat = Volume(np.zeros((3, 3, 3), np.float32), (1.0, 1.0, 1.0))
        with pytest.raises(MapError, match="no positive voxel"):
            equal_volume_levels([flat, flat], 5.0)

    def test_a_hundred_residues_of_protein_take_their_textbook_volume(self):
        # Alanine residue C3 N O: 71.08 Da with its 5 hydrogens; 0.73 cm3/g is 1.21 A3/Da.
        numbers = np.tile([6, 6, 6, 7, 8], 100)
        atoms = Atoms(np.zeros((500, 3)), numbers, np.zeros(500), np.ones(500))
        assert molecular_volume(atoms) == pytest.approx(100 * 71.08 * 1.21, rel=0.01)


def chain(ca, observed=None):
    count = len(ca)
    backbone = np.full((count, 4, 3), np.inf, np.float32)
    backbone[:, :3] = np.asarray(ca, np.float32)[:, None]
    seen = np.ones(count, bool) if observed is None else np.array(observed)
    names = ("ALA",) * count
    ids = tuple(map(str, range(count)))
    return ProteinChain("A", "A", "1", "A" * count, "", ids, names, backbone, seen)


class TestTrace:
    def test_the_path_passes_through_every_atom(self):
        turns = np.arange(12) * np.radians(100)
        atoms = np.stack([2.3 * np.cos(turns), 2.3 * np.sin(turns), 1.5 * np.arange(12)], -1)
        path = smooth_path(atoms, 0.1)
        gaps = np.linalg.norm(path[None] - atoms[:, None], axis=-1).min(axis=1)
        assert gaps.max() < 0.06
        assert np.linalg.norm(np.diff(path, axis=0), axis=1).max() < 0.15

    def test_gaps_and_unseen_residues_break_the_tube(self):
        ca = [[3.8 * i, 0, 0] for i in range(4)] + [[40 + 3.8 * i, 0, 0] for i in range(3)]
        pieces = backbone_pieces([chain(ca[:2]), chain(ca, [True, False] + [True] * 5)])
        assert [(place, len(run)) for place, run in pieces] == [(0, 2), (1, 1), (1, 2), (1, 3)]

    def test_the_nearer_tube_hides_the_farther_one(self):
        far = np.array([[-10.0, 0, 0], [10.0, 0, 0]])
        near = np.array([[0, -10.0, 5.0], [0, 10.0, 5.0]])
        camera = front_camera((0, 0, 0), 40.0, 81)
        seen = draw_tubes([(0, far), (1, near)], camera, radius=1.0)
        assert seen.labels[40, 40] == 1
        assert seen.depth[40, 40] == pytest.approx(6.0, abs=0.05)
        assert seen.labels[40, 52] == 0
        assert seen.depth[40, 52] == pytest.approx(1.0, abs=0.05)
        assert seen.normals[40, 52] @ [0, 0, 1] > 0.98
        assert np.isnan(seen.depth[5, 5])


class TestPixels:
    def test_light_comes_from_the_upper_left(self):
        volume, centre = ball(11.0)
        camera = front_camera(centre)
        lit = shade(cast_rays(volume, 0.0, camera), np.array([[0.6, 0.6, 0.6]]), camera)
        assert int(lit[13, 13, 0]) > int(lit[26, 26, 0]) + 40
        assert lit[20, 20, 3] == 255
        assert lit[0, 0, 3] == 0

    def test_averaging_keeps_colour_and_thins_the_edge(self):
        picture = np.zeros((4, 4, 4), np.uint8)
        picture[:, :3] = (200, 100, 50, 255)
        small = averaged(picture, 2)
        assert small[0, 0].tolist() == [200, 100, 50, 255]
        assert small[0, 1].tolist() == [200, 100, 50, 128]

    def test_the_same_pixels_are_the_same_file(self):
        pixels = np.random.default_rng(0).integers(0, 255, (20, 20, 4)).astype(np.uint8)
        assert png_bytes(pixels) == png_bytes(pixels.copy())
        assert png_bytes(pixels)[:8] == b"\x89PNG\r\n\x1a\n"


class TestSlices:
    @pytest.mark.parametrize("axis", ["x", "y", "z"])
    @pytest.mark.parametrize("place", [-200.0, 21.3, 60.0])
    def test_a_cut_is_that_of_the_whole_maps_spline(self, axis, place):
        data = np.random.default_rng(4).normal(size=(70, 72, 74)).astype(np.float32)
        volume = Volume(data, (1.0, 1.0, 1.0))
        plane = slices.Plane(axis, np.full(3, place), 30.0, 25)
        grid = np.moveaxis(volume.to_grid(plane.positions())[..., ::-1], -1, 0)
        whole = ndimage.map_coordinates(data, grid, order=3, mode="nearest", output=np.float64)
        assert np.allclose(slices.cut(volume, plane), whole, rtol=0, atol=1e-5)

    def test_a_cut_shows_the_two_other_axes_the_right_way_up(self):
        k, j, i = np.indices((20, 24, 28))
        ramp = Volume((100.0 * i + 10 * j + k).astype(np.float32), (1.0, 1.0, 1.0))
        at = np.array([12.0, 11.0, 9.0])
        for axis, (right, up) in {"z": (100, 10), "y": (100, 1), "x": (10, 1)}.items():
            values = slices.cut(ramp, slices.Plane(axis, at, 4.0, 4))
            assert values.mean() == pytest.approx(100 * 12 + 110 + 9, rel=1e-4)
            assert values[1, 2] - values[1, 1] == pytest.approx(right, rel=1e-3)
            assert values[1, 1] - values[2, 1] == pytest.approx(up, rel=1e-3)

    @given(st.floats(0.01, 1000), st.floats(-50, 50))
    @settings(max_examples=30)
    def test_units_of_a_map_do_not_change_its_slices(self, scale, offset):
        data = np.random.default_rng(1).normal(size=(9, 9, 9)).astype(np.float32)
        volume = Volume(data, (1.0, 1.0, 1.0))
        other = volume.with_data((data * scale + offset * scale).astype(np.float32))
        assert np.allclose(slices.scaled(volume).data, slices.scaled(other).data, atol=1e-3)

    def test_a_constant_map_is_black(self):
        flat = Volume(np.full((4, 4, 4), 3.0, np.float32), (1.0, 1.0, 1.0))
        assert not slices.scaled(flat).data.any()

    def test_colours_of_a_difference(self):
        up, none, down = slices.signed(np.array([[2.0, 0.0, -2.0]]))[0, :, :3].astype(int)
        assert up[0] > up[2] + 100
        assert down[2] > down[0] + 100
        assert none.min() > 230


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.pdb"
    write_strand(path, residues=8, start=(8, 20, 20))
    return path


def write_noise(path: Path, shape=(40, 40, 40), origin=(0.0, 0.0, 0.0)):
    data = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    write_map(path, Volume(data, (1.0, 1.0, 1.0), origin), "noise")
    return path


class TestScene:
    def test_both_maps_are_cut_to_the_same_box(self, tmp_path, model):
        scene = read_scene(write_noise(tmp_path / "a.mrc"), write_noise(tmp_path / "b.mrc"), model)
        assert scene.deposited.shape == scene.enhanced.shape == (17, 17, 40)
        assert scene.deposited.origin == (0.0, 12.0, 12.0)

    def test_maps_of_two_grids_are_refused(self, tmp_path, model):
        first = write_noise(tmp_path / "a.mrc")
        for other in (
            write_noise(tmp_path / "b.mrc", shape=(40, 40, 41)),
            write_noise(tmp_path / "c.mrc", origin=(5.0, 0.0, 0.0)),
        ):
            with pytest.raises(MapError, match="not on the grid"):
                read_scene(first, other, model)

    def test_a_model_elsewhere_is_refused(self, tmp_path, model):
        path = write_noise(tmp_path / "a.mrc", origin=(500.0, 0.0, 0.0))
        with pytest.raises(MapError, match="lies outside"):
            read_scene(path, path, model)

    def test_a_model_without_protein_is_refused(self, tmp_path):
        path = tmp_path / "water.pdb"
        path.write_text(
            "HETATM    1  O   HOH A   1      10.000  10.000  10.000  1.00 10.00           O\nEND\n"
        )
        noise = write_noise(tmp_path / "a.mrc")
        with pytest.raises(ModelError, match="no protein chain"):
            read_scene(noise, noise, path)
