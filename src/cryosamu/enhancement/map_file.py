"""From a map file to an enhanced map file and the record beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cryosamu.config import EmbeddingSettings, EnhancementSettings
from cryosamu.embedding.pooling import Pooled
from cryosamu.enhancement.conditions import Control, another, permuted
from cryosamu.enhancement.input_checks import check_input
from cryosamu.enhancement.released import released_checkpoint
from cryosamu.enhancement.structure import structure_tokens
from cryosamu.enhancement.whole_map import Enhanced, enhance
from cryosamu.errors import CryosamuError, MapError
from cryosamu.files import atomic_path, sha256_of
from cryosamu.network.checkpoint import CheckpointHeader, load_checkpoint
from cryosamu.provenance import provenance_record
from cryosamu.structure.model import Atoms, heavy_atoms, read_model
from cryosamu.volume.fourier import low_pass
from cryosamu.volume.io import read_map, write_map
from cryosamu.volume.symmetry import Symmetry, correlation_under, find_symmetry, symmetrised
from cryosamu.volume.volume import Volume

_SUFFIXES = (".mrc", ".map", ".ccp4")


def enhance_file(
    map_path: Path | str,
    output: Path | str,
    *,
    enhancement: EnhancementSettings,
    embedding: EmbeddingSettings,
    model_path: Path | str | None = None,
    checkpoint: Path | str | None = None,
    resolution: float | None = None,
    low_pass_resolution: float | None = None,
    symmetry: str | None = None,
    control: Control | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Enhance a map file; write the enhanced map and, under its name with .json, the record.

    Parameters
    ----------
    output
        Written in the frame of the map: grid, cell, origin, nstart, axis order; labels kept and
        one added. The same inputs give the same bytes.
    embedding
        Where the encoder's weights lie and where to run it; used with a model alone.
    model_path
        A model in the map's frame; None enhances from density alone.
    checkpoint
        The packaged one where None.
    resolution
        Reported resolution of the map, Å: more of the input can be checked with it, and a network
        that was trained to be told it is.
    low_pass_resolution
        Å; drops what is finer from the enhanced map.
    symmetry
        A point group that the map has, such as C4; the enhanced map is then given it exactly.
    control
        Tells the network a wrong structure on purpose: the model's embedding with its features
        shuffled over residues, or an unrelated protein's.

    Returns
    -------
    The record.

    Raises
    ------
    CryosamuError
        When an input cannot be used or the output not be written; nothing is left then.
    """
    map_path, output = Path(map_path), Path(output)
    checkpoint = Path(checkpoint) if checkpoint else released_checkpoint()
    inputs = {"map": map_path, "checkpoint": checkpoint}
    if model_path is not None:
        inputs["model"] = Path(model_path)
    record_path = _record_path(output, list(inputs.values()))
    for what, given in (("resolution", resolution), ("low-pass", low_pass_resolution)):
        if given is not None and not 0 < given <= 100:
            raise CryosamuError(f"a {what} of {given:g} Å makes no sense; give Å above 0.")
    # Entered before the work is done: a folder that cannot be written to is told at once.
    with atomic_path(record_path) as temporary_record:
        volume = read_map(map_path)
        group = None if symmetry is None else _group_of(map_path, volume, symmetry)
        findings = check_input(volume, resolution, _atoms(model_path))
        network, header = load_checkpoint(checkpoint)
        structure = structure_tokens(model_path, volume, header, embedding) if model_path else None
        if control is not None:
            structure = _wrong_on_purpose(structure, control, header, embedding, model_path)
        try:
            enhanced = enhance(
                volume,
                network,
                header,
                structure.tokens if structure else None,
                structure.mask if structure else None,
                enhancement,
                progress,
                resolution,
            )
        except MapError as error:
            raise MapError(f"{map_path}: {error}") from error
        result = enhanced.volume
        if group is not None:
            result = symmetrised(result, group)
        if low_pass_resolution is not None:
            result = low_pass(result, low_pass_resolution)
        write_map(output, result, _label(enhanced, low_pass_resolution, control))
        record = {
            "sha256": sha256_of(output),
            "notes": [*header.notes, *(finding.sentence for finding in findings)],
            "input": {finding.kind: finding.value for finding in findings},
            "low_pass": low_pass_resolution,
            "symmetry": group
            and {
                "name": group.name,
                "centre": group.centre,
                "correlation_of_input": correlation_under(volume, group),
                "correlation_before": correlation_under(enhanced.volume, group),
                "correlation": correlation_under(result, group),
            },
            "control": control,
            **enhanced.record,
            "provenance": provenance_record(
                {
                    "window": enhancement.window,
                    "margin": enhancement.margin,
                    "network": header.network.model_dump(mode="json"),
                    "preparation": header.preparation.model_dump(mode="json"),
                    "embedding": header.embedding.model_dump(mode="json") if structure else None,
                },
                inputs,
            ),
        }
        temporary_record.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return record


def _group_of(map_path: Path, volume: Volume, name: str) -> Symmetry:
    try:
        return find_symmetry(volume, name)
    except CryosamuError as error:
        raise CryosamuError(f"{map_path}: {error}") from error


def _atoms(model_path: Path | str | None) -> Atoms | None:
    return None if model_path is None else heavy_atoms(read_model(model_path))


def _wrong_on_purpose(
    structure: Pooled | None,
    control: Control,
    header: CheckpointHeader,
    embedding: EmbeddingSettings,
    model_path: Path | str | None,
) -> Pooled:
    if control == "another":
        return another(header, embedding, model_path)
    if structure is None:
        raise CryosamuError("--control permuted: needs the --model whose embedding it shuffles.")
    return permuted(structure)


def _record_path(output: Path, inputs: list[Path]) -> Path:
    name = output.name.removesuffix(".gz")
    if not name.endswith(_SUFFIXES):
        raise CryosamuError(
            f"{output}: enhanced maps are MRC files; end the name in .mrc or .map, or with .gz."
        )
    record = output.with_name(name).with_suffix(".json")
    for path in inputs:
        if path.exists() and any(
            target.exists() and path.samefile(target) for target in (output, record)
        ):
            raise CryosamuError(f"{output}: would overwrite {path}; choose another name.")
    return record


def _label(enhanced: Enhanced, low_pass_resolution: float | None, control: Control | None) -> str:
    structure = "with structure" if enhanced.record["structure_tokens"] else "density alone"
    if control is not None:
        structure = f"control, {control} embedding"
    filtered = f", low-pass {low_pass_resolution:g} A" if low_pass_resolution else ""
    return f"CryoSAMU: enhanced by a network ({structure}{filtered})"
