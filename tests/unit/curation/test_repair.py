"""Moving models: against the matrices written out, gemmi's own expansion, and the command line."""

import gzip
from pathlib import Path

import gemmi
import numpy as np
import pandas as pd
import pytest
import typer.testing
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from test_map_filters import GOOD
from tiny_pairs import nucleotide, record_of, sugar, two_helices, write_cif

from cryosamu.archive.record import write_fetches
from cryosamu.cli import curate
from cryosamu.cli.options import application
from cryosamu.curation.measurement import FailedMeasurement, Numbers
from cryosamu.curation.measurement_table import write_measurements
from cryosamu.errors import CryosamuError
from cryosamu.files import sha256_of
from cryosamu.structure.model import read_model
from cryosamu.structure.motion import RigidMotion, move_structure
from cryosamu.tables import PAIRS, REPAIRED, read_table, write_table

QUARTER = ((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0))
MOTION = RigidMotion(rotation=QUARTER, translation=(10.0, -20.0, 30.0))
NUMBERS = Numbers(cc_box=0.7, cc_mask=0.7, cc_volume=0.7, cc_peaks=0.7, inside=1.0)
vectors = st.tuples(*[st.floats(-50, 50)] * 3)


def positions_of(structure):
    return np.array([site.atom.pos.tolist() for site in structure[0].all()])


@given(vectors, vectors, vectors)
def test_a_motion_about_a_centre_moves_the_centre_by_the_shift(turn, centre, shift):
    rotation = Rotation.from_rotvec(np.array(turn) / 20)
    motion = RigidMotion.about(np.array(centre), rotation.as_matrix(), np.array(shift))
    assert motion.apply(np.array(centre)) == pytest.approx(np.add(centre, shift), abs=1e-9)
    assert motion.angle == pytest.approx(np.degrees(rotation.magnitude()), abs=1e-5)


def test_positions_turn_then_shift():
    assert MOTION.apply(np.array([[1.0, 2.0, 3.0]])) == pytest.approx(np.array([[8, -19, 33]]))
    assert MOTION.angle == pytest.approx(90)


def whole_model():
    """Protein, a sugar and a nucleotide, with an ADP, an assembly and an NCS operator."""
    structure = two_helices()
    for residue in (sugar(101), nucleotide(102, "DA")):
        structure[0]["A"].add_residue(residue)
    structure[0]["A"][0][0].aniso = gemmi.SMat33f(3, 2, 1, 0, 0, 0)
    structure.setup_entities()
    half_turn = gemmi.Transform(
        gemmi.Mat33([[-1, 0, 0], [0, -1, 0], [0, 0, 1]]), gemmi.Vec3(80, 60, 0)
    )
    structure.ncs.append(gemmi.NcsOp(half_turn, "2", False))
    operator, generator = gemmi.Assembly.Operator(), gemmi.Assembly.Gen()
    operator.transform = half_turn
    generator.operators.append(operator)
    generator.chains = ["A", "B"]
    assembly = gemmi.Assembly("1")
    assembly.generators.append(generator)
    structure.assemblies.append(assembly)
    return structure


def test_every_atom_moves_with_its_adp():
    structure = whole_model()
    before = positions_of(structure)
    move_structure(structure, MOTION)
    assert positions_of(structure) == pytest.approx(MOTION.apply(before))
    aniso = structure[0]["A"][0][0].aniso
    assert (aniso.u11, aniso.u22, aniso.u33) == pytest.approx((2, 3, 1))


@pytest.mark.parametrize("expand", ["ncs", "assembly"])
def test_copies_move_along(expand):
    """Moving then expanding gives what expanding then moving gives."""

    def expanded(structure):
        how = gemmi.HowToNameCopiedChain.Short
        if expand == "ncs":
            structure.expand_ncs(how)
        else:
            structure.transform_to_assembly("1", how)
        return positions_of(structure)

    moved = whole_model()
    move_structure(moved, MOTION)
    there = expanded(moved)
    assert len(there) > len(positions_of(two_helices()))
    assert there == pytest.approx(MOTION.apply(expanded(whole_model())), abs=1e-9)


def test_a_crystal_does_not_stay_one():
    structure = two_helices()
    structure.cell, structure.spacegroup_hm = gemmi.UnitCell(50, 60, 70, 90, 90, 90), "P 21 21 21"
    move_structure(structure, MOTION)
    assert not structure.cell.is_crystal()


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A pair to be repaired: its model, the table of its measurement, the fetches."""
    monkeypatch.chdir(tmp_path)
    model = write_cif(whole_model(), tmp_path / "9TST.cif.gz")
    write_fetches("models.parquet", [record_of("9TST", "model", model)])
    remeasured()
    pair = {"emdb_id": "EMD-9001", "pdb_id": "9TST", "repaired": True}
    other = {"emdb_id": "EMD-9002", "pdb_id": "9OTH", "repaired": False}
    frame = pd.DataFrame([pair, other]).reindex(columns=PAIRS.names)
    write_table("pairs.parquet", frame.astype({"repaired": bool}), PAIRS)
    return model


def remeasured(**changes):
    sums = {"model_sha256": sha256_of("9TST.cif.gz")}
    update = {"motion": MOTION, "repaired": NUMBERS} | sums | changes
    write_measurements("measured.parquet", [GOOD.model_copy(update=update)])


def repair():
    root = application()
    curate.register(root)
    arguments = [
        *("curate", "repair", "pairs.parquet", "--measurements", "measured.parquet"),
        *("--fetches", "models.parquet", "--members", "moved", "-o", "repaired.parquet"),
    ]
    result = typer.testing.CliRunner().invoke(root, arguments)
    if isinstance(result.exception, CryosamuError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stderr


def test_the_command_writes_the_moved_model_and_says_so(files):
    assert "1 models moved, 0 kept" in repair()
    (row,) = read_table("repaired.parquet", REPAIRED).to_dict("records")
    path = "moved/01/EMD-9001.cif.gz"
    assert row == {
        "emdb_id": "EMD-9001", "pdb_id": "9TST", "path": path, "sha256": sha256_of(path)
    }  # fmt: skip
    moved, deposited = read_model(path), read_model(files)
    assert positions_of(moved) == pytest.approx(MOTION.apply(positions_of(deposited)), abs=2e-3)
    assert [e.full_sequence for e in moved.entities] == [
        e.full_sequence for e in deposited.entities
    ]
    assert len(moved.ncs) == len(moved.assemblies) == 1
    block = gemmi.cif.read_string(gzip.decompress(Path(path).read_bytes()))[0]
    told = {
        tag: gemmi.cif.as_string(block.find_value(f"_cryosamu_repair.{tag}"))
        for tag in ("details", "emdb_id", "deposited_file_sha256", "matrix[1][2]", "vector[3]")
    }
    assert told.pop("details").startswith("Moved as a rigid body by CryoSAMU")
    assert told == {
        "emdb_id": "EMD-9001",
        "deposited_file_sha256": sha256_of(files),
        "matrix[1][2]": "-1.0000000000",
        "vector[3]": "30.000000",
    }


@pytest.mark.usefixtures("files")
def test_the_same_inputs_give_the_same_bytes_and_are_moved_once():
    repair()
    table, path = Path("repaired.parquet"), Path("moved/01/EMD-9001.cif.gz")
    before = table.read_bytes(), path.read_bytes()
    assert before[1][4:8] == b"\0\0\0\0"  # no time in the gzip header
    assert "0 models moved, 1 kept" in repair()
    path.unlink()
    assert "1 models moved, 0 kept" in repair()
    assert (table.read_bytes(), path.read_bytes()) == before
    remeasured(motion=MOTION.model_copy(update={"translation": (1.0, 2.0, 3.0)}))
    assert "1 models moved, 0 kept" in repair()
    assert table.read_bytes() != before[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"repaired": None}, "there is nothing to repair"),
        ({"model_sha256": "00"}, r"9TST\.cif\.gz: is not the model that"),
        ({"pdb_id": "9OTH"}, "was not measured against 9TST"),
    ],
)
@pytest.mark.usefixtures("files")
def test_what_cannot_be_repaired_is_said(change, words):
    remeasured(**change)
    with pytest.raises(CryosamuError, match=words):
        repair()
    assert not Path("repaired.parquet").exists()


@pytest.mark.usefixtures("files")
def test_a_failed_measurement_is_none():
    failed = FailedMeasurement(
        emdb_id="EMD-9001", pdb_id="9TST", error="The archive is silent.", resolution=5.0,
        map_sha256=None, model_sha256=None,
    )  # fmt: skip
    write_measurements("measured.parquet", [failed])
    with pytest.raises(CryosamuError, match="EMD-9001: was not measured"):
        repair()
