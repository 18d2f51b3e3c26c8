import json
from pathlib import Path
from shutil import which

import pyarrow.parquet as parquet
from snakemake.exceptions import WorkflowError

from cryosamu.config import OF_THE_MACHINE, parse_config
from cryosamu.errors import ConfigError
from cryosamu.files import write_text
from cryosamu.pairs import read_pairs
from cryosamu.provenance import code_digest, stage_digest
from cryosamu.shards import shard_name


wildcard_constraints:
    shard=r"\d+",
    part="training|test",
    condition="enhanced[a-z_]*",
    method="[a-z_]+",


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


def repeated(option, tables):
    """An option for the tables of all shards, which bash writes out: `option=FOLDER/{00..31}.parquet`.

    A command line of more than 128 KB cannot be started.
    """
    folders = {}
    for table in map(Path, tables):
        shard, _, suffix = table.name.partition(".")
        folders.setdefault((table.parent, suffix), []).append(shard)
    return [
        f"{option}={folder}/{{{shards[0]}..{shards[-1]}}}.{suffix}"
        for (folder, suffix), shards in folders.items()
    ]


def shards(number):
    return [shard_name(one, number) for one in range(number)]


def gpus_for(section):
    """What jobs that compute as this section's `device` says ask the cluster or this machine for."""
    device = getattr(SETTINGS, section).device
    if device == "cpu":
        return {}
    return {"gpu": gpu_or_none if device == "auto" else 1}


def gpu_or_none(wildcards):
    """One; none on this machine where it has no NVIDIA GPU, so that jobs do not wait for each other."""
    return 0 if workflow.local_exec and which("nvidia-smi") is None else 1


CANDIDATES = shards(SETTINGS.shards.candidates)
SHARDS = shards(SETTINGS.shards.pairs)
# Every target names all of them: Snakemake looks for no missing file whose descendants are there, and
# judges nothing behind a checkpoint that lacks one, as it does after a change of the numbers above.
WORK_LISTS = expand(
    "results/curate/{stage}/{shard}.jsonl", stage=["lists", "work"], shard=CANDIDATES
)
WORK_LISTS += expand(
    "results/split/{part}/{shard}.jsonl", part=["training", "test"], shard=SHARDS
)
# What follows the split names an output of each checkpoint, as `ancient`: when one has run, Snakemake
# judges anew only the jobs that depend on it directly, and starts all others that it had planned.
CHECKED = [
    "results/curate/metadata.parquet",
    "results/curate/models.parquet",
    "results/split/split.parquet",
    f"results/split/training/{SHARDS[0]}.jsonl",
]
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
MADE = [f"enhance/{condition}" for condition in CONDITIONS]
MADE += [f"methods/{method}" for method in OTHERS]
