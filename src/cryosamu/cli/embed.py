"""`cryosamu embed`: structure embeddings of models, per residue or pooled to tokens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cryosamu.cli.options import ConfigOption, MembersOption, WorkOption
from cryosamu.errors import CryosamuError

if TYPE_CHECKING:
    from cryosamu.config import EmbeddingSettings


def register(root: typer.Typer) -> None:
    """Add the command to the application."""
    root.command("embed")(embed)


def embed(
    models: Annotated[
        list[Path] | None, typer.Argument(help="mmCIF or PDB files, gzipped or not.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Vectors of one model, .npz: one array a chain."),
    ] = None,
    pooled: Annotated[
        Path | None,
        typer.Option(help="Tokens of all models, .safetensors: MODEL/tokens and MODEL/mask."),
    ] = None,
    work: WorkOption = None,
    members: MembersOption = None,
    store: Annotated[
        Path | None,
        typer.Option(help="Folder where vectors are looked for first, and kept."),
    ] = None,
    backend: Annotated[
        Literal["esm_if1", "protein_mpnn"] | None,
        typer.Option(help="Encoder; protein_mpnn needs no download."),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="Weights file; the backend's own where left out."),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder for weights that are fetched or converted.")
    ] = None,
    mode: Annotated[
        Literal["per_chain", "complex"] | None,
        typer.Option(help="See each chain alone, or all chains at once."),
    ] = None,
    precision: Annotated[
        Literal["float32", "bfloat16"] | None,
        typer.Option(help="bfloat16 is faster where the machine has it, and off by 0.4 %."),
    ] = None,
    copies: Annotated[
        Literal["once", "each"] | None,
        typer.Option(help="Encode exact copies of a chain once, or each of them."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda:N.")] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Models embedded at a time, one thread and process each.")
    ] = 1,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check every file of the store instead.")
    ] = False,
    sample: Annotated[
        int, typer.Option(min=0, help="With --verify: encode so many entries again.")
    ] = 0,
    config: ConfigOption = None,
) -> None:
    """Describe each residue of a model's protein chains by a vector of a pre-trained encoder.

    Options given here win over those of `--config`. ESM-IF1's weights (1.7 GB) are fetched on
    first use into `$CRYOSAMU_CACHE`, or `~/.cache/cryosamu`. `--verify` ends with status 1 where
    a file of the store is damaged or does not belong there.

        cryosamu embed 5ni1.cif.gz -o 5ni1.npz --backend protein_mpnn

        cryosamu embed models/*.cif.gz --store store/embeddings --pooled tokens.safetensors

        cryosamu embed --work results/split/training/00.jsonl --members tokens
        --pooled tokens.safetensors

        cryosamu embed --verify --store store/embeddings --sample 5 --backend protein_mpnn
    """
    import torch

    # Several such processes share a machine, and one thread gives the same bytes every time.
    torch.set_num_threads(1)
    given = {
        "weights": weights,
        "cache": cache,
        "store": store,
        "mode": mode,
        "precision": precision,
        "copies": copies,
        "device": device,
    }
    settings = _settings(config, backend, given)
    if work is not None:
        others = [*(models or []), *filter(None, (output,))]
        _embed_list(work, settings, workers, members, pooled, others)
    elif verify:
        _verify(settings, sample, [*(models or []), *filter(None, (output, pooled))])
    else:
        _embed(models or [], settings, workers, output, pooled)


def _settings(
    config: Path | None,
    backend: Literal["esm_if1", "protein_mpnn"] | None,
    given: dict[str, Any],
) -> EmbeddingSettings:
    from cryosamu.config import read_config

    settings = read_config(config).embedding
    if backend is not None and backend != settings.backend:
        # The configured weights belong to the other backend.
        settings = settings.model_copy(update={"backend": backend, "weights": None})
    chosen = {name: str(value) for name, value in given.items() if value is not None}
    return settings.model_copy(update=chosen)


def _embed(
    models: Sequence[Path],
    settings: EmbeddingSettings,
    workers: int,
    output: Path | None,
    pooled: Path | None,
) -> None:
    from cryosamu.embedding.batch import embed_models
    from cryosamu.embedding.embed import pool_embedding, tokens_header
    from cryosamu.embedding.npz import write_embedding
    from cryosamu.embedding.tokens import write_tokens

    _check(models, settings, output, pooled)
    tokens, refused, header = {}, {}, None
    for embedding in embed_models(models, settings, workers):
        name = embedding.model_id
        if embedding.from_store:
            typer.echo(f"{name} is in the store", err=True)
        else:
            typer.echo(f"embedded {name} ({embedding.residues} residues)", err=True)
        for note in embedding.notes:
            typer.echo(f"note: {name}: {note}", err=True)
        if output:
            write_embedding(output, embedding)
        if pooled:
            tokens[name] = pool_embedding(embedding, settings.pooling)
            refused[name] = [chain.label_id for chain in embedding.refused]
            header = tokens_header(embedding, settings.pooling)
    if pooled and header:
        write_tokens(pooled, tokens, header, refused)


def _embed_list(
    work: Path,
    settings: EmbeddingSettings,
    workers: int,
    members: Path | None,
    pooled: Path | None,
    others: Sequence[Path],
) -> None:
    from cryosamu.embedding.batch import pool_models
    from cryosamu.pairs import read_pairs

    if others:
        raise CryosamuError(f"--work names the models: leave out {others[0]}.")
    if members is None or pooled is None or pooled.suffix != ".safetensors":
        raise CryosamuError("--work needs --members FOLDER and --pooled FILE.safetensors.")
    made = pool_models(read_pairs(work), settings, members, pooled, workers)
    typer.echo(made.summary("embedded"), err=True)
    made.require_all("embedded")


def _check(
    models: Sequence[Path], settings: EmbeddingSettings, output: Path | None, pooled: Path | None
) -> None:
    from cryosamu.embedding.embed import model_id_of

    if not models:
        raise CryosamuError("there is no model to embed: name one or more mmCIF or PDB files.")
    if output is None and pooled is None and settings.store is None:
        raise CryosamuError(
            "nowhere to write: give -o FILE.npz, --pooled FILE.safetensors, or --store FOLDER."
        )
    for path, suffix in ((output, ".npz"), (pooled, ".safetensors")):
        if path is not None and path.suffix != suffix:
            raise CryosamuError(
                f"{path}: would hold another format than its name says; end it in {suffix}."
            )
    if output is not None and len(models) > 1:
        raise CryosamuError(
            f"-o takes one model, and there are {len(models)}; use --pooled with --store, or call "
            "once for each."
        )
    seen: dict[str, Path] = {}
    for path in models:
        first = seen.setdefault(model_id_of(path), path)
        if first is not path:
            raise CryosamuError(
                f"{path}: goes by the same name, {model_id_of(path)}, as {first}; rename one."
            )


def _verify(settings: EmbeddingSettings, sample: int, others: Sequence[Path]) -> None:
    from cryosamu.embedding.encoder import load_encoder
    from cryosamu.embedding.store import EmbeddingStore
    from cryosamu.embedding.verify import verify_store

    if others:
        raise CryosamuError(f"--verify checks the store alone; leave out {others[0]}.")
    if settings.store is None or not Path(settings.store).is_dir():
        raise CryosamuError(
            "--verify needs the folder that embeddings are kept in: --store FOLDER."
        )
    encoder = load_encoder(settings) if sample else None
    report = verify_store(EmbeddingStore(settings.store), encoder, sample)
    for fault in report.faults:
        typer.echo(f"{fault.path}: {fault.reason}")
    again = f", {report.encoded_again} of them encoded again" if sample else ""
    typer.echo(f"{report.entries} sound{again}; {len(report.faults)} damaged or foreign")
    if report.faults:
        raise typer.Exit(1)
