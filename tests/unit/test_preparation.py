import hashlib
import json
import subprocess
import sys
from pathlib import Path

import gemmi
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryosamu.config import PreparationSettings, TargetSettings
from cryosamu.errors import CryosamuError, MapError, ModelError
from cryosamu.preparation import (
    fraction_inside,
    prepare_input,
    prepare_pair,
    require_inside,
    simulate_target,
)
from cryosamu.structure.model import Atoms
from cryosamu.volume.grid import resample
from cryosamu.volume.io import write_map
from cryosamu.volume.volume import Volume

RECIPE = PreparationSettings()
REAL = Path(__file__).parents[2].parent / "shared" / "data" / "maps"


def atoms_at(positions):
    positions = np.asarray(positions, np.float64).reshape(-1, 3)
    n = len(positions)
    return Atoms(positions, np.full(n, 7), np.zeros(n), np.ones(n))


def helix(origin=(0.0, 0.0, 0.0), residues=20):
    """A poly-alanine helix with its backbone, centred near `origin`."""
    structure = gemmi.Structure()
    model, chain = gemmi.Model(1), gemmi.Chain("A")
    for number in range(residues):
        residue = gemmi.Residue()
        residue.name, residue.seqid = "ALA", gemmi.SeqId(number + 1, " ")
        for place, name in enumerate(("N", "CA", "C", "O")):
            angle, height = np.radians(100 * number + 25 * place), 1.5 * number + 0.4 * place
            atom = gemmi.Atom()
            atom.name, atom.element = name, gemmi.Element(name[0])
            atom.pos = gemmi.Position(
                origin[0] + 2.3 * np.cos(angle),
                origin[1] + 2.3 * np.sin(angle),
                origin[2] + height - 0.75 * residues,
            )
            residue.add_atom(atom)
        chain.add_residue(residue)
    model.add_chain(chain)
    structure.add_model(model)
    return structure


def noise_map(shape=(40, 36, 44), voxel_size=(1.25, 1.3, 1.2), origin=(-25.0, 7.5, 100.0)):
    data = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    return Volume(data, voxel_size, origin)


@pytest.fixture
def pair(tmp_path):
    """A map of noise and a helix in its middle, as files."""
    volume = noise_map()
    middle = tuple(o + edge / 2 for o, edge in zip(volume.origin, volume.box, strict=True))
    write_map(tmp_path / "map.mrc", volume, "noise")
    helix(middle).make_mmcif_document().write_file(str(tmp_path / "model.cif"))
    return tmp_path / "map.mrc", tmp_path / "model.cif"


def test_the_networks_grid_spans_the_maps_box_from_its_origin():
    volume = noise_map()
    prepared = prepare_input(volume, RECIPE)
    assert prepared.data.shape == prepared.grid.shape == (48, 47, 55)  # 48.0, 46.8, 55.0 Å
    assert prepared.grid.box == pytest.approx(volume.box)
    assert prepared.grid.origin == volume.origin
    back = resample(prepared.grid, volume.shape)
    assert np.abs(back.data - volume.data).max() < 1e-5


def test_values_are_divided_by_the_stated_scale_and_clipped():
    prepared = prepare_input(noise_map(), RECIPE)
    assert prepared.data.dtype == np.float32
    assert prepared.data.min() == 0
    assert prepared.data.max() == 1
    assert prepared.scale == pytest.approx(
        np.percentile(prepared.grid.data[prepared.grid.data > 0], 99.999)
    )
    inside = (prepared.grid.data > 0) & (prepared.grid.data < prepared.scale)
    assert prepared.data[inside] * prepared.scale == pytest.approx(prepared.grid.data[inside])


@pytest.mark.parametrize("size", [1e-4, 0.19, 8.1, 1e6])
def test_an_absurd_voxel_size_is_refused_before_memory_is_taken(size):
    volume = Volume(np.ones((50, 50, 50), np.float32), (1.0, size, 1.0))
    with pytest.raises(MapError, match="voxel size"):
        prepare_input(volume, RECIPE)


def test_a_map_that_would_become_too_large_is_refused():
    volume = Volume(np.broadcast_to(np.float32(0), (900, 900, 900)), (7.0, 7.0, 7.0))
    with pytest.raises(MapError, match="crop it"):
        prepare_input(volume, RECIPE)


@pytest.mark.parametrize("value", [0.0, 3.0, -1.0])
@pytest.mark.parametrize("voxel_size", [1.0, 1.23])  # interpolation rounds: no longer constant
def test_a_constant_map_is_refused(value, voxel_size):
    volume = Volume(np.full((13, 13, 13), value, np.float32), (voxel_size,) * 3)
    with pytest.raises(MapError, match="constant"):
        prepare_input(volume, RECIPE)


@given(st.floats(2, 12), st.floats(2, 12))
@settings(max_examples=30, deadline=None)
def test_the_target_is_no_coarser_than_its_maximum_resolution(resolution, maximum):
    """Width of a lone atom's blob: its value falls by e^(−1/2σ²) one voxel from the centre."""
    grid = Volume(np.zeros((9, 9, 9), np.float32), (1.0, 1.0, 1.0))
    rule = TargetSettings(sigma_rule="chimerax", maximum_resolution=maximum)
    blob = simulate_target(atoms_at([4, 4, 4]), grid, resolution, rule).data
    sigma = 0.225 * min(resolution, maximum)
    assert np.log(blob[4, 4, 4] / blob[4, 4, 5]) == pytest.approx(1 / (2 * sigma**2), rel=1e-3)


def test_atoms_inside_the_box_are_counted_to_half_a_voxel_beyond_its_voxels():
    volume = Volume(np.zeros((10, 20, 30), np.float32), (2.0, 1.0, 0.5), (100.0, 0.0, -50.0))
    assert fraction_inside(atoms_at([[101, 5, -47]]), volume) == 1
    # Edges: x from 99 to 159, y from -0.5 to 19.5, z from -50.25 to -45.25.
    inside = [[99.1, 5, -47], [158.9, 5, -47], [101, -0.4, -47], [101, 19.4, -47], [101, 5, -45.3]]
    outside = [[98.9, 5, -47], [159.1, 5, -47], [101, 19.6, -47], [101, 5, -50.3], [101, 5, -45.2]]
    assert fraction_inside(atoms_at(inside), volume) == 1
    assert fraction_inside(atoms_at(outside), volume) == 0
    assert fraction_inside(atoms_at(inside + outside), volume) == 0.5


def test_a_model_of_which_nearly_nothing_lies_inside_is_refused():
    volume = Volume(np.zeros((10, 10, 10), np.float32), (1.0, 1.0, 1.0))
    inside, outside = [[5, 5, 5]], [[25, 5, 5]] * 19
    with pytest.raises(ModelError, match=r"only 5% .* centred at 24, 5, 5 Å, the map at 5, 5, 5"):
        require_inside(atoms_at(inside + outside), volume)
    assert require_inside(atoms_at(inside * 3 + outside[:17]), volume) == pytest.approx(0.15)
    with pytest.raises(ModelError, match="no atoms"):
        require_inside(atoms_at([]), volume)


def test_a_pair_is_the_map_and_its_target_and_says_how_it_was_made(pair, tmp_path):
    output = tmp_path / "out" / "EMD-1.npy"
    prepare_pair(*pair, 6.0, RECIPE, output)
    voxels = np.load(output, allow_pickle=False)
    record = json.loads(output.with_suffix(".json").read_text())
    assert sorted(path.name for path in output.parent.iterdir()) == ["EMD-1.json", "EMD-1.npy"]
    assert record["sha256"] == hashlib.sha256(output.read_bytes()).hexdigest()

    assert voxels.dtype == np.float16
    assert list(voxels.shape) == record["shape"] == [2, 48, 47, 55]
    expected = prepare_input(noise_map(), RECIPE)
    assert np.array_equal(voxels[0], expected.data.astype(np.float16))
    assert record["scale_map"] == pytest.approx(expected.scale)
    assert record["voxel_size"] == pytest.approx(expected.grid.voxel_size)
    assert record["origin"] == list(expected.grid.origin)

    # The target's mass lies where the model does, in the map's own frame.
    k, j, i = (voxels[1].astype(float) * np.indices(voxels[1].shape)).sum(axis=(1, 2, 3))
    centre = np.array([i, j, k]) / voxels[1].astype(float).sum()
    middle = np.array(noise_map().origin) + np.array(noise_map().box) / 2
    assert expected.grid.to_model_frame(centre) == pytest.approx(middle, abs=0.5)

    assert (record["resolution"], record["target_resolution"]) == (6.0, 4.0)
    assert record["target_sigma"] == pytest.approx(0.81028, abs=1e-5)
    assert record["fraction_inside"] == 1
    assert set(record["provenance"]["inputs"]) == {"map", "model"}


def test_the_same_inputs_give_the_same_bytes_in_another_process(pair, tmp_path):
    outputs = []
    for run in ("a", "b"):
        output = tmp_path / run / "EMD-1.npy"
        script = (
            "import sys; from cryosamu.config import PreparationSettings as P\n"
            "from cryosamu.preparation import prepare_pair\n"
            "prepare_pair(sys.argv[1], sys.argv[2], 5.0, P(), sys.argv[3])"
        )
        subprocess.run([sys.executable, "-c", script, *map(str, pair), str(output)], check=True)
        record = json.loads(output.with_suffix(".json").read_text())
        del record["provenance"]["commit"]  # somebody may commit between the two
        outputs.append((output.read_bytes(), json.dumps(record)))
    assert outputs[0] == outputs[1]


def test_faults_name_the_file_and_leave_nothing(pair, tmp_path):
    map_path, model_path = pair
    write_map(tmp_path / "flat.mrc", noise_map().with_data(np.zeros((40, 36, 44))), "flat")
    helix((500.0, 0.0, 0.0)).make_mmcif_document().write_file(str(tmp_path / "far.cif"))
    output = tmp_path / "out" / "a.npy"
    for given_map, given_model, resolution, words in (
        (tmp_path / "flat.mrc", model_path, 5.0, r"flat\.mrc: the map is constant"),
        (map_path, tmp_path / "far.cif", 5.0, r"far\.cif: only 0% of the model"),
        (map_path, map_path, 5.0, r"map\.mrc: .*mmCIF or PDB"),
        (model_path, model_path, 5.0, r"model\.cif: is not an MRC/CCP4 map"),
        (map_path, model_path, 0.0, "resolution of 0"),
        (map_path, model_path, float("nan"), "resolution of nan"),
    ):
        with pytest.raises(CryosamuError, match=words):
            prepare_pair(given_map, given_model, resolution, RECIPE, output)
    with pytest.raises(CryosamuError, match=r"end the name in \.npy"):
        prepare_pair(map_path, model_path, 5.0, RECIPE, output.with_suffix(".npz"))
    assert not output.parent.exists()


@pytest.mark.skipif(not REAL.is_dir(), reason="the folder of real maps is not here")
def test_on_a_real_map_the_target_lies_on_the_density(tmp_path):
    folder = REAL / "EMD-6187"
    files = folder / "EMD-6187_A.mrc.gz", folder / "EMD-6187_A_model.pdb.gz"
    prepare_pair(*files, 5.0, RECIPE, tmp_path / "a.npy")
    density, target = np.load(tmp_path / "a.npy").astype(np.float32)

    def correlation(shift):
        return np.corrcoef(density.ravel(), np.roll(target, shift, (0, 1, 2)).ravel())[0, 1]

    assert correlation((0, 0, 0)) > 0.6
    for shift in ((3, 0, 0), (0, -3, 0), (0, 0, 3)):
        assert correlation((0, 0, 0)) > correlation(shift) + 0.05
