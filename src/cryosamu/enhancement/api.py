"""`cryosamu.enhance`: a map enhanced, with all that is to be known of it, in memory."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import gemmi

from cryosamu.config import EmbeddingSettings, EnhancementSettings
from cryosamu.embedding.pooling import Pooled
from cryosamu.enhancement import whole_map
from cryosamu.enhancement.conditions import Control, another, permuted
from cryosamu.enhancement.half_maps import guard
from cryosamu.enhancement.input_checks import Finding, check_input
from cryosamu.enhancement.released import released_checkpoint
from cryosamu.enhancement.sources import Map, Sources, read_sources
from cryosamu.enhancement.structure import Model, structure_tokens
from cryosamu.errors import CryosamuError, MapError
from cryosamu.network.checkpoint import CheckpointHeader, load_checkpoint
from cryosamu.structure.model import heavy_atoms
from cryosamu.volume.fourier import low_pass as low_passed_map
from cryosamu.volume.symmetry import Symmetry, correlation_under, find_symmetry, symmetrised
from cryosamu.volume.volume import Volume


@dataclass(frozen=True)
class Enhanced:
    """An enhanced map and what is to be known of it.

    Attributes
    ----------
    given
        The map that was enhanced: as read, or the mean of the half maps.
    volume
        The enhanced map, on the grid and in the frame of `given`, in its units.
    working
        The network's answer on its own grid of about 1 Å in the same box, as it is: nothing kept,
        symmetrised or low-passed.
    structure
        The model, in the map's frame.
    resolution
        As reported, Å.
    guard
        How the enhancement of each half map agrees with the half that it did not see; None without
        half maps.
    settings
        What shaped the map, as plain JSON values.
    record
        What was seen, done and measured, as plain JSON values; times under `seconds`.
    label
        One line for a map's header.
    """

    given: Volume
    volume: Volume
    working: Volume
    structure: gemmi.Structure | None
    resolution: float | None
    guard: dict[str, Any] | None
    settings: dict[str, Any]
    record: dict[str, Any]
    label: str

    @cached_property
    def low_passed(self) -> Volume | None:
        """The enhanced map without what is finer than the reported resolution; None without one."""
        return None if self.resolution is None else low_passed_map(self.volume, self.resolution)


def enhance(
    volume: Map | None,
    structure: Model | None = None,
    *,
    half_maps: tuple[Map, Map] | None = None,
    resolution: float | None = None,
    symmetry: str | None = None,
    low_pass: float | None = None,
    checkpoint: Path | str | None = None,
    control: Control | None = None,
    check_halves: bool = True,
    enhancement: EnhancementSettings | None = None,
    embedding: EmbeddingSettings | None = None,
    progress: bool = False,
) -> Enhanced:
    """Enhance a cryo-EM map of 4-8 Å.

    Parameters
    ----------
    volume
        A map as a file (MRC/CCP4) or in memory, as `read_map` returns it; None enhances the mean
        of the half maps.
    structure
        A model fitted into the map, as a file (mmCIF, PDB) or as gemmi holds it; None enhances from
        density alone.
    half_maps
        The two half maps, raw and unmasked.
    resolution
        As reported, Å: more of the input can be checked with it, and a network that was trained to
        be told it is.
    symmetry
        A point group that the map has, such as C4; the enhanced map is then given it exactly.
    low_pass
        Å; drops what is finer from the enhanced map.
    checkpoint
        A trained network; the packaged one where None.
    control
        Tells the network a wrong structure on purpose: the model's embedding with its features
        shuffled over residues, or an unrelated protein's.
    check_halves
        With half maps: enhance each by itself and hold it against the other, which takes the time
        of two more maps.
    enhancement, embedding
        The recipe's settings where None.
    progress
        Shows a bar on a terminal's standard error.

    Raises
    ------
    CryosamuError
        When something that is given cannot be used, in one sentence.
    """
    _check_distances(resolution, low_pass)
    begun = time.perf_counter()
    sources = read_sources(volume, structure, half_maps)
    enhancement, embedding = enhancement or EnhancementSettings(), embedding or EmbeddingSettings()
    group = None if symmetry is None else _group_of(sources, symmetry)
    findings = _findings(sources, resolution)
    network, header = load_checkpoint(checkpoint or released_checkpoint())
    tokens = _tokens(sources, structure, header, embedding, control)
    read = time.perf_counter()

    def through_network(shown: Volume) -> whole_map.Enhanced:
        try:
            return whole_map.enhance(
                shown,
                network,
                header,
                tokens.tokens if tokens else None,
                tokens.mask if tokens else None,
                enhancement,
                progress,
                resolution,
            )
        except MapError as error:
            raise MapError(f"{sources.map_name}: {error}") from error

    answer = through_network(sources.volume)
    result = answer.volume
    if group is not None:
        result = symmetrised(result, group)
    if low_pass is not None:
        result = low_passed_map(result, low_pass)
    enhanced = time.perf_counter()
    verdict = None
    if sources.halves is not None and check_halves:
        verdict = guard(lambda half: through_network(half).volume, sources.halves, resolution)
    done = time.perf_counter()
    record = {
        "notes": [*header.notes, *sources.notes, *(finding.sentence for finding in findings)],
        "input": {finding.kind: finding.value for finding in findings},
        "resolution": resolution,
        "low_pass": low_pass,
        "symmetry": None if group is None else _symmetry(group, sources, answer.volume, result),
        "control": control,
        "half_maps": verdict,
        **answer.record,
    }
    record["seconds"] = {
        "read_and_check": round(read - begun, 3),
        **answer.record["seconds"],
        "finish": round(enhanced - read - sum(answer.record["seconds"].values()), 3),
        "half_maps": round(done - enhanced, 3),
    }
    return Enhanced(
        given=sources.volume,
        volume=result,
        working=answer.working,
        structure=sources.structure,
        resolution=resolution,
        guard=verdict,
        settings=_settings(enhancement, header, tokens),
        record=record,
        label=_label(answer, low_pass, control),
    )


def _check_distances(resolution: float | None, low_pass: float | None) -> None:
    for what, given in (("resolution", resolution), ("low-pass", low_pass)):
        if given is not None and not 0 < given <= 100:
            raise CryosamuError(f"a {what} of {given:g} Å makes no sense; give Å above 0.")


def _group_of(sources: Sources, name: str) -> Symmetry:
    try:
        return find_symmetry(sources.volume, name)
    except CryosamuError as error:
        raise CryosamuError(f"{sources.map_name}: {error}") from error


def _findings(sources: Sources, resolution: float | None) -> list[Finding]:
    atoms = None if sources.structure is None else heavy_atoms(sources.structure)
    return check_input(sources.volume, resolution, atoms)


def _tokens(
    sources: Sources,
    model: Model | None,
    header: CheckpointHeader,
    embedding: EmbeddingSettings,
    control: Control | None,
) -> Pooled | None:
    """Return the structure's tokens, or wrong ones; a file is named, so that the store knows it."""
    found = None if model is None else structure_tokens(model, sources.volume, header, embedding)
    if control == "another":
        return another(header, embedding, model)
    if control is None:
        return found
    if found is None:
        raise CryosamuError("--control permuted: needs the --model whose embedding it shuffles.")
    return permuted(found)


def _symmetry(group: Symmetry, sources: Sources, before: Volume, after: Volume) -> dict[str, Any]:
    return {
        "name": group.name,
        "centre": group.centre,
        "correlation_of_input": correlation_under(sources.volume, group),
        "correlation_before": correlation_under(before, group),
        "correlation": correlation_under(after, group),
    }


def _settings(
    enhancement: EnhancementSettings, header: CheckpointHeader, tokens: Pooled | None
) -> dict[str, Any]:
    return {
        **enhancement.model_dump(mode="json", exclude={"device"}),
        "network": header.network.model_dump(mode="json"),
        "preparation": header.preparation.model_dump(mode="json"),
        "embedding": header.embedding.model_dump(mode="json") if tokens else None,
    }


def _label(answer: whole_map.Enhanced, low_pass: float | None, control: Control | None) -> str:
    structure = "with structure" if answer.record["structure_tokens"] else "density alone"
    if control is not None:
        structure = f"control, {control} embedding"
    filtered = f", low-pass {low_pass:g} A" if low_pass else ""
    return f"CryoSAMU: enhanced by a network ({structure}{filtered})"
