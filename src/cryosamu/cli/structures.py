"""`cryosamu structures`: atomic structures packed to simulate training maps from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cryosamu.cli.options import ConfigOption, application
from cryosamu.errors import CryosamuError, ModelError

if TYPE_CHECKING:
    import pandas as pd

    from cryosamu.config import ClusteringSettings
    from cryosamu.evaluation.leakage import Chain
    from cryosamu.training.simulated.library import AtomicStructure

_SUFFIX = ".safetensors"
_PART = 0.2
"""Share of both chains that an alignment must span for one to resemble a part of the other."""


def register(root: typer.Typer) -> None:
    """Add the group of commands to the application."""
    group = application(help="Atomic structures that training maps are simulated from.")
    group.command()(pack)
    group.command()(embed)
    root.add_typer(group, name="structures")


def pack(
    sources: Annotated[
        list[Path], typer.Argument(help="Folders or tar archives of models, or models.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The packed structures, .safetensors.")
    ],
    evaluated: Annotated[
        list[Path] | None,
        typer.Option(
            "--leave-out",
            help="Models (or folders or archives of them) that will be evaluated: structures that "
            "resemble one of their chains are left out.",
        ),
    ] = None,
    most_atoms: Annotated[
        int, typer.Option(min=100, help="Larger structures are left out.")
    ] = 25_000,
    threads: Annotated[int, typer.Option(min=1, help="Threads of MMseqs2.")] = 1,
    config: ConfigOption = None,
) -> None:
    """Pack protein structures into one small file, less those that resemble what is evaluated.

    Two chains resemble each other from the identity of `curation.clustering` on (30 %), whatever
    share of them the alignment covers: maps are often judged on a part of a chain. Whoever
    resembles one that is left out by the whole cluster's coverage is left out with it. The
    file lists what was left out, and why, and the cluster of each structure that stays: a training
    holds out whole clusters to validate on.

        cryosamu structures pack models.tar.gz --leave-out evaluated -o structures.safetensors
    """
    from cryosamu.config import read_config
    from cryosamu.curation.clustering import connected_names
    from cryosamu.curation.similarity import find_similar
    from cryosamu.evaluation.leakage import distinct_sequences
    from cryosamu.provenance import provenance_record
    from cryosamu.training.simulated.library import write_library

    if output.suffix != _SUFFIX:
        raise CryosamuError(f"{output}: is written as safetensors; end the name in {_SUFFIX}.")
    clustering = read_config(config).curation.clustering
    judged = list(_evaluated_chains(evaluated or ()))
    structures, left_out = _read(sources, most_atoms)
    chains = _compared(structures, judged)
    sequences = distinct_sequences(chains)
    similar = find_similar(sequences, clustering, threads)
    if judged:
        resembling = _resembling(chains, similar, clustering, threads)
        left_out += resembling
        gone = {one["name"] for one in resembling}
        structures = [one for one in structures if one.name not in gone]
    ends = similar[["first", "second"]].itertuples(index=False)
    alike = [(sequences[one], sequences[other]) for one, other in ends]
    clusters = connected_names({one.name: one.sequences for one in structures}, alike)
    for one in left_out:
        typer.echo(f"{one['name']}: {one['reason']}", err=True)
    files = {str(number): path for number, path in enumerate(sources) if path.is_file()}
    settings = {"most_atoms": most_atoms, "clustering": clustering.model_dump(mode="json")}
    about = {
        "left_out": left_out,
        "evaluated": sorted({model for model, _, _ in judged}),
        "provenance": provenance_record(settings, files),
    }
    write_library(output, structures, about, clusters)
    typer.echo(
        f"packed {len(structures)} structures in {len(set(clusters.values()))} clusters, left out "
        f"{len(left_out)}",
        err=True,
    )


def embed(
    libraries: Annotated[list[Path], typer.Argument(help="Files of packed structures.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Tokens of all, .safetensors.")],
    config: ConfigOption = None,
) -> None:
    """Make the structure tokens of packed structures, as `cryosamu embed --pooled` does of files.

    What is embedded is kept in OUTPUT.parts, every 25 structures: called again after a kill, the
    command goes on there. `embedding.store` in the settings is where vectors are looked for first,
    and kept.

        cryosamu structures embed structures.safetensors -o tokens.safetensors --config config.yaml
    """
    import torch

    from cryosamu.config import read_config
    from cryosamu.embedding.encoder import load_encoder
    from cryosamu.training.simulated.embedding import embed_structures
    from cryosamu.training.simulated.library import read_library

    if output.suffix != _SUFFIX:
        raise CryosamuError(f"{output}: is written as safetensors; end the name in {_SUFFIX}.")
    torch.set_num_threads(1)
    settings = read_config(config).embedding
    structures = [one for path in libraries for one in read_library(path).structures]
    kept = embed_structures(structures, load_encoder(settings), settings, output)
    if kept:
        typer.echo(f"{kept} of {len(structures)} structures were embedded before", err=True)


def _read(
    sources: Sequence[Path], most_atoms: int
) -> tuple[list[AtomicStructure], list[dict[str, Any]]]:
    """Return the structures by name, and what could not be packed."""
    from tqdm import tqdm

    from cryosamu.embedding.embed import model_id_of
    from cryosamu.structure.collection import model_files
    from cryosamu.structure.model import parse_model
    from cryosamu.training.simulated.packing import packed

    found: dict[str, AtomicStructure] = {}
    left_out: list[dict[str, Any]] = []
    for file_name, content in tqdm(
        model_files(sources), desc="reading", unit="model", disable=None
    ):
        name = model_id_of(file_name)
        try:
            structure = packed(parse_model(content, file_name), name)
        except ModelError as error:
            left_out.append({"name": name, "reason": str(error)})
            continue
        if len(structure.positions) > most_atoms:
            reason = f"has {len(structure.positions)} atoms, more than {most_atoms}"
            left_out.append({"name": name, "reason": reason})
        elif name in found:
            left_out.append({"name": f"{name} ({file_name})", "reason": "its name is taken"})
        elif not (structure.roles == 4).any():
            left_out.append({"name": name, "reason": "has no whole backbone"})
        else:
            found[name] = structure
    return [found[name] for name in sorted(found)], left_out


def _evaluated_chains(sources: Sequence[Path]) -> Iterator[tuple[str, str, str]]:
    """Yield model, chain and sequence of what is evaluated: deposited where the file tells.

    Raises
    ------
    CryosamuError
        When a source has no protein chain: what is evaluated would be packed unnoticed.
    """
    from cryosamu.structure.collection import model_files
    from cryosamu.structure.model import parse_model, protein_chains

    for source in sources:
        found = [
            (file_name.partition(".")[0], chain.author_id, sequence)
            for file_name, content in model_files([source])
            for chain in protein_chains(parse_model(content, file_name))
            for sequence in sorted({chain.sequence, chain.entity_sequence} - {""})
        ]
        if not found:
            raise CryosamuError(f"{source}: has no protein chain to leave out by; give models.")
        yield from found


def _compared(
    structures: Sequence[AtomicStructure], evaluated: Sequence[tuple[str, str, str]]
) -> list[Chain]:
    """Return the chains of structures and of what is evaluated, as `_evaluated_chains`.

    The leakage table's roles turned round: what it calls trained is evaluated, and it tells of the
    rest.
    """
    from cryosamu.evaluation.leakage import Chain

    chains = [
        Chain(model, model, chain, sequence, trained=True) for model, chain, sequence in evaluated
    ]
    chains += [
        Chain(one.name, one.name, str(place), sequence, trained=False)
        for one in structures
        for place, sequence in enumerate(one.sequences, start=1)
    ]
    return chains


def _resembling(
    chains: Sequence[Chain], similar: pd.DataFrame, clustering: ClusteringSettings, threads: int
) -> list[dict[str, Any]]:
    """Return the structures that share a cluster with, or resemble a part of, what is evaluated.

    Parameters
    ----------
    similar
        The similar pairs of the distinct sequences, as `find_similar` finds them.
    """
    from cryosamu.curation.similarity import find_similar
    from cryosamu.evaluation.leakage import distinct_sequences, leakage_table

    reasons: dict[str, str] = {}
    in_part = clustering.model_copy(update={"coverage": _PART})
    parts = find_similar(distinct_sequences(chains), in_part, threads)
    for pairs in (similar, parts):
        table = leakage_table(chains, pairs, clustering.identity)
        near = table["identity"].notna()
        for row in table[near].itertuples():
            reasons.setdefault(
                str(row.emdb_id),
                f"chain {row.chain} is {row.identity:.0%} identical to chain {row.nearest_chain} "
                f"of {row.nearest_emdb_id}",
            )
        if pairs is similar:
            for row in table[table["shares_cluster"] & ~near].itertuples():
                reasons.setdefault(
                    str(row.emdb_id), f"chain {row.chain} shares a cluster with an evaluated one"
                )
    return [{"name": name, "reason": reasons[name]} for name in sorted(reasons)]
