"""Simulated pairs for `ablation.py`: complexes degraded to 3.8–8.5 Å and their targets.

python benchmarks/ablation_maps.py STRUCTURES.tar.gz FOLDER --train 150 --validation 16
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import tarfile
import tempfile
from pathlib import Path

import numpy as np
from tqdm import tqdm

from cryosamu.errors import ModelError
from cryosamu.structure.density import simulate_density
from cryosamu.structure.model import Atoms, heavy_atoms, read_model
from cryosamu.structure.simulation import (
    MOLECULE_RADIUS,
    distance_to_atoms,
    draw_parameters,
    simulate_map,
)
from cryosamu.volume.normalise import normalise
from cryosamu.volume.volume import Volume

_SOLVENT = 12.0
_LARGEST = 112
_TARGET_SIGMA = 0.85
_PERCENTILE = 99.999
_RESOLUTIONS = (3.8, 8.5)


def grid_around(atoms: Atoms) -> Volume:
    """Return an empty grid of 1 Å with solvent around the atoms, its edges multiples of 8."""
    low, high = atoms.positions.min(axis=0), atoms.positions.max(axis=0)
    edges = np.ceil((high - low + 2 * _SOLVENT) / 8).astype(int) * 8
    origin = (low + high) / 2 - edges / 2
    x, y, z = (int(edge) for edge in edges)
    return Volume(np.zeros((z, y, x), np.float32), (1.0,) * 3, tuple(map(float, origin)))


def pair(atoms: Atoms, grid: Volume, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return a simulated map, its target (both [0, 1]), the molecule and the resolution."""
    resolution = float(rng.uniform(*_RESOLUTIONS))
    simulated = simulate_map(atoms, grid, draw_parameters(resolution, rng), rng)
    target = simulate_density(atoms, grid, _TARGET_SIGMA)
    return {
        "density": normalise(simulated, _PERCENTILE).data.astype(np.float16),
        "target": normalise(target, _PERCENTILE).data.astype(np.float16),
        "inside": distance_to_atoms(atoms, grid) <= MOLECULE_RADIUS,
        "resolution": np.float32(resolution),
    }


def write_pairs(archive: Path, folder: Path, train: int, validation: int) -> None:
    """Write one .npz a pair, from complexes in an order that only their names decide."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as tar:
        members = [member for member in tar.getmembers() if member.isfile()]
        members.sort(key=lambda member: hashlib.sha256(member.name.encode()).hexdigest())
        done = 0
        for member in tqdm(members, unit="model"):
            if done == train + validation:
                break
            split = "validation" if done < validation else "train"
            path = folder / f"{split}_{done:04d}.npz"
            if path.exists():
                done += 1
                continue
            with tempfile.NamedTemporaryFile(suffix=".pdb") as file:
                file.write(_text(tar.extractfile(member).read()))
                file.flush()
                try:
                    atoms = heavy_atoms(read_model(file.name))
                except ModelError:
                    continue
            grid = grid_around(atoms)
            if max(grid.shape) > _LARGEST:
                continue
            np.savez(path, **pair(atoms, grid, np.random.default_rng([7, done])))
            done += 1


def _text(raw: bytes) -> bytes:
    return gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--train", type=int, default=150)
    parser.add_argument("--validation", type=int, default=16)
    given = parser.parse_args()
    write_pairs(given.archive, given.folder, given.train, given.validation)
