"""`cryosamu evaluate leakage`: how near the evaluated maps are to what was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryosamu.cli.options import ConfigOption
from cryosamu.errors import CryosamuError
from cryosamu.shards import member_folder

if TYPE_CHECKING:
    import pandas as pd

    from cryosamu.evaluation.leakage import Chain

_SUFFIXES = (".cif.gz", ".cif", ".pdb.gz", ".pdb", ".ent.gz", ".ent")


def register(group: typer.Typer) -> None:
    """Add the command to the group."""
    group.command("leakage")(leakage)


def leakage(
    split: Annotated[
        Path, typer.Option(help="The split's table: entries of train, validation and test.")
    ],
    models: Annotated[
        Path,
        typer.Option(
            help="Folder of the models, PDBID.cif.gz (also .cif, .pdb, .pdb.gz), or the store's."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="One row an evaluated chain (Parquet).")
    ],
    evaluation: Annotated[
        list[Path] | None,
        typer.Option(help="Tables of `cryosamu evaluate --table`: conditions side by side."),
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Summary with the warning, by map.")
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="The network: whether it learnt from simulated structures too."),
    ] = None,
    structures: Annotated[
        list[Path] | None,
        typer.Option(help="Packed structures that maps were simulated from, to be compared too."),
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads of MMseqs2.", min=1)] = 1,
    config: ConfigOption = None,
) -> None:
    """Compare every evaluated chain with all that were trained or validated on.

    For each test map the highest sequence identity to a trained chain, and whether one is in the
    same cluster (30 %, as configured under curation.clustering). Beside it, what embedding the
    deposited model is worth, which uses the answer, and what can be had without.

        cryosamu evaluate leakage --split results/split/split.parquet --models store/archive/models
        -o leakage.parquet

    A checkpoint that learnt from simulated maps too, with the file of their structures:

        cryosamu evaluate leakage --split split.parquet --models models -o leakage.parquet
        --checkpoint checkpoint.safetensors --structures structures.safetensors
    """
    from cryosamu.config import read_config
    from cryosamu.curation.similarity import find_similar
    from cryosamu.evaluation.leakage import (
        any_identity,
        conditions,
        distinct_sequences,
        leakage_table,
    )
    from cryosamu.tables import EVALUATION, LEAKAGE, SPLIT, read_table, read_tables, write_table

    clustering = read_config(config).curation.clustering
    simulated, compared = _simulated_chains(checkpoint, structures or ())
    chains = _chains(read_table(split, SPLIT), models) + simulated
    pairs = find_similar(distinct_sequences(chains), any_identity(clustering), threads)
    table = leakage_table(chains, pairs, clustering.identity)
    judged = read_tables(evaluation, EVALUATION) if evaluation else None
    beside = conditions(judged)
    write_table(output, table, LEAKAGE)
    _tell(table, beside, clustering.identity)
    if compared["caution"]:
        typer.echo(f"warning: {compared['caution']}", err=True)
    if json_path is not None:
        inputs = {"split": split}
        settings = clustering.model_dump(mode="json")
        _write_json(json_path, table, beside, compared, settings, inputs)


def _chains(split: pd.DataFrame, models: Path) -> list[Chain]:
    """Return the protein chains of all entries of a split."""
    from tqdm import tqdm

    from cryosamu.evaluation.leakage import Chain
    from cryosamu.structure.model import protein_chains, read_model

    found = []
    bar = tqdm(split.itertuples(), total=len(split), desc="models", unit="model", disable=None)
    for row in bar:
        structure = read_model(_model_path(models, str(row.pdb_id)))
        found += [
            Chain(
                str(row.emdb_id),
                str(row.pdb_id),
                chain.author_id,
                chain.entity_sequence or chain.sequence,
                str(row.split) != "test",
            )
            for chain in protein_chains(structure)
        ]
    return found


def _simulated_chains(
    checkpoint: Path | None, libraries: Sequence[Path]
) -> tuple[list[Chain], dict[str, Any]]:
    """Return the chains of structures that maps were simulated from, and how far these are known.

    Parameters
    ----------
    checkpoint
        Says which structures it and its ancestors learnt from or were chosen by; without one, all
        of the libraries count.

    Returns
    -------
    tuple
        The chains, and `compared` and `missing` (numbers of structures), `caution`: what cannot be
        said, or None.
    """
    from cryosamu.evaluation.leakage import Chain
    from cryosamu.training.simulated.library import read_library

    packed = [one for path in libraries for one in read_library(path).structures]
    wanted = None if checkpoint is None else _structures_of(checkpoint)
    used = [one for one in packed if wanted is None or one.name in wanted]
    missing = sorted((wanted or set()) - {one.name for one in used})
    caution = None
    if missing:
        caution = (
            f"{checkpoint}: learnt from, or was chosen by, maps simulated from {len(missing)} "
            f"structures that were not compared ({missing[0]}, ...), so nothing is said of how "
            "near the evaluated chains are to them; give their packed files with --structures."
        )
    chains = [
        Chain(one.name, one.name, str(place), sequence, trained=True)
        for one in used
        for place, sequence in enumerate(one.sequences, start=1)
    ]
    return chains, {"compared": len(used), "missing": len(missing), "caution": caution}


def _structures_of(checkpoint: Path) -> set[str]:
    """Return the names of all structures that a checkpoint or an ancestor has seen simulated."""
    from cryosamu.network.checkpoint import read_header

    training = read_header(checkpoint).training
    names = {
        *training.structures.get("structures", ()),
        *training.structures.get("validation_structures", ()),
    }
    earlier = {name for part in training.lineage for name in part.get("learnt", ())}
    # What else ancestors learnt from are pairs, by their EMDB ids; the split knows these.
    return names | {name for name in earlier if not name.startswith("EMD-")}


def _model_path(folder: Path, pdb_id: str) -> Path:
    names = [name + suffix for name in (pdb_id, pdb_id.lower()) for suffix in _SUFFIXES]
    for place in (folder, member_folder(folder, pdb_id)):
        for name in names:
            if (place / name).is_file():
                return place / name
    raise CryosamuError(f"{folder}: has no model of {pdb_id}; expected {names[0]} or the like.")


def _tell(table: pd.DataFrame, beside: Sequence[dict[str, Any]], identity: float) -> None:
    from cryosamu.evaluation.leakage import WARNING, maximum_identity

    for emdb_id, value in maximum_identity(table).items():
        shown = "none aligns" if value is None else f"{100 * value:.0f} %"
        typer.echo(f"{emdb_id:<12} highest identity to a trained chain: {shown}")
    shared = int(table["shares_cluster"].sum())
    typer.echo(
        f"{shared} of {len(table)} evaluated chains are in a cluster ({100 * identity:.0f} %) with "
        "a trained one"
    )
    for one in beside:
        answer = "uses the answer" if one["uses_answer"] else "deployable"
        figure = "not evaluated" if one["cc_mask"] is None else f"CC_mask {one['cc_mask']:.3f}"
        typer.echo(
            f"{one['method']:<22} embeds {one['structure']:<32} {answer:<16} {figure} "
            f"({one['maps']} maps)"
        )
    typer.echo(f"warning: {WARNING}", err=True)


def _write_json(
    path: Path,
    table: pd.DataFrame,
    beside: Sequence[dict[str, Any]],
    simulated: dict[str, Any],
    settings: dict[str, Any],
    inputs: dict[str, Path],
) -> None:
    import json

    from cryosamu.evaluation.leakage import WARNING, maximum_identity
    from cryosamu.files import write_text
    from cryosamu.provenance import provenance_record

    record = {
        "maximum_identity": maximum_identity(table),
        "evaluated_chains": len(table),
        "chains_in_trained_clusters": int(table["shares_cluster"].sum()),
        "simulated_structures": simulated,
        "conditions": list(beside),
        "warning": WARNING,
        "provenance": provenance_record(settings, inputs),
    }
    write_text(path, json.dumps(record, indent=2) + "\n")
