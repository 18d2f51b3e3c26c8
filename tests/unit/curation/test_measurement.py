import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from tiny_pairs import (
    failed_record,
    moved,
    nucleotide,
    record_of,
    simulated_map,
    structure_of,
    two_helices,
    write_cif,
)

from cryosamu.curation.measurement import (
    FailedMeasurement,
    Measurement,
    measure_pair,
    read_measurement,
    write_measurement,
)
from cryosamu.curation.measurement_table import read_measurements, write_measurements
from cryosamu.errors import CryosamuError
from cryosamu.evaluation.correlation import map_model_correlations
from cryosamu.structure.model import heavy_atoms, read_model
from cryosamu.structure.motion import RigidMotion, move_structure
from cryosamu.tables import MEASUREMENTS, read_table, write_table
from cryosamu.volume.io import read_map, write_map

RESOLUTION = 5.0
CENTRE = heavy_atoms(two_helices()).positions.mean(axis=0)
TURN = Rotation.from_rotvec([0, np.deg2rad(6.0), 0]).as_matrix()
KEYS = {
    "emdb_id", "pdb_id", "error", "resolution", "cc_box", "cc_mask", "cc_volume", "cc_peaks",
    "inside", "repaired", "motion", "shift",
    "rotation_angle", "displacement", "correlation_deposited", "correlation_best",
    "resolved_volumes", "header_offset", "map_sha256", "model_sha256",
}  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A map in a frame that does not start at 0, and its model."""
    folder = tmp_path_factory.mktemp("pair")
    structure = two_helices()
    volume = simulated_map(structure, (56, 40, 44), (1.4, 1.5, 1.3), (-24.0, -44.0, -6.0))
    write_map(folder / "emd_9001.map.gz", volume, "simulated for a test")
    return folder / "emd_9001.map.gz", write_cif(structure, folder / "9TST.cif.gz")


def measured(map_path, model_path):
    return measure_pair(
        record_of("EMD-9001", "map", map_path), record_of("9TST", "model", model_path), RESOLUTION
    )


def test_a_good_pair(files):
    map_path, model_path = files
    found = measured(map_path, model_path)
    assert isinstance(found, Measurement)
    direct = map_model_correlations(read_map(map_path), read_model(model_path), RESOLUTION)
    assert found.cc_mask == direct.cc_mask
    assert found.cc_box == direct.cc_box
    assert found.correlation("cc_peaks") == direct.cc_peaks
    assert found.inside == 1.0
    assert found.displacement < 0.25
    assert found.repaired is None
    assert found.map_sha256 == record_of("EMD-9001", "map", map_path).sha256


def test_a_model_far_outside_still_gets_its_shift(files, tmp_path):
    far = write_cif(moved(two_helices(), (300, 0, 0)), tmp_path / "9TST.cif.gz")
    found = measured(files[0], far)
    assert isinstance(found, Measurement)
    assert found.inside == 0
    assert found.cc_mask is None
    assert found.shift == pytest.approx((-300, 0, 0), abs=0.5)
    assert found.significance > 22.5
    assert found.header_offset is None
    in_place = measured(*files)
    assert found.repaired.inside == 1.0
    assert found.repaired.cc_mask == pytest.approx(in_place.cc_mask, abs=0.01)


def test_a_model_in_the_frame_of_voxel_zero_is_told(files, tmp_path):
    there = write_cif(moved(two_helices(), (24.0, 44.0, 6.0)), tmp_path / "9TST.cif.gz")
    found = measured(files[0], there)
    assert found.header_offset.startswith("it equals the map's header origin")
    assert found.shift == pytest.approx((-24.0, -44.0, -6.0), abs=0.3)
    turned = two_helices()
    move_structure(turned, RigidMotion.about(CENTRE, TURN, np.array([24.0, 44.0, 6.0])))
    found = measured(files[0], write_cif(turned, tmp_path / "9TST.cif.gz"))
    assert found.shift == pytest.approx((-24.0, -44.0, -6.0), abs=0.5)
    assert found.rotation_angle == pytest.approx(6.0, abs=0.7)
    assert found.header_offset is None


def test_the_same_pair_gives_the_same_bytes_and_reads_back(files, tmp_path):
    for name in ("first.json", "second.json"):
        write_measurement(tmp_path / name, measured(*files))
    text = (tmp_path / "first.json").read_bytes()
    assert text == (tmp_path / "second.json").read_bytes()
    assert set(json.loads(text)) == KEYS
    assert read_measurement(tmp_path / "first.json") == measured(*files)


def test_a_failed_fetch_carries_the_sentence_of_the_archive(files, tmp_path):
    refused = failed_record("EMD-9001", "map", "files.example/emd_9001.map.gz: 404, not there.")
    found = measure_pair(refused, record_of("9TST", "model", files[1]), RESOLUTION)
    assert isinstance(found, FailedMeasurement)
    assert found.error == "files.example/emd_9001.map.gz: 404, not there."
    write_measurement(tmp_path / "failed.json", found)
    values = json.loads((tmp_path / "failed.json").read_text())
    assert set(values) == KEYS
    assert values["cc_mask"] is None
    assert read_measurement(tmp_path / "failed.json") == found


def broken(tmp_path, kind):
    path = tmp_path / f"broken.{kind}"
    match kind:
        case "text":
            path.write_text("<html>not found</html>")
        case "empty":
            path.write_bytes(b"")
        case "gzip":
            path.write_bytes(b"\x1f\x8b\x08\x00broken")
    return path


@pytest.mark.parametrize("kind", ["text", "empty", "gzip"])
def test_files_that_are_not_what_they_should_be_are_sentences(files, tmp_path, kind):
    path = broken(tmp_path, kind)
    for found in (measured(path, files[1]), measured(files[0], path)):
        assert isinstance(found, FailedMeasurement)
        assert str(path) in found.error
        assert "\n" not in found.error


def test_a_constant_map_is_a_sentence(files, tmp_path):
    volume = read_map(files[0])
    write_map(tmp_path / "flat.map.gz", volume.with_data(np.ones_like(volume.data)), "flat")
    found = measured(tmp_path / "flat.map.gz", files[1])
    assert isinstance(found, FailedMeasurement)
    assert "constant" in found.error


def test_nucleic_acid_is_measured_like_any_model(files, tmp_path):
    strand = structure_of({"X": [nucleotide(n + 1, "DG") for n in range(8)]})
    found = measured(files[0], write_cif(strand, tmp_path / "9DNA.cif.gz"))
    assert isinstance(found, Measurement)
    assert found.correlation_deposited < 0.5


def test_other_json_is_refused(tmp_path):
    path = tmp_path / "other.json"
    for text in ("{}", "[1]", "not json", '{"emdb_id": "EMD-1"}'):
        path.write_text(text)
        with pytest.raises(CryosamuError, match="is not a measurement of a pair"):
            read_measurement(path)


def test_measurements_come_back_from_a_table_to_the_last_bit(files, tmp_path):
    far = write_cif(moved(two_helices(), (300, 0, 0)), tmp_path / "9TST.cif.gz")
    whole = measured(*files)
    displaced = measured(files[0], far).model_copy(update={"emdb_id": "EMD-0500"})
    assert displaced.cc_mask is None
    assert displaced.repaired is not None
    failed = measured(broken(tmp_path, "text"), files[1]).model_copy(update={"emdb_id": "EMD-1"})
    write_measurements(tmp_path / "m.parquet", [whole, failed, displaced])
    assert read_measurements(tmp_path / "m.parquet") == [displaced, failed, whole]
    frame = read_table(tmp_path / "m.parquet", MEASUREMENTS)
    row = frame.set_index("emdb_id").loc["EMD-9001"]
    assert row["rotation_xy"] == whole.motion.rotation[0][1]
    assert row["translation_z"] == whole.motion.translation[2]
    write_table(tmp_path / "m.parquet", frame.assign(inside=None), MEASUREMENTS)
    with pytest.raises(CryosamuError, match="holds a row that is no measurement \\('inside'"):
        read_measurements(tmp_path / "m.parquet")


def test_swapped_records_are_refused(files):
    map_record = record_of("EMD-9001", "map", files[0])
    with pytest.raises(CryosamuError, match="EMD-9001: this is the record of a map, not a model"):
        measure_pair(map_record, map_record, RESOLUTION)
