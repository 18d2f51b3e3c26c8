"""`cryosamu.enhance`: a map enhanced, with all that is to be known of it, in memory."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import gemmi

from cryosamu.config import EmbeddingSettings, EnhancementSettings
from cryosamu.enhancement import whole_map
from cryosamu.enhancement.checks.detail_checks import local_resolution, unfiltered
from cryosamu.enhancement.checks.feasible import check_map, check_numbers
from cryosamu.enhancement.checks.fit import check_fit
from cryosamu.enhancement.checks.input_checks import Finding, check_input
from cryosamu.enhancement.checks.mass_checks import (
    Mass,
    finer_than_voxels,
    mass_of,
    voxel_size_by_mass,
)
from cryosamu.enhancement.conditions import Control
from cryosamu.enhancement.finishing import finished, symmetry_of
from cryosamu.enhancement.network_pass import NetworkPass
from cryosamu.enhancement.released import released_checkpoint
from cryosamu.enhancement.sources import Map, Sources, read_sources
from cryosamu.enhancement.structure import Model
from cryosamu.enhancement.trust.confidence import confidence_map
from cryosamu.enhancement.trust.half_maps import guard
from cryosamu.files import sha256_of
from cryosamu.network.checkpoint import load_checkpoint
from cryosamu.structure.model import heavy_atoms
from cryosamu.volume.fourier import low_pass as low_passed_map
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
    contour
        Level recommended for `given`, in its units; None where none is known.
    confidence
        How far each voxel of `volume` is to be believed, 0 to 1, on its grid; None where not asked
        for.
    guard
        How the enhancement of each half map agrees with the half that it did not see; None without
        half maps.
    settings
        What shaped the map, as plain JSON values.
    record
        What was seen, done and measured, as plain JSON values; times under `seconds`.
    label
        One line for a map's header.
    seen
        Sentences: what is out of the ordinary in what was given.
    checkpoint_notes
        Sentences that whoever trained the network left.
    """

    given: Volume
    volume: Volume
    working: Volume
    structure: gemmi.Structure | None
    resolution: float | None
    contour: float | None
    confidence: Volume | None
    guard: dict[str, Any] | None
    settings: dict[str, Any]
    record: dict[str, Any]
    label: str
    seen: tuple[str, ...]
    checkpoint_notes: tuple[str, ...]

    @cached_property
    def low_passed(self) -> Volume | None:
        """The enhanced map without what is finer than the reported resolution; None without one."""
        return None if self.resolution is None else low_passed_map(self.volume, self.resolution)


def enhance(
    volume: Map | None,
    structure: Model | None = None,
    *,
    half_maps: tuple[Map, Map] | None = None,
    mask: Map | None = None,
    resolution: float | None = None,
    contour: float | None = None,
    mass: float | None = None,
    symmetry: str | None = None,
    low_pass: float | None = None,
    keep: bool = True,
    confidence: bool = True,
    check_halves: bool = True,
    force: bool = False,
    checkpoint: Path | str | None = None,
    control: Control | None = None,
    enhancement: EnhancementSettings | None = None,
    embedding: EmbeddingSettings | None = None,
    progress: bool = False,
    announce: Callable[[str], None] | None = None,
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
    mask
        On the map's grid: 1 where to enhance, 0 where not; None finds the molecule itself.
    resolution
        As reported, Å: more of the input can be checked with it, and a network that was trained to
        be told it is.
    contour
        Level recommended for the map, in its units: surfaces of the enhanced map are matched to it.
    mass
        Of the particle in the map, kDa: a voxel size that makes it too light or too heavy is told.
    symmetry
        A point group that the map has, such as C4; the enhanced map is then given it exactly.
    low_pass
        Å; drops what is finer from the enhanced map.
    keep
        Blends back what the input clearly holds and the network lost, or the model does not
        explain.
    confidence
        Makes the confidence map.
    check_halves
        With half maps: enhance each by itself and hold it against the other, which takes the time
        of two more maps.
    force
        Makes a warning of a model that does not fit the map, and of a map that was not made from
        its half maps.
    checkpoint
        A trained network; the packaged one where None.
    control
        Tells the network a wrong structure on purpose: the model's embedding with its features
        shuffled over residues, or an unrelated protein's.
    enhancement, embedding
        The recipe's settings where None.
    progress
        Shows a bar on a terminal's standard error.
    announce
        Is told, before the work begins, the windows, seconds and memory that it will take.

    Raises
    ------
    CryosamuError
        When something that is given cannot be used, in one sentence.
    """
    check_numbers(resolution, low_pass, contour, mass)
    clock = _Clock()
    sources = read_sources(volume, structure, half_maps, mask, resolution, force)
    check_map(sources.volume, sources.map_name, contour, confidence, resolution)
    group = symmetry_of(sources, symmetry)
    weighed = mass_of(sources.volume, contour, mass)
    findings = _findings(sources, resolution, force, weighed)
    checkpoint = checkpoint or released_checkpoint()
    seen = [*sources.notes, *(finding.sentence for finding in findings)]
    through = NetworkPass(
        *load_checkpoint(checkpoint),
        enhancement or EnhancementSettings(),
        embedding or EmbeddingSettings(),
        sources.map_name,
        resolution,
        sources.mask,
        progress,
        _numbered(announce, 3 if sources.halves is not None and check_halves else 1),
    ).told(structure, control)
    clock.lap("read_and_check")
    answer = through(sources.volume)
    clock.restart()
    result, done = finished(answer.volume, sources, keep, group, resolution)
    clock.lap("finish")
    believed = None
    if confidence:
        digest = sha256_of(checkpoint)
        believed = confidence_map(sources.volume, result, resolution, sources.halves, digest)
        clock.lap("confidence")
    if low_pass is not None:
        result = low_passed_map(result, low_pass)
    verdict = None
    if sources.halves is not None and check_halves:
        verdict = guard(lambda half: through(half).volume, sources.halves, resolution, sources.mask)
        clock.lap("half_maps")
    return Enhanced(
        given=sources.volume,
        volume=result,
        working=answer.working,
        structure=sources.structure,
        resolution=resolution,
        contour=contour,
        confidence=believed.volume if believed else None,
        guard=verdict,
        settings=through.record(),
        record={
            "notes": [*through.header.notes, *seen],
            "input": {finding.kind: finding.value for finding in findings},
            "resolution": resolution,
            "contour": contour,
            "mass": weighed.record() if weighed else None,
            "control": control,
            "low_pass": low_pass,
            **done,
            "confidence": believed.record if believed else None,
            "half_maps": verdict,
            **answer.record,
            "seconds": {**answer.record["seconds"], **clock.seconds},
        },
        label=_label(answer, low_pass, control),
        seen=tuple(seen),
        checkpoint_notes=tuple(through.header.notes),
    )


class _Clock:
    """Seconds of each part of the work."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.restart()

    def restart(self) -> None:
        self._since = time.perf_counter()

    def lap(self, what: str) -> None:
        now = time.perf_counter()
        self.seconds[what], self._since = round(now - self._since, 3), now


def _numbered(announce: Callable[[str], None] | None, passes: int) -> Callable[[str], None] | None:
    """Return `announce` with the passes counted, where there are several."""
    if announce is None or passes == 1:
        return announce
    numbers = itertools.count(1)

    def told(sentence: str) -> None:
        number = next(numbers)
        rest = f" (the map, then each half map: {passes} times this)" if number == 1 else ""
        announce(f"pass {number} of {passes}{rest}: {sentence}")

    return told


def _findings(
    sources: Sources, resolution: float | None, force: bool, mass: Mass | None
) -> list[Finding]:
    """Return what is out of the ordinary; a model that does not fit is refused."""
    structure = sources.structure
    atoms = None if structure is None else heavy_atoms(structure)
    ordinary = check_input(sources.volume, resolution, atoms)
    found: list[Finding | None] = []
    if resolution is not None:
        found.append(finer_than_voxels(sources.volume, resolution))
    # Of an inverted map it is the solvent that was weighed.
    if mass is not None and all(finding.kind != "contrast" for finding in ordinary):
        found.append(voxel_size_by_mass(sources.volume, mass))
    # A model's word on the voxel size is the most exact, and stands in the record over the others.
    found += ordinary
    if resolution is not None:
        found.append(unfiltered(sources.volume, resolution))
    if sources.halves is not None:
        found.append(local_resolution(sources.halves, resolution))
    if structure is not None:
        names = (sources.map_name, sources.model_name)
        found += check_fit(sources.volume, structure, resolution, force, *names)
    return [finding for finding in found if finding is not None]


def _label(answer: whole_map.Enhanced, low_pass: float | None, control: Control | None) -> str:
    structure = "with structure" if answer.record["structure_tokens"] else "density alone"
    if control is not None:
        structure = f"control, {control} embedding"
    filtered = f", low-pass {low_pass:g} A" if low_pass else ""
    return f"CryoSAMU: enhanced by a network ({structure}{filtered})"
