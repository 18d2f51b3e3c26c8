"""The embedded archive's entries, read once a test run: records, maps, models, correlations."""

import functools
import json

from cryosamu.archive.server import EMBEDDED
from cryosamu.evaluation.correlation import map_model_correlations
from cryosamu.structure.model import protein_chains, read_model
from cryosamu.volume.io import read_map

RECORDS = sorted((EMBEDDED / "www.ebi.ac.uk/emdb/api/entry").glob("EMD-*.json"))
ENTRIES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in RECORDS}
ACCEPTED = [f"EMD-{number}" for number in range(900001, 900012)]


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
