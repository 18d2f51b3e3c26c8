"""`cryosamu embed`: structure embeddings of models, per residue or pooled to tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cryosamu.cli.options import ConfigOption
from cryosamu.errors import CryosamuError

if TYPE_CHECKING:
    from cryosamu.config import EmbeddingSettings
    from cryosamu.embedding.embed import StructureEmbedding


def register(root: typer.Typer) -> None:
    """Add the command to the application."""
    root.command("embed")(embed)


def embed(
    models: Annotated[list[Path], typer.Argument(help="mmCIF or PDB files, gzipped or not.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Vectors of one model, .npz: one array a chain."),
    ] = None,
    pooled: Annotated[
        Path | None,
        typer.Option(help="Tokens of all models, .safetensors: MODEL/tokens and MODEL/mask."),
    ] = None,
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
    mode: Annotated[
        Literal["per_chain", "complex"] | None,
        typer.Option(help="See each chain alone, or all chains at once."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda:N.")] = None,
    config: ConfigOption = None,
) -> None:
    """Describe each residue of a model's protein chains by a vector of a pre-trained encoder.

    Options given here win over those of `--config`. ESM-IF1's weights (1.7 GB) are fetched on
    first use into `$CRYOSAMU_CACHE`, or `~/.cache/cryosamu`.

        cryosamu embed 5ni1.cif.gz -o 5ni1.npz --backend protein_mpnn

        cryosamu embed models/*.cif.gz --store store/embeddings --pooled tokens.safetensors
    """
    import torch

    from cryosamu.embedding.embed import pool_embedding, tokens_header, write_embedding
    from cryosamu.embedding.store import write_tokens

    _check(models, output, pooled)
    # Several such processes share a machine, and one thread gives the same bytes every time.
    torch.set_num_threads(1)
    settings = _settings(config, backend, weights, mode, device)
    tokens, header = {}, None
    for embedding in _embeddings(models, settings, store):
        if output:
            write_embedding(output, embedding)
        if pooled:
            tokens[embedding.model_id] = pool_embedding(embedding, settings.pooling)
            header = tokens_header(embedding, settings.pooling)
    if pooled and header:
        write_tokens(pooled, tokens, header)


def _check(models: Sequence[Path], output: Path | None, pooled: Path | None) -> None:
    from cryosamu.embedding.embed import model_id_of

    if output is None and pooled is None:
        raise CryosamuError("nowhere to write: give -o FILE.npz, or --pooled FILE.safetensors.")
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


def _settings(
    config: Path | None,
    backend: Literal["esm_if1", "protein_mpnn"] | None,
    weights: Path | None,
    mode: Literal["per_chain", "complex"] | None,
    device: str | None,
) -> EmbeddingSettings:
    from cryosamu.config import read_config

    settings = read_config(config).embedding
    if backend is not None and backend != settings.backend:
        # The configured weights belong to the other backend.
        settings = settings.model_copy(update={"backend": backend, "weights": None})
    given = {"weights": weights and str(weights), "mode": mode, "device": device}
    return settings.model_copy(
        update={name: value for name, value in given.items() if value is not None}
    )


def _embeddings(
    models: Sequence[Path], settings: EmbeddingSettings, store: Path | None
) -> Iterator[StructureEmbedding]:
    """Yield one embedding after the other, so that no more than one is in memory."""
    from cryosamu.embedding.embed import embed_model
    from cryosamu.embedding.encoder import load_encoder
    from cryosamu.embedding.store import EmbeddingStore

    encoder = load_encoder(settings)
    kept = EmbeddingStore(store) if store else None
    for path in models:
        embedding = embed_model(path, encoder, settings, kept)
        if embedding.from_store:
            typer.echo(f"{embedding.model_id} is in the store", err=True)
        else:
            typer.echo(f"embedded {embedding.model_id} ({embedding.residues} residues)", err=True)
        yield embedding
