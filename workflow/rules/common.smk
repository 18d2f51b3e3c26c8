import json
import os
from functools import cache
from pathlib import Path

import pyarrow.parquet as parquet
from snakemake.exceptions import WorkflowError

from cryosamu.config import OF_THE_MACHINE, parse_config
from cryosamu.errors import ConfigError
from cryosamu.files import write_text
from cryosamu.provenance import code_digest, stage_digest
from cryosamu.shards import member_folder, shard_name, shard_of


wildcard_constraints:
    emdb_id=r"EMD-\d+",
    shard=r"\d+",
    pdb_id=r"[0-9][A-Za-z0-9]{3}|pdb_[0-9a-z]{8}",
    condition="enhanced[a-z_]*",


try:
    SETTINGS = parse_config(config)
except ConfigError as error:
    raise WorkflowError(str(error)) from None

# What the commands read; a stage's `params` carry the sections that shape its outputs.
CONFIG_FILE = "results/config.json"
EMBEDDINGS = SETTINGS.embedding.store or "store/embeddings"
SETTINGS = SETTINGS.model_copy(
    update={"embedding": SETTINGS.embedding.model_copy(update={"store": EMBEDDINGS})}
)
if workflow.is_main_process:
    text = SETTINGS.model_dump_json(indent=2)
    if not Path(CONFIG_FILE).is_file() or Path(CONFIG_FILE).read_text() != text:
        write_text(CONFIG_FILE, text)


def settings_of(*keys):
    """The values under dotted keys, as text: a rule reruns when one of them changes."""
    # A run is the same run on whatever machine it trains.
    elsewhere = {"training": set(OF_THE_MACHINE) - {"run"}}
    values = SETTINGS.model_dump(mode="json", exclude=elsewhere)
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


def repeated(option, values):
    return [f"{option} {value}" for value in values]


def shards(number):
    return [shard_name(one, number) for one in range(number)]


CANDIDATES = shards(SETTINGS.shards.candidates)
LOCKED = SETTINGS.catalogue.locked is not None
LOCK_FILE = "results/dataset.lock"
VERIFIED_FILE = "results/curate/verified.json"
RUN = f"results/train/{SETTINGS.training.run}"
BASELINES = {
    "deposited",
    "low_pass",
    "low_pass_masked",
    "sharpened",
    "locally_sharpened",
}
CONDITIONS = [
    method for method in SETTINGS.evaluation.methods if method.startswith("enhanced")
]
OTHERS = [
    method
    for method in SETTINGS.evaluation.methods
    if method not in BASELINES and method not in CONDITIONS
]
