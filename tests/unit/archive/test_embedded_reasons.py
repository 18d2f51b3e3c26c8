"""Each entry of the embedded archive is kept or rejected for the one reason it is there for."""

import itertools
import json

import numpy as np
import parasail
import pytest
from embedded_archive import (
    ACCEPTED,
    ENTRIES,
    cc_mask,
    completeness,
    determination,
    map_path,
    model,
    polymers,
    resolution,
    stored_map,
)

from cryosamu.archive.server import EMBEDDED
from cryosamu.structure.model import heavy_atoms


def without_shift(emdb_id):
    """Return the positions with the shift of 14.70 Å taken off."""
    return heavy_atoms(model(emdb_id)).positions - 14.7


@pytest.mark.parametrize("emdb_id", ["EMD-3488", *ACCEPTED])
def test_entries_to_keep_pass_every_filter_with_room(emdb_id):
    entry = polymers(emdb_id)
    kinds = [e["entity_poly"]["rcsb_entity_polymer_type"] for e in entry["polymer_entities"]]
    assert set(kinds) == {"Protein"}
    assert completeness(emdb_id) > 0.95
    assert cc_mask(emdb_id) > 0.75
    assert determination(emdb_id)["method"] == "singleParticle"
    assert emdb_id == "EMD-3488" or 4 <= resolution(emdb_id) <= 8


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
