"""Which chains of a model are exact copies of an earlier one, so that one encoding serves all.

A copy has the same residues, the same atoms missing, and the same places but for a motion that the
encoder does not see: any rigid motion for an encoder that knows distances alone, only a rotation
about the origin of the coordinates for ESM-IF1, which sees where that origin lies. The places may
differ by what three decimals in a file leave open; copies that were refined apart differ by more.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cryosamu.embedding.encoder import Encoder
from cryosamu.structure.model import ProteinChain

# Å: 0.0005 on each of three axes, in both copies, is 0.0017 at most.
TOLERANCE = 0.002


def originals(chains: Sequence[ProteinChain], encoder: Encoder) -> list[int]:
    """Return for each chain the place of the first chain that it copies; its own if it is first."""
    found: list[int] = []
    for place, chain in enumerate(chains):
        earlier = (other for other in dict.fromkeys(found) if _same(chains[other], chain, encoder))
        found.append(next(earlier, place))
    return found


def _same(first: ProteinChain, second: ProteinChain, encoder: Encoder) -> bool:
    if first.residue_ids != second.residue_ids:
        return False
    seen = encoder.visible(first)
    # Places of atoms that the encoder does not read may differ.
    one, other = (chain.backbone[seen, : encoder.atoms] for chain in (first, second))
    if not np.array_equal(seen, encoder.visible(second)):
        return False
    return _superpose(
        one.reshape(-1, 3).astype(np.float64),
        other.reshape(-1, 3).astype(np.float64),
        about_origin=encoder.sees_origin,
    )


def _superpose(
    first: NDArray[np.float64], second: NDArray[np.float64], *, about_origin: bool
) -> bool:
    """Return whether a motion brings [atoms, 3] onto [atoms, 3] (Kabsch, Acta Cryst. A 32, 922)."""
    if not about_origin:
        first, second = first - first.mean(0), second - second.mean(0)
    radii = np.linalg.norm(first, axis=1) - np.linalg.norm(second, axis=1)
    if np.abs(radii).max() > TOLERANCE:
        return False
    left, _, right = np.linalg.svd(first.T @ second)
    # A mirror image is not a copy.
    left[:, -1] *= np.sign(np.linalg.det(left @ right))
    return bool(np.linalg.norm(first @ left @ right - second, axis=1).max() <= TOLERANCE)
