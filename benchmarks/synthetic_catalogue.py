"""A catalogue of entries that do not exist, with the statistics that decide what curation costs.

Complexes of protein families are studied again and again, some by thousands of entries, with the
same construct, with mutants, cut at the ends, or with the proteins of another species.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryosamu.tables import CATALOGUE, write_table

Sequence = NDArray[np.uint8]
_LETTERS = np.frombuffer(b"ALGVESIKRDTPNQFYMHCW", dtype=np.uint8)
# Shares of the amino acids in UniProtKB/Swiss-Prot, in the order of the letters (%).
_SHARES = np.array(
    [
        *(8.3, 9.7, 7.1, 6.9, 6.7, 6.6, 5.9, 5.8, 5.5, 5.5),
        *(5.4, 4.7, 4.1, 3.9, 3.9, 2.9, 2.4, 2.3, 1.4, 1.1),
    ]
)
_METHODS = ["singleParticle", "helical", "subtomogramAveraging", "tomography"]
_BOXES = np.array([128, 200, 256, 300, 360, 400, 480, 512])
_COPIES = [1, 2, 3, 4, 6, 12, 24, 60]
_COPIES_SHARES = [0.5, 0.2, 0.07, 0.1, 0.06, 0.03, 0.03, 0.01]
_COMPLEXES_AN_ENTRY = 0.3
# Antibodies, G proteins, ubiquitin and their like, that bind to much else.
_PARTNERS, _SHARE_OF_PARTNERS = 200, 0.05


def make_catalogue(count: int, seed: int) -> pd.DataFrame:
    """Return a CATALOGUE table of `count` entries with sequences."""
    random = np.random.default_rng(seed)
    variants = _variant_maker(random)
    complexes = _complexes(random, int(count * _COMPLEXES_AN_ENTRY))
    studied = random.choice(len(complexes), size=count, p=_popularity(len(complexes), 0.8))
    rows = [_entry(random, number, complexes[one], variants) for number, one in enumerate(studied)]
    return pd.DataFrame(rows).reindex(columns=CATALOGUE.names)


def _entry(
    random: np.random.Generator,
    number: int,
    families: NDArray[np.int64],
    variants: Callable[[int], str],
) -> dict[str, object]:
    sequences = [variants(int(family)) for family in families]
    copies = int(random.choice(_COPIES, p=_COPIES_SHARES))
    residues = copies * sum(map(len, sequences))
    fitted = random.random() < 0.65
    nucleic = int(random.random() < 0.2)
    return {
        "emdb_id": f"EMD-{number + 1000:04d}",
        "pdb_id": f"{1 + number // 36**3}{np.base_repr(number % 36**3, 36):0>3}"
        if fitted
        else None,
        "exclusion": "It was made obsolete." if random.random() < 0.01 else None,
        "method": str(random.choice(_METHODS, p=[0.84, 0.05, 0.05, 0.06])),
        # Median 3.5 Å, a quarter between 4 and 8 Å, some beyond.
        "resolution": round(float(1.8 + random.lognormal(0.53, 0.75)), 2),
        "protein_entities": len(sequences),
        "nucleic_entities": nucleic,
        "other_entities": 0,
        "deposited_residues": residues,
        "modelled_residues": int(residues * random.uniform(0.6, 1.0)),
        "sequences": ";".join(sequences),
        "map_file": f"emd_{number + 1000:04d}.map.gz",
        "map_kilobytes": float(random.choice(_BOXES) ** 3 * 4 / 1000),
        "simulated": False,
    }


def _complexes(random: np.random.Generator, count: int) -> list[NDArray[np.int64]]:
    """Return the protein families of each complex: its own, now and then a partner of many."""
    found, fresh = [], _PARTNERS
    for size in np.minimum(12, random.geometric(0.4, size=count)):
        families = np.arange(fresh, fresh + size)
        shared = random.random(size) < _SHARE_OF_PARTNERS
        families[shared] = random.integers(_PARTNERS, size=int(shared.sum()))
        found.append(families)
        fresh += int(size)
    return found


def _popularity(count: int, exponent: float) -> NDArray[np.float64]:
    """Return shares that fall as a power of the rank."""
    weights = np.arange(1, count + 1) ** -exponent
    return np.asarray(weights / weights.sum())


def _variant_maker(random: np.random.Generator) -> Callable[[int], str]:
    """Return a function that draws a sequence of a family; sequences are drawn again and again."""
    known: dict[int, list[Sequence]] = {}

    def draw(family: int) -> str:
        members = known.setdefault(family, [])
        chance = random.random()
        if not members:
            length = int(np.clip(random.lognormal(5.7, 0.65), 12, 5000))
            members.append(random.choice(_LETTERS, size=length, p=_SHARES / _SHARES.sum()))
        elif chance < 0.12:
            origin = members[int(random.integers(len(members)))]
            members.append(_mutated(random, origin, float(random.uniform(0.001, 0.02))))
        elif chance < 0.2:
            origin = members[int(random.integers(len(members)))]
            cut = random.integers(0, 1 + len(origin) // 12, size=2)
            members.append(origin[cut[0] : len(origin) - cut[1]])
        elif chance < 0.24:
            members.append(_mutated(random, members[0], float(random.uniform(0.1, 0.65))))
        else:
            return members[int(random.integers(len(members)))].tobytes().decode()
        return members[-1].tobytes().decode()

    return draw


def _mutated(random: np.random.Generator, origin: Sequence, share: float) -> Sequence:
    changed = origin.copy()
    places = random.random(len(origin)) < share
    changed[places] = random.choice(_LETTERS, size=int(places.sum()), p=_SHARES / _SHARES.sum())
    return changed


def main() -> None:
    """Write a catalogue as the pipeline does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    write_table(options.output, make_catalogue(options.count, options.seed), CATALOGUE)


if __name__ == "__main__":
    main()
