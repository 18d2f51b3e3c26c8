import base64
import hashlib
import json
import zlib
from importlib.resources import files

import gemmi
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryosamu.errors import MapError
from cryosamu.report.drawing.entry import Scene, read_scene
from cryosamu.report.viewer.block import view_block
from cryosamu.report.viewer.view import LONGEST_SIDE, build_view
from cryosamu.structure.model import heavy_atoms
from cryosamu.volume.volume import Volume


@pytest.fixture
def scene(pairing):
    return read_scene(pairing.deposited, pairing.enhanced, pairing.model)


def molecule(scene):
    """Matthews' 1.21 Å³ a dalton, 7 % of the mass being hydrogens."""
    weights = [gemmi.Element(int(n)).weight for n in heavy_atoms(scene.structure).atomic_numbers]
    return 1.21 * sum(weights) / 0.93


class TestView:
    def test_both_surfaces_enclose_the_stated_volume(self, scene):
        view = build_view(scene)
        voxel = np.prod(view.voxel)
        assert view.molecule == pytest.approx(molecule(scene), rel=1e-6)
        for share, *contours in zip(
            view.shares, view.deposited.contours, view.enhanced.contours, strict=True
        ):
            # A contour between two grey levels: the voxels above it, give or take one level.
            for small, contour in zip((view.deposited, view.enhanced), contours, strict=True):
                surely = (small.levels >= contour + 1).sum() * voxel
                at_most = (small.levels >= contour - 1).sum() * voxel
                assert surely <= share * view.molecule + voxel
                assert at_most >= share * view.molecule - voxel

    def test_grey_levels_stand_for_the_maps_own_values(self, scene):
        view = build_view(scene)
        small, volume = view.deposited, scene.deposited
        # 1 Å voxels become 1.2 Å ones: compare at a point that both grids have.
        assert view.voxel == pytest.approx((1.2, 1.2, 1.2))
        value = small.black + small.step * small.levels[10, 10, 15]
        assert value == pytest.approx(volume.data[12, 12, 18], abs=0.03 * float(volume.data.max()))

    def test_surfaces_are_closed(self, scene):
        for small in (build_view(scene).deposited, build_view(scene).enhanced):
            inside = np.zeros(small.levels.shape, bool)
            inside[1:-1, 1:-1, 1:-1] = True
            assert small.levels[~inside].max() < min(small.contours)
            assert small.levels.max() == 255

    def test_starts_at_the_share_of_the_pictures(self, scene):
        view = build_view(scene)
        assert view.shares[view.start] == 0.4
        assert list(view.shares) == sorted(view.shares)

    def test_a_large_box_is_made_small(self, scene):
        wide = Volume(np.tile(scene.deposited.data, (4, 4, 4)), (1.0, 1.0, 1.0))
        view = build_view(Scene(wide, wide, scene.structure))
        assert max(view.deposited.levels.shape) <= LONGEST_SIDE
        assert view.voxel[0] == pytest.approx(max(wide.shape) / LONGEST_SIDE)

    def test_what_a_coarser_grid_cannot_hold_does_not_fold_into_it(self, scene):
        # Neighbours of opposite sign: gone at a third of the resolution, were it averaged.
        fine = np.full((200, 60, 60), 1.0, np.float32)
        fine[::2] = -1.0
        fine[90:110, 20:40, 20:40] += 4.0
        wide = Volume(fine, (1.0, 1.0, 1.0))
        small = build_view(Scene(wide, wide, scene.structure)).deposited
        values = small.black + small.step * small.levels[:20, 6, 6].astype(float)
        assert np.ptp(values[1:]) < 0.4

    def test_little_positive_density_gives_the_one_stop_there_is(self, scene):
        data = np.full(scene.enhanced.shape, -1.0, np.float32)
        data[8:10, 8:10, 8:10] = 1.0
        view = build_view(Scene(scene.deposited, scene.enhanced.with_data(data), scene.structure))
        assert len(view.shares) == len(view.enhanced.contours) == 1

    def test_no_positive_density_is_refused(self, scene):
        empty = scene.enhanced.with_data(np.full(scene.enhanced.shape, -1.0, np.float32))
        with pytest.raises(MapError, match="no positive voxel"):
            build_view(Scene(scene.deposited, empty, scene.structure))

    def test_ligands_are_part_of_the_trace_and_water_is_not(self, scene):
        chain = gemmi.Chain("L")
        for name, kind in (("HEM", gemmi.EntityType.NonPolymer), ("HOH", gemmi.EntityType.Water)):
            residue = gemmi.Residue()
            residue.name, residue.seqid = name, gemmi.SeqId(len(chain) + 1, " ")
            residue.subchain, residue.entity_type = name, kind
            atom = gemmi.Atom()
            atom.name, atom.element = "FE", gemmi.Element("Fe")
            atom.pos = gemmi.Position(12, 14, 15)
            residue.add_atom(atom)
            chain.add_residue(residue)
        scene.structure[0].add_chain(chain)
        trace = build_view(scene).trace
        assert trace.elements == ("Fe",)
        np.testing.assert_allclose(trace.others, [[12, 14, 15]])
        assert trace.backbone.shape == (6, 4, 3)


class TestBlock:
    def test_arrays_come_back(self, scene):
        view = build_view(scene)
        values = json.loads(view_block(view))
        raw = zlib.decompress(base64.b64decode(values["arrays"]))
        count = view.deposited.levels.size
        assert values["size"] == list(reversed(view.deposited.levels.shape))
        assert raw[:count] == view.deposited.levels.tobytes()
        assert raw[count : 2 * count] == view.enhanced.levels.tobytes()
        steps = np.frombuffer(raw[2 * count :], "<u2", 6 * 12).reshape(6, 4, 3)
        places = np.array(values["corner"]) + values["unit"] * steps
        known = np.isfinite(view.trace.backbone)
        np.testing.assert_allclose(places[known], view.trace.backbone[known], atol=0.001)
        # The strand has no O atoms: they are marked as missing.
        assert (steps[~known] == 65535).all()
        assert (~known).any()
        assert len(raw) == 2 * count + 2 * 6 * 12 + 2 * 6

    def test_the_camera_is_that_of_the_pictures(self, scene):
        view = build_view(scene)
        turned = Rotation.from_quat(json.loads(view_block(view))["quaternion"]).as_matrix()
        np.testing.assert_allclose(turned, view.camera.rotation, atol=1e-5)

    def test_nothing_in_it_ends_its_element(self, scene):
        assert "<" not in view_block(build_view(scene))

    def test_the_same_scene_gives_the_same_text(self, scene):
        assert view_block(build_view(scene)) == view_block(build_view(scene))


def test_the_viewer_is_the_published_file_with_its_licence():
    folder = files("cryosamu.report") / "vendor"
    digest = hashlib.sha256((folder / "3Dmol-min.js").read_bytes()).hexdigest()
    assert digest == "f7cc78921ae72e7623e89cdd111434f58c2efddd2ffda1cd212644b406fb8016"
    licence = (folder / "LICENSE.3Dmol").read_text()
    assert "BSD-3-Clause" in licence
    assert "3dmol 2.5.5" in licence
