"""The structures that a run makes maps from, with their tokens; some held out to validate on."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import torch

from cryosamu.config import PreparationSettings, TrainingSettings
from cryosamu.embedding.tokens import read_tokens, read_tokens_header
from cryosamu.errors import CryosamuError
from cryosamu.files import sha256_of
from cryosamu.training.pairs import (
    TrainingData,
    TrainingPair,
    embedding_settings,
    token_files,
)
from cryosamu.training.simulated.library import AtomicStructure, read_library
from cryosamu.training.simulated.maps import box_edge, make_maps
from cryosamu.training.simulated.scene import draw_scene
from cryosamu.training.simulated.structures import SimulatedStructures

_VALIDATION = 23
_SMALL_CLUSTER, _LARGEST_SHARE = 4, 0.02
"""Structures of a cluster that may be held out whole, at most; the larger of number and share."""


def read_structures(
    libraries: Sequence[Path],
    tokens: Iterable[Path],
    held_out: int,
    preparation: PreparationSettings,
) -> SimulatedStructures:
    """Read packed structures and their tokens.

    Parameters
    ----------
    tokens
        Files of structure tokens, or folders with one {name}.safetensors a structure.
    held_out
        How many structures to validate on; see `_to_validate_on`.

    Raises
    ------
    CryosamuError
        When a file is damaged, a name comes twice, tokens are missing, or too few are left.
    """
    structures: dict[str, AtomicStructure] = {}
    clusters: dict[str, str] = {}
    unclustered: list[str] = []
    left_out: list[Mapping[str, Any]] = []
    evaluated: set[str] = set()
    for path in libraries:
        library = read_library(path)
        left_out += library.about.get("left_out", [])
        evaluated.update(library.about.get("evaluated", []))
        clusters |= library.clusters or {}
        unclustered += [Path(path).name] if library.clusters is None else []
        for one in library.structures:
            if one.name in structures:
                raise CryosamuError(f"{path}: {one.name} is in another file of structures too.")
            structures[one.name] = one
    known = read_tokens(token_files(tokens, sorted(structures)))
    missing = sorted(structures.keys() - known.keys())
    if missing:
        raise CryosamuError(
            f"the files of structure tokens lack {missing[0]} and {len(missing) - 1} others; make "
            "them with 'cryosamu structures embed'."
        )
    cluster_of = {name: clusters.get(name, name) for name in structures}
    judges = _to_validate_on(cluster_of, held_out)
    apart = {cluster_of[name] for name in judges}
    learnt = [name for name in sorted(structures) if cluster_of[name] not in apart]
    if len(judges) < held_out or not learnt:
        raise CryosamuError(
            f"{len(structures)} structures cannot be trained on with {held_out} held out; lower "
            "'training.simulation.validation_structures' or give more."
        )
    return SimulatedStructures(
        train=tuple(structures[name] for name in learnt),
        held_out=tuple(structures[name] for name in sorted(judges)),
        set_aside=tuple(sorted(structures.keys() - set(learnt) - set(judges))),
        unclustered=tuple(unclustered),
        tokens={name: known[name] for name in structures},
        preparation=preparation,
        left_out=tuple(left_out),
        evaluated=tuple(sorted(evaluated)),
        files={Path(path).name: sha256_of(path) for path in libraries},
    )


def _to_validate_on(cluster_of: Mapping[str, str], count: int) -> list[str]:
    """Return the structures to validate on, one of each cluster that is held out.

    Those whose names have the lowest SHA-256, so that none changes sides as the files grow, but
    for the few that newcomers push out or connect. Clusters of many are left to learn from.
    """
    sizes = Counter(cluster_of.values())
    largest = max(_SMALL_CLUSTER, _LARGEST_SHARE * len(cluster_of))
    chosen: dict[str, str] = {}
    for name in sorted(cluster_of, key=lambda name: hashlib.sha256(name.encode()).digest()):
        if len(chosen) < count and sizes[cluster_of[name]] <= largest:
            chosen.setdefault(cluster_of[name], name)
    return list(chosen.values())


def with_structures(
    pairs: TrainingData | None,
    libraries: Sequence[Path],
    tokens: Sequence[Path],
    settings: TrainingSettings,
    preparation: PreparationSettings,
) -> TrainingData:
    """Return pairs, if there are any, with structures to simulate further maps from.

    Real pairs to validate on are used alone; else the structures that are held out are.

    Parameters
    ----------
    preparation
        Used where there are no pairs; with pairs, maps are simulated as these were prepared.

    Raises
    ------
    CryosamuError
        As `read_structures`, and when a structure is the model of a pair that is held out.
    """
    preparation = preparation if pairs is None else pairs.preparation
    held_out = settings.simulation.validation_structures
    found = read_structures(libraries, tokens, held_out, preparation)
    if pairs is not None:
        _require_held_out(found, pairs.held_out)
    names = [one.name for one in (*found.train, *found.held_out)]
    header = read_tokens_header(token_files(tokens, names))
    judges = pairs.validation if pairs is not None else ()
    return TrainingData(
        train=pairs.train if pairs is not None else (),
        validation=judges or validation_pairs(found, settings),
        held_out=frozenset(one.name for one in found.held_out)
        | frozenset(found.set_aside)
        | (pairs.held_out if pairs is not None else frozenset()),
        embedding=embedding_settings(header),
        weights_fingerprint=header.fingerprint,
        embedding_width=header.width,
        preparation=preparation,
        simulated=found,
    )


def _require_held_out(found: SimulatedStructures, held_out: frozenset[str]) -> None:
    # A name may say more than the PDB id, as 1WEJ_TARGET does.
    names = [one.name for one in found.train]
    leaking = [name for name in names if not held_out.isdisjoint((name, name.partition("_")[0]))]
    if leaking:
        raise CryosamuError(
            f"the structures to simulate from hold {', '.join(leaking)}, models of pairs that the "
            "split holds out; pack the structures again with --leave-out."
        )


def validation_pairs(
    data: SimulatedStructures, settings: TrainingSettings
) -> tuple[TrainingPair, ...]:
    """Return one fixed simulated map for each structure that is held out, made on the CPU."""
    view, voxel_size = settings.simulation.view, data.preparation.voxel_size
    found = []
    for number, structure in enumerate(data.held_out):
        random = np.random.default_rng([settings.seed, _VALIDATION, crc32(structure.name.encode())])
        scene = draw_scene(
            data.held_out, number, settings.simulation, box_edge(view), voxel_size, random
        )
        maps = make_maps(
            [scene], view, voxel_size, data.preparation.percentile, data.sigma, torch.device("cpu")
        )
        tokens, mask = data.tokens[structure.name]
        found.append(
            TrainingPair(
                emdb_id=structure.name,
                voxels=torch.cat((maps.density, maps.target)).half().numpy(),
                tokens=tokens,
                token_mask=mask,
                digest=data.digest(structure),
                simulated=True,
                voxel_size=voxel_size,
                resolution=scene.conditions.resolution,
            )
        )
    return tuple(found)
