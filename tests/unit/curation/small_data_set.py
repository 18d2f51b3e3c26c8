"""A finished data set of two pairs in small real files, as the stages leave it."""

import hashlib

import pandas as pd
import typer.testing
from test_map_filters import GOOD

from cryosamu.archive.record import FetchRecord, write_fetches, write_record
from cryosamu.cli import curate
from cryosamu.cli.options import application
from cryosamu.config import Config
from cryosamu.curation.entry import entries_of
from cryosamu.curation.measurement_table import write_measurements
from cryosamu.curation.stages import judge_maps, judge_metadata, survivors
from cryosamu.errors import CryosamuError
from cryosamu.tables import CATALOGUE, DECISIONS, SPLIT, read_table, write_table

# EMDB id, PDB id, resolution, CC_mask: two pairs, one poor, one failed, one out of the window.
CANDIDATES = [
    ("EMD-0201", "9AAA", 4.2, 0.81),
    ("EMD-1202", "9BBB", 6.6, 0.70),
    ("EMD-1203", "9CCC", 5.0, 0.41),
    ("EMD-1204", "9DDD", 5.0, None),
    ("EMD-1205", "9EEE", 3.0, None),
]
PAIRS_KEPT = ("EMD-0201", "EMD-1202")
RECORDS = ("--measurements", "measurements", "--map-records", "maps", "--model-fetches", "models")


def invoke(*arguments):
    root = application()
    curate.register(root)
    return typer.testing.CliRunner().invoke(root, ["curate", *arguments])


def run(*arguments):
    result = invoke(*arguments)
    if isinstance(result.exception, CryosamuError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def lock():
    return run(
        *("lock", "--catalogue", "catalogue.parquet", "--decisions", "decisions.parquet"),
        *("--split", "split.parquet", *RECORDS, "--config", "c.yaml", "-o", "dataset.lock"),
    )


def catalogue_of(candidates=CANDIDATES, **changes):
    """A CATALOGUE table; `changes` give one entry's columns, EMD_1202={"contour_level": 0.2}."""
    rows = [
        dict.fromkeys(CATALOGUE.names)
        | {
            "emdb_id": emdb_id, "pdb_id": pdb_id, "title": "A title", "resolution": resolution,
            "method": "singleParticle", "map_file": "a.map.gz", "map_kilobytes": 500_000.0,
            "contour_level": 0.1, "simulated": False, "protein_entities": 1,
            "nucleic_entities": 0, "other_entities": 0,
        }
        | changes.get(emdb_id.replace("-", "_"), {})
        for emdb_id, pdb_id, resolution, _ in candidates
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=CATALOGUE.names)


def measurement(emdb_id, pdb_id="9TST", cc_mask=0.7, resolution=5.0, sums=("00", "11")):
    """A model that lies where it fits best, in a map that agrees with it by `cc_mask`."""
    return GOOD.model_copy(
        update={
            "emdb_id": emdb_id, "pdb_id": pdb_id, "resolution": resolution, "cc_mask": cc_mask,
            "map_sha256": sums[0], "model_sha256": sums[1],
        }
    )  # fmt: skip


def fetched(folder, identifier, kind):
    path = folder / "store" / f"{identifier}.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(f"the {kind} of {identifier}".encode())
    return FetchRecord(
        id=identifier, kind=kind, status="ok", path=str(path), bytes=path.stat().st_size,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(), url=f"files.example/{path.name}",
        error=None,
    )  # fmt: skip


def build(folder):
    """Write catalogue, decisions, split, measurements and fetches into `folder`."""
    write_table(folder / "catalogue.parquet", catalogue_of(), CATALOGUE)
    table = read_table(folder / "catalogue.parquet", CATALOGUE)
    entries = entries_of(table)
    metadata = judge_metadata(entries, Config().curation, 4.0)
    models, measured = [], {}
    for emdb_id, pdb_id, resolution, correlation in CANDIDATES:
        if correlation is None:
            continue
        a_map = fetched(folder, emdb_id, "map")
        model = fetched(folder, pdb_id, "model")
        write_record(folder / "maps" / f"{emdb_id}.json", a_map)
        models.append(model)
        measured[emdb_id] = measurement(
            emdb_id, pdb_id, correlation, resolution, (a_map.sha256, model.sha256)
        )
    write_measurements(folder / "measurements" / "0.parquet", measured.values())
    write_fetches(folder / "models" / "0.parquet", models)
    passed = survivors(entries, metadata)
    components = {key: key for key in passed}
    judged, pairs = judge_maps(passed, measured, components, Config().curation)
    write_table(folder / "decisions.parquet", pd.concat([metadata, judged]), DECISIONS)
    split = pairs.assign(split=["test", "train"])
    write_table(folder / "split.parquet", split, SPLIT)
