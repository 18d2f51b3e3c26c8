"""The demo's embedded archive: right shapes, true geometry, records that agree with the files."""

import gemmi
import mrcfile
import numpy as np
import pytest
from embedded_archive import (
    ACCEPTED,
    ENTRIES,
    cc_mask,
    map_path,
    model,
    pdb_id,
    polymers,
    resolution,
    stored_map,
)

from cryosamu.archive.answers import EmdbEntry, check_answer
from cryosamu.archive.model_answers import RcsbEntry, model_of
from cryosamu.archive.server import EMBEDDED
from cryosamu.evaluation.fsc import map_model_fsc
from cryosamu.structure.model import heavy_atoms, protein_chains
from cryosamu.structure.simulation import SimulationParameters, simulate_map
from cryosamu.volume.volume import Volume

MAXIMUM_BYTES = 15_000_000


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


@pytest.mark.parametrize("emdb_id", ["EMD-900001", "EMD-900004", "EMD-900007", "EMD-900010"])
def test_the_reported_resolution_is_where_map_and_model_part(emdb_id):
    found = map_model_fsc(stored_map(emdb_id), model(emdb_id), resolution(emdb_id))
    assert found.d_fsc_05_masked == pytest.approx(resolution(emdb_id), rel=0.1)


def test_haemoglobin_correlates_as_published_for_this_definition():
    assert cc_mask("EMD-3488") == pytest.approx(0.873, abs=1e-3)


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
