"""The demo's embedded archive: right shapes, true geometry, and a reason for each rejection."""

import functools
import itertools
import json
import sys
from pathlib import Path

import gemmi
import mrcfile
import numpy as np
import parasail
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryosamu.archive.answers import EmdbEntry, check_answer
from cryosamu.archive.model_answers import RcsbEntry, model_of
from cryosamu.archive.server import EMBEDDED
from cryosamu.evaluation.correlation import map_model_correlations
from cryosamu.evaluation.fsc import map_model_fsc
from cryosamu.structure.model import heavy_atoms, protein_chains, read_model
from cryosamu.structure.simulation import SimulationParameters, simulate_map
from cryosamu.volume.io import read_map
from cryosamu.volume.volume import Volume

RECORDS = sorted((EMBEDDED / "www.ebi.ac.uk/emdb/api/entry").glob("EMD-*.json"))
ENTRIES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in RECORDS}
ACCEPTED = [f"EMD-{number}" for number in range(900001, 900012)]
MAXIMUM_BYTES = 15_000_000


def map_path(emdb_id):
    folder = EMBEDDED / "ftp.ebi.ac.uk/pub/databases/emdb/structures" / emdb_id / "map"
    return folder / f"{emdb_id.lower().replace('-', '_')}.map.gz"


@functools.cache
def stored_map(emdb_id):
    return read_map(map_path(emdb_id))


def pdb_id(emdb_id):
    references = ENTRIES[emdb_id]["crossreferences"]["pdb_list"]["pdb_reference"]
    assert len(references) == 1
    return references[0]["pdb_id"].upper()


@functools.cache
def model(emdb_id):
    return read_model(EMBEDDED / "files.rcsb.org/download" / f"{pdb_id(emdb_id)}.cif.gz")


def polymers(emdb_id):
    path = EMBEDDED / "data.rcsb.org/graphql" / f"{pdb_id(emdb_id)}.json"
    return json.loads(path.read_text(encoding="utf-8"))


def determination(emdb_id):
    return ENTRIES[emdb_id]["structure_determination_list"]["structure_determination"][0]


def resolution(emdb_id):
    reconstruction = determination(emdb_id)["image_processing"][0]["final_reconstruction"]
    return float(reconstruction["resolution"]["valueOf_"])


@functools.cache
def cc_mask(emdb_id):
    volume = stored_map(emdb_id)
    return map_model_correlations(volume, model(emdb_id), resolution(emdb_id)).cc_mask


def completeness(emdb_id):
    chains = protein_chains(model(emdb_id))
    return sum(int(c.observed.sum()) for c in chains) / sum(len(c.entity_sequence) for c in chains)


def without_shift(emdb_id):
    """Return the positions with the shift of 14.70 Å taken off."""
    return heavy_atoms(model(emdb_id)).positions - 14.7


def test_all_of_it_fits_into_15_megabytes():
    assert sum(path.stat().st_size for path in EMBEDDED.rglob("*")) < MAXIMUM_BYTES


@pytest.mark.parametrize("emdb_id", ENTRIES)
def test_records_are_what_the_client_reads_and_agree_with_the_files(emdb_id):
    entry = check_answer(EmdbEntry, ENTRIES[emdb_id], emdb_id)
    described = check_answer(RcsbEntry, polymers(emdb_id), emdb_id)
    assert entry.emdb_id == emdb_id
    assert described.rcsb_id == pdb_id(emdb_id)
    proteins = [e for e in described.polymer_entities if e.polymer.kind == "Protein"]
    chains = protein_chains(model(emdb_id))
    lengths = {a: e.polymer.residues for e in proteins for a in e.identifiers.asym_ids}
    assert {chain.label_id: len(chain.entity_sequence) for chain in chains} == lengths
    told = model_of(described)
    assert told.maps == (emdb_id,)
    if told.nucleic_entities == 0:
        assert told.modelled_residues == sum(len(chain.sequence) for chain in chains)
    assert set(told.sequences.split(";")) == {chain.entity_sequence for chain in chains}
    box = entry.map.dimensions
    assert entry.map.size_kbytes == (1024 + 4 * box.col * box.row * box.sec) // 1000


@pytest.mark.parametrize("emdb_id", [one for one in ENTRIES if map_path(one).exists()])
def test_map_section_says_what_the_header_says(emdb_id):
    section = ENTRIES[emdb_id]["map"]
    with mrcfile.open(map_path(emdb_id)) as handle:
        header, axes = handle.header, "?XYZ"
        assert section["file"] == map_path(emdb_id).name
        assert [section["dimensions"][n] for n in ("col", "row", "sec")] == [
            int(header.nx), int(header.ny), int(header.nz),
        ]  # fmt: skip
        assert [section["origin"][n] for n in ("col", "row", "sec")] == [
            int(header.nxstart), int(header.nystart), int(header.nzstart),
        ]  # fmt: skip
        assert [section["axis_order"][n] for n in ("fast", "medium", "slow")] == [
            axes[int(header.mapc)], axes[int(header.mapr)], axes[int(header.maps)],
        ]  # fmt: skip
        spacing = float(section["pixel_spacing"]["x"]["valueOf_"])
        assert spacing == pytest.approx(float(header.cella.x) / int(header.mx), rel=1e-5)
        level = section["contour_list"]["contour"][0]["level"]
        assert handle.data.min() < level < handle.data.max()


def test_what_is_simulated_says_so_and_what_is_real_does_not():
    simulated = {one for one, entry in ENTRIES.items() if entry["admin"]["cryosamu_simulated"]}
    assert simulated == set(ENTRIES) - {"EMD-3488", "EMD-21457", "EMD-900100"}
    for emdb_id in simulated:
        assert "simulated" in ENTRIES[emdb_id]["admin"]["title"].lower()
    assert "cut-out" in ENTRIES["EMD-21457"]["admin"]["title"]


def test_invented_entries_have_numbers_that_emdb_does_not_give():
    assert all(int(one[4:]) >= 900000 for one in ENTRIES if one not in ("EMD-3488", "EMD-21457"))


def test_headers_place_maps_in_every_way_there_is():
    volumes = {one: stored_map(one) for one in ACCEPTED}
    frames = [volume.frame for volume in volumes.values()]
    assert any(frame.axis_order != (1, 2, 3) and any(frame.nstart) for frame in frames)
    assert any(any(frame.origin) and not any(frame.nstart) for frame in frames)
    assert any(any(frame.nstart) and frame.axis_order == (1, 2, 3) for frame in frames)
    assert any(not any(frame.nstart) and not any(frame.origin) for frame in frames)
    assert any(v.frame.sampling != v.shape[::-1] and v.frame.axis_order == (1, 2, 3)
               for v in volumes.values())  # fmt: skip
    assert any(len(set(volume.shape)) == 3 for volume in volumes.values())


def test_some_maps_are_masked_and_some_are_not():
    zeros = {True: [], False: []}
    for emdb_id in ACCEPTED:
        radius = ENTRIES[emdb_id]["cryosamu_simulation"]["parameters"]["mask_radius"]
        zeros[radius is not None].append(float((stored_map(emdb_id).data == 0).mean()))
    assert len(zeros[True]) >= 4
    assert len(zeros[False]) >= 3
    assert min(zeros[True]) > 1.5 * max(zeros[False])


@pytest.mark.parametrize("emdb_id", ACCEPTED)
def test_models_sit_in_their_density_as_gemmi_reads_it(emdb_id):
    """gemmi knows start indices and axis order, not the origin words: those are handed to it."""
    ccp4 = gemmi.read_ccp4_map(str(map_path(emdb_id)))
    ccp4.setup(0.0)
    offset = gemmi.Position(*(ccp4.header_float(word) for word in (50, 51, 52)))
    values = np.array(
        [
            ccp4.grid.interpolate_value(site.atom.pos - offset)
            for site in model(emdb_id)[0].all()
            if site.atom.name == "CA"
        ]
    )
    deviation = stored_map(emdb_id).data.std()
    assert np.median(values) > 1.5 * deviation
    assert (values > 0).mean() > 0.97


@pytest.mark.parametrize("emdb_id", ["EMD-3488", *ACCEPTED])
def test_entries_to_keep_pass_every_filter_with_room(emdb_id):
    entry = polymers(emdb_id)
    kinds = [e["entity_poly"]["rcsb_entity_polymer_type"] for e in entry["polymer_entities"]]
    assert set(kinds) == {"Protein"}
    assert completeness(emdb_id) > 0.95
    assert cc_mask(emdb_id) > 0.75
    assert determination(emdb_id)["method"] == "singleParticle"
    assert emdb_id == "EMD-3488" or 4 <= resolution(emdb_id) <= 8


@pytest.mark.parametrize("emdb_id", ["EMD-900001", "EMD-900004", "EMD-900007", "EMD-900010"])
def test_the_reported_resolution_is_where_map_and_model_part(emdb_id):
    found = map_model_fsc(stored_map(emdb_id), model(emdb_id), resolution(emdb_id))
    assert found.d_fsc_05_masked == pytest.approx(resolution(emdb_id), rel=0.1)


def test_haemoglobin_correlates_as_published_for_this_definition():
    assert cc_mask("EMD-3488") == pytest.approx(0.873, abs=1e-3)


def test_no_two_proteins_are_alike_but_those_meant_to_be():
    """Global alignment with free ends: identity over aligned pairs, coverage of the longer."""
    sequences = {}
    for emdb_id in ENTRIES:
        for entity in polymers(emdb_id)["polymer_entities"]:
            if entity["entity_poly"]["rcsb_entity_polymer_type"] == "Protein":
                sequence = entity["entity_poly"]["pdbx_seq_one_letter_code_can"]
                sequences[entity["rcsb_id"]] = sequence
    alike = set()
    for (first, a), (second, b) in itertools.combinations(sequences.items(), 2):
        result = parasail.sg_trace_striped_16(a, b, 11, 1, parasail.blosum62).traceback
        pairs = [(x, y) for x, y in zip(result.query, result.ref, strict=True) if "-" not in (x, y)]
        identity = sum(x == y for x, y in pairs) / max(len(pairs), 1)
        if identity >= 0.3 and len(pairs) >= 0.8 * max(len(a), len(b)):
            alike.add(frozenset((first, second)))
    assert alike == {frozenset(("5NI1_1", "5NI1_2")), frozenset(("1GBT_1", "4ZHL_1"))}
    assert resolution("EMD-900106") > resolution("EMD-900002")


def test_rejections_by_record():
    kinds = {e["entity_poly"]["rcsb_entity_polymer_type"]
             for e in polymers("EMD-900101")["polymer_entities"]}  # fmt: skip
    assert kinds == {"Protein", "RNA"}
    assert resolution("EMD-900107") == 9.2
    assert determination("EMD-900110")["method"] == "helical"
    assert not map_path("EMD-900108").exists()
    truncated = json.loads((EMBEDDED / "truncated.json").read_text(encoding="utf-8"))
    assert truncated == [map_path("EMD-900109").name]
    assert map_path("EMD-900109").exists()


def test_dna_is_in_the_model_and_not_in_its_records():
    held = {entity.polymer_type.name for entity in model("EMD-900102").entities}
    assert "Dna" in held
    assert "dna" not in json.dumps(ENTRIES["EMD-900102"]["sample"]["macromolecule_list"])
    described = polymers("EMD-900102")["polymer_entities"]
    assert [e["entity_poly"]["rcsb_entity_polymer_type"] for e in described] == ["Protein"]


def test_half_of_the_incomplete_model_is_missing():
    assert completeness("EMD-900104") < 0.5


@pytest.mark.parametrize("emdb_id", ["EMD-900100", "EMD-900103"])
def test_shifted_models_fit_when_the_shift_is_taken_off(emdb_id):
    volume = stored_map(emdb_id)
    where = (heavy_atoms(model(emdb_id)).positions, without_shift(emdb_id))
    shifted, fitting = (
        volume.data[tuple(np.rint(volume.to_grid(one)).astype(int).T[::-1])].mean() for one in where
    )
    assert fitting > 5 * max(shifted, 0.0)
    assert abs(cc_mask(emdb_id)) < 0.2
    assert completeness(emdb_id) > 0.9


@pytest.mark.parametrize("emdb_id", ["EMD-900105", "EMD-21457"])
def test_low_correlation_is_not_for_want_of_alignment(emdb_id):
    assert cc_mask(emdb_id) < 0.55
    assert completeness(emdb_id) > 0.7
    atoms, volume = heavy_atoms(model(emdb_id)), stored_map(emdb_id)
    here = volume.to_grid(atoms.positions)
    best = max(
        itertools.product((-4, -2, 0, 2, 4), repeat=3),
        key=lambda step: volume.data[
            tuple(np.rint(np.clip(here + step, 0, np.array(volume.shape[::-1]) - 1))
                  .astype(int).T[::-1])
        ].mean(),
    )  # fmt: skip
    assert best == (0, 0, 0)


@pytest.mark.parametrize("emdb_id", ["EMD-900001", "EMD-900004"])
def test_a_simulated_map_can_be_made_again_from_its_record(emdb_id):
    record = ENTRIES[emdb_id]["cryosamu_simulation"]
    stored = stored_map(emdb_id)
    grid = Volume(np.zeros(stored.shape, np.float32), stored.voxel_size, stored.origin)
    parameters = SimulationParameters(**record["parameters"])
    rng = np.random.default_rng(record["seed"])
    again = simulate_map(heavy_atoms(model(emdb_id)), grid, parameters, rng)
    difference = np.abs(again.data * record["amplitude"] - stored.data)
    assert difference.max() <= 1.01 * record["rounding"]
    assert (difference <= 0.501 * record["rounding"]).mean() > 0.999


class TestBuilder:
    @pytest.fixture(autouse=True)
    def _tools(self, monkeypatch):
        monkeypatch.syspath_prepend(str(Path(__file__).parents[3] / "tools"))
        yield
        for name in ("build_embedded_archive", "embedded_grids", "embedded_entries"):
            sys.modules.pop(name, None)

    def test_the_same_content_gives_the_same_bytes(self, tmp_path):
        from build_embedded_archive import Builder, write_gzip

        volume = stored_map("EMD-900004")
        contents = []
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
            builder = Builder(tmp_path, tmp_path, tmp_path / name)
            write_gzip(tmp_path / f"{name}.gz", builder._map_bytes("EMD-1", volume, "label"))
            contents.append((tmp_path / f"{name}.gz").read_bytes())
        assert contents[0] == contents[1]
        assert contents[0][4:8] == bytes(4)  # no time in the gzip header

    def test_the_stored_map_is_what_the_builder_writes(self, tmp_path):
        from build_embedded_archive import Builder, write_gzip

        stored = map_path("EMD-900004")
        volume = read_map(stored)
        label = volume.frame.labels[-1]
        bare = Volume(
            volume.data, volume.voxel_size, volume.origin,
            type(volume.frame)(**{**vars(volume.frame), "labels": ()}),
        )  # fmt: skip
        written = Builder(tmp_path, tmp_path, tmp_path)._map_bytes("EMD-900004", bare, label)
        with mrcfile.open(stored) as handle:
            expected = bytes(handle.header.tobytes()) + handle.data.tobytes()
        assert written == expected
        write_gzip(tmp_path / "again.gz", written)
        assert read_map_bytes(tmp_path / "again.gz") == read_map_bytes(stored)

    @settings(max_examples=25, deadline=None)
    @given(st.integers(0, 2**31), st.sampled_from(["origin", "nstart", "permuted", "larger_cell"]))
    def test_headers_put_the_box_where_it_was(self, tmp_path_factory, seed, placement):
        from embedded_grids import header

        from cryosamu.volume.io import write_map

        rng = np.random.default_rng(seed)
        start, counts = rng.integers(-40, 40, 3), rng.integers(3, 9, 3)
        frame = header(placement, start, counts, 1.25)
        data = rng.standard_normal(counts[::-1]).astype(np.float32)
        origin = tuple(float(one) for one in 1.25 * start)
        path = tmp_path_factory.mktemp("placed") / "map.mrc"
        write_map(path, Volume(data, (1.25, 1.25, 1.25), origin, frame), "test")
        found = read_map(path)
        assert found.origin == pytest.approx(origin, abs=1e-4)
        assert found.voxel_size == pytest.approx((1.25, 1.25, 1.25))
        np.testing.assert_array_equal(found.data, data)

    def test_a_cut_out_keeps_every_voxel_in_its_place(self):
        from embedded_grids import cut_out

        whole = stored_map("EMD-3488")
        part = cut_out(whole, np.array([20.0, 30.0, 40.0]), np.array([50.0, 45.0, 70.0]))
        corner = part.to_model_frame(np.array([2.0, 3.0, 4.0]))
        i, j, k = np.rint(whole.to_grid(corner)).astype(int)
        assert part.data[4, 3, 2] == whole.data[k, j, i]
        assert part.frame.nstart == (19, 28, 38)


def read_map_bytes(path):
    return read_map(path).data.tobytes()
