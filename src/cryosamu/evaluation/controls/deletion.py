"""Taking a helix out of a map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import gemmi
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cryosamu.evaluation.reference import ModelReference
from cryosamu.structure.model import protein_chains
from cryosamu.volume.volume import FloatArray, Volume

SHORTEST, LONGEST = 8, 20
"""Residues of the segment that is deleted."""

_HELIX_TWO = (4.8, 6.1)
_HELIX_THREE = (4.2, 6.2)
"""Å between CA atoms two and three residues apart in an α helix (5.5 and 5.2), with room."""

_BOND = 4.3
"""Å between CA atoms of neighbours (3.8), with room."""

_EDGE = 2.0
"""Å over which the deletion fades."""

_SMALLEST_RADIUS = 3.0
_MARGIN = 3.0


@dataclass(frozen=True)
class Segment:
    """Residues in a row of one chain.

    Attributes
    ----------
    chain
        Author id.
    residue_ids
        Author sequence numbers with insertion codes.
    helical
        Whether it is a helix; else the chain has none and a stretch of it was taken.
    """

    chain: str
    residue_ids: tuple[str, ...]
    helical: bool

    @property
    def name(self) -> str:
        """The segment in words."""
        kind = "helix" if self.helical else "residues"
        return f"{kind} {self.chain}/{self.residue_ids[0].strip()}-{self.residue_ids[-1].strip()}"


@dataclass(frozen=True)
class Deletion:
    """A map without a segment.

    Attributes
    ----------
    data
        float32 [nz, ny, nx].
    expected
        The segment's own calculated density, float32 [nz, ny, nx].
    region
        Voxels over which contrast is taken, bool [nz, ny, nx].
    """

    data: FloatArray
    expected: FloatArray
    region: NDArray[np.bool_]

    def contrast(self, data: FloatArray) -> float:
        """Return the covariance of voxels with the segment's density over the region."""
        seen, wanted = (x[self.region].astype(np.float64) for x in (data, self.expected))
        return float(np.mean(seen * (wanted - wanted.mean())))


def find_segment(structure: gemmi.Structure, volume: Volume) -> Segment | None:
    """Return the longest helix inside the map, at most `LONGEST` residues of it.

    Where no chain has a helix of `SHORTEST` residues, the longest stretch of any kind; None where
    there is not even that. The first of equally long ones.
    """
    runs: list[tuple[bool, int, str, tuple[str, ...]]] = []
    for chain in protein_chains(structure):
        alpha_carbons = chain.backbone[:, 1].astype(np.float64)
        inside = np.logical_and(_inside(alpha_carbons, volume), chain.observed)
        linked = _linked(alpha_carbons)
        for kind, chosen in (
            (True, np.logical_and(inside, _helical(alpha_carbons))),
            (False, inside),
        ):
            first, count = _longest_run(chosen.tolist(), linked.tolist())
            if count >= SHORTEST:
                first += max(count - LONGEST, 0) // 2
                ids = chain.residue_ids[first : first + min(count, LONGEST)]
                runs.append((kind, count, chain.author_id, ids))
    if not runs:
        return None
    kind, _, chain_id, ids = max(runs, key=lambda run: (run[0], run[1]))
    return Segment(chain_id, ids, kind)


def _inside(positions: NDArray[np.float64], volume: Volume) -> NDArray[np.bool_]:
    indices = volume.to_grid(np.where(np.isfinite(positions), positions, 1e9))
    within = (indices >= 0) & (indices <= np.array(volume.shape[::-1]) - 1)
    return np.asarray(within.all(axis=1), np.bool_)


def _helical(positions: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which residues lie in a turn of an α helix, by the distances of its CA atoms."""
    chosen = np.zeros(len(positions), np.bool_)
    if len(positions) < 4:
        return chosen
    places = np.where(np.isfinite(positions), positions, np.nan)
    two = np.linalg.norm(places[2:] - places[:-2], axis=1)
    three = np.linalg.norm(places[3:] - places[:-3], axis=1)
    second, third = _between(two, _HELIX_TWO), _between(three, _HELIX_THREE)
    turn = second[:-1] & second[1:] & third
    for shift in range(4):
        chosen[shift : shift + len(turn)] |= turn
    return chosen


def _between(values: NDArray[np.float64], bounds: tuple[float, float]) -> NDArray[np.bool_]:
    result: NDArray[np.bool_] = (bounds[0] < values) & (values < bounds[1])
    return result


def _linked(positions: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which residues are bonded to the one before them, by the distance of CA atoms."""
    places = np.where(np.isfinite(positions), positions, np.nan)
    apart = np.linalg.norm(np.diff(places, axis=0), axis=1)
    return np.concatenate([[False], apart < _BOND])


def _longest_run(chosen: Sequence[bool], linked: Sequence[bool]) -> tuple[int, int]:
    """Return where the longest run of chosen, linked residues begins and how long it is."""
    best, first = (0, 0), 0
    for place, (taken, follows) in enumerate(zip(chosen, linked, strict=True)):
        if not taken:
            first = place + 1
            continue
        if not follows:
            first = place
        best = max(best, (place + 1 - first, -first))
    return -best[1], best[0]


def delete_segment(
    volume: Volume, structure: gemmi.Structure, segment: Segment, resolution: float
) -> Deletion:
    """Return the map with a segment's density replaced by the solvent's.

    Voxels within half the resolution (at least 3 Å) of the segment's atoms, and nearer to them than
    to any other atom, take the median of the map outside the model; both bounds fade over 2 Å.
    """
    alone = _segment_alone(structure, segment)
    own = np.array([site.atom.pos.tolist() for site in alone[0].all()])
    taken = {tuple(row) for row in own.tolist()}
    others = [site.atom.pos.tolist() for site in structure[0].all()]
    others = [row for row in others if tuple(row) not in taken]
    reference = ModelReference(volume, structure, resolution)
    radius = max(_SMALLEST_RADIUS, resolution / 2)
    reach = radius + _EDGE + _MARGIN
    to_own, to_others = _distances(volume, own, np.array(others).reshape(-1, 3), reach)
    fade = np.clip((to_own - radius) / _EDGE, 0, 1)
    weight = (0.5 + 0.5 * np.cos(np.pi * fade)) * np.clip((to_others - to_own) / _EDGE + 0.5, 0, 1)
    outside = volume.data[~reference.inside]
    solvent = np.median(outside) if outside.size else volume.data.min()
    data = volume.data + weight.astype(np.float32) * (np.float32(solvent) - volume.data)
    expected = ModelReference(volume, alone, resolution).calculated
    return Deletion(data, expected, to_own <= reach)


def _segment_alone(structure: gemmi.Structure, segment: Segment) -> gemmi.Structure:
    kept = gemmi.Chain(segment.chain)
    wanted = set(segment.residue_ids)
    for chain in structure[0]:
        if chain.name == segment.chain:
            for residue in chain.get_polymer() if len(chain.get_polymer()) else chain:
                if str(residue.seqid) in wanted:
                    kept.add_residue(residue)
    model = gemmi.Model(1)
    model.add_chain(kept)
    alone = gemmi.Structure()
    alone.cell = structure.cell
    alone.add_model(model)
    return alone


def _distances(
    volume: Volume, own: NDArray[np.float64], others: NDArray[np.float64], reach: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each voxel's distance in Å to two sets of atoms, [nz, ny, nx]; large out of reach."""
    far = 10 * reach
    to_own = np.full(volume.shape, far)
    to_others = np.full(volume.shape, far)
    low = np.floor(volume.to_grid(own.min(axis=0) - reach)).astype(int)
    high = np.ceil(volume.to_grid(own.max(axis=0) + reach)).astype(int) + 1
    spans = [
        np.arange(max(first, 0), min(last, count))
        for first, last, count in zip(low, high, volume.shape[::-1], strict=True)
    ]
    x, y, z = np.meshgrid(*spans, indexing="ij")
    voxels = np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1)
    positions = volume.to_model_frame(voxels)
    place = (voxels[:, 2], voxels[:, 1], voxels[:, 0])
    to_own[place] = cKDTree(own).query(positions)[0]
    if len(others):
        to_others[place] = cKDTree(others).query(positions)[0]
    return to_own, to_others
