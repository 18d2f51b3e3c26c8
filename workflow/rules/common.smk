import json
import os
from functools import cache
from pathlib import Path
from zlib import crc32

import pyarrow.parquet as parquet
from snakemake.exceptions import WorkflowError

from cryosamu.config import parse_config
from cryosamu.errors import ConfigError
from cryosamu.files import write_text
from cryosamu.provenance import code_digest


wildcard_constraints:
    emdb_id=r"EMD-\d+",
    pdb_id=r"[0-9][A-Za-z0-9]{3}|pdb_[0-9a-z]{8}",
    shard=r"\d{3}",
    condition="enhanced|enhanced_no_structure",


try:
    SETTINGS = parse_config(config)
except ConfigError as error:
    raise WorkflowError(str(error)) from None

# What the commands read; a stage's `params` carry the sections that shape its outputs.
CONFIG_FILE = "results/config.json"
if workflow.is_main_process:
    text = SETTINGS.model_dump_json(indent=2)
    if not Path(CONFIG_FILE).is_file() or Path(CONFIG_FILE).read_text() != text:
        write_text(CONFIG_FILE, text)


def settings_of(*keys):
    """The values under dotted keys, as text: a rule reruns when one of them changes."""
    values = SETTINGS.model_dump(mode="json")
    picked = {}
    for key in keys:
        value = values
        for part in key.split("."):
            value = value[part]
        picked[key] = value
    return json.dumps(picked, sort_keys=True)


def code_of(*modules):
    """A digest of the stage's own code: Snakemake does not see changes in a package."""
    return code_digest(f"cryosamu.{module}" for module in modules)


@cache
def read_rows(path, modified):
    return parquet.read_table(path).to_pylist()


def rows_of(path):
    return read_rows(str(path), os.stat(path).st_mtime_ns)


def catalogue_row(emdb_id):
    rows = rows_of(checkpoints.query_catalogue.get().output[0])
    return next(row for row in rows if row["emdb_id"] == emdb_id)


def kept_by(decisions):
    """The (EMDB id, PDB id) pairs that no filter of a decisions table stopped."""
    rows = rows_of(decisions)
    stopped = {row["emdb_id"] for row in rows if row["verdict"] != "keep"}
    return sorted(
        {(r["emdb_id"], r["pdb_id"]) for r in rows if r["emdb_id"] not in stopped}
    )


def pairs_in(*splits):
    rows = rows_of(checkpoints.split_pairs.get().output[0])
    return [row for row in rows if row["split"] in splits]


def shard_of(emdb_id):
    return f"{crc32(emdb_id.encode()) % SETTINGS.workflow.shards:03d}"


def map_of(wildcards):
    return f"store/archive/maps/emd_{wildcards.emdb_id.removeprefix('EMD-')}.map.gz"


def model_of(wildcards):
    return f"store/archive/models/{catalogue_row(wildcards.emdb_id)['pdb_id']}.cif.gz"


def records_of(wildcards):
    """The fetch records of an entry: they hold the checksums of its map and its model."""
    return [
        f"results/fetch/maps/{wildcards.emdb_id}.json",
        f"results/fetch/models/{catalogue_row(wildcards.emdb_id)['pdb_id']}.json",
    ]


def resolution_of(wildcards):
    return catalogue_row(wildcards.emdb_id)["resolution"]
