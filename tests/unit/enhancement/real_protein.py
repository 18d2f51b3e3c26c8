"""Ubiquitin and a map of it: small, and real enough for a model to fit."""

import gzip
from pathlib import Path

import numpy as np
from small_networks import write_checkpoint

import cryosamu
from cryosamu.config import EmbeddingSettings
from cryosamu.embedding.encoder import load_encoder
from cryosamu.structure.density import gaussian_sigma, simulate_density
from cryosamu.structure.model import heavy_atoms, read_model
from cryosamu.volume.fourier import low_pass
from cryosamu.volume.io import write_map
from cryosamu.volume.volume import FileFrame, Volume

PACKED = Path(cryosamu.__file__).parent / "archive/embedded/files.rcsb.org/download/1UBI.cif.gz"
RESOLUTION = 6.0


def write_inputs(folder):
    """Write model.cif, map.mrc (nstart, permuted axes), half maps and a random network."""
    (folder / "model.cif").write_bytes(gzip.decompress(PACKED.read_bytes()))
    atoms = heavy_atoms(read_model(folder / "model.cif"))
    low = np.floor((atoms.positions.min(axis=0) - 12) / 1.5).astype(int)
    count = np.ceil((atoms.positions.max(axis=0) + 12) / 1.5).astype(int) - low
    frame = FileFrame(
        axis_order=(2, 3, 1),
        nstart=(int(low[1]), int(low[2]), int(low[0])),
        origin=(0.0, 0.0, 0.0),
        sampling=tuple(int(n) for n in count),
        cell=tuple(1.5 * float(n) for n in count),
        labels=("ubiquitin",),
    )
    empty = np.zeros(tuple(count[::-1]), np.float32)
    grid = Volume(empty, (1.5, 1.5, 1.5), tuple(1.5 * low.astype(float)), frame)
    signal = simulate_density(atoms, grid, gaussian_sigma(RESOLUTION, "chimerax")).data
    random = np.random.default_rng(1)
    halves = []
    for name in ("half_1.mrc", "half_2.mrc"):
        noise = grid.with_data(random.normal(size=signal.shape).astype(np.float32))
        noise = low_pass(noise, 4.0).data * np.float32(0.15 * signal.max())
        halves.append(signal + noise)
        write_map(folder / name, grid.with_data(halves[-1]), name)
    write_map(folder / "map.mrc", grid.with_data((halves[0] + halves[1]) / 2), "averaged")
    encoder = load_encoder(EmbeddingSettings(backend="protein_mpnn", device="cpu"))
    write_checkpoint(folder / "net.safetensors", encoder.fingerprint, ("of random weights",))
