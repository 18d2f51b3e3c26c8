"""ESM-IF1's encoder against fair-esm's own: equal numbers, CPU-seconds and memory side by side.

fair-esm runs as published, under `torch.inference_mode` (its own function keeps gradients and takes
five times the memory), its message passing the gathering and averaging that torch-geometric 2.8
does, bit for bit. Both have the published architecture and the same random weights; time and memory
do not depend on their values. Every measurement of time and memory is a fresh process with one
thread, and those of one length follow each other. Linux only: the peak is /proc/self's VmHWM.

    python benchmarks/embedding.py --output benchmarks/results/embedding.json
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from esm_if1_architecture import random_encoder, random_network

from cryosamu.archive.server import EMBEDDED
from cryosamu.config import PoolingSettings
from cryosamu.embedding.esm_if1.encoder import EsmIf1
from cryosamu.embedding.pooling import pool
from cryosamu.files import write_text
from cryosamu.provenance import software_versions
from cryosamu.structure.model import ProteinChain, protein_chains, read_model

MODELS = EMBEDDED / "files.rcsb.org" / "download"
LONGEST = 200
SPACING = 120.0
KINDS = ("stock", "cryosamu", "bfloat16")


def real_chains() -> list[tuple[str, ProteinChain]]:
    """Return the first protein chain of each embedded model."""
    paths = sorted(MODELS.glob("*.cif.gz"))
    return [(path.name[:4], protein_chains(read_model(path))[0]) for path in paths]


def long_chain(residues: int) -> ProteinChain:
    """Return one chain of real backbones, laid side by side until there are enough residues."""
    parts: list[np.ndarray] = []
    chains = [chain for _, chain in real_chains()]
    while sum(map(len, parts)) < residues:
        number = len(parts)
        backbone = chains[number % len(chains)].backbone
        centre = backbone[np.isfinite(backbone).all((1, 2))].mean((0, 1))
        place = SPACING * np.array([number % 8, number // 8 % 8, number // 64])
        parts.append((backbone - centre + place).astype(np.float32))
    backbone = np.concatenate(parts)[:residues]
    return dataclasses.replace(
        chains[0],
        sequence="X" * residues,
        residue_ids=tuple(str(number + 1) for number in range(residues)),
        residue_names=("UNK",) * residues,
        backbone=backbone,
        observed=np.isfinite(backbone[:, :3]).all((1, 2)),
    )


def stock() -> Callable[[ProteinChain], np.ndarray]:
    """Return fair-esm's own function on the published architecture."""
    from types import SimpleNamespace

    network = random_network()
    from esm.inverse_folding.gvp_modules import GVPConv
    from esm.inverse_folding.util import get_encoder_output

    def propagate(self, edge_index, s, v, edge_attr):
        sender, receiver = edge_index
        values = self.message(s[receiver], v[receiver], s[sender], v[sender], edge_attr)
        sums = values.new_zeros(len(s), values.shape[1]).index_add_(0, receiver, values)
        counts = torch.bincount(receiver, minlength=len(s)).clamp_(min=1)
        return sums / counts[:, None]

    GVPConv.propagate = propagate
    model = SimpleNamespace(encoder=network)

    def encode(chain: ProteinChain) -> np.ndarray:
        with torch.inference_mode():
            return get_encoder_output(model, network.dictionary, chain.backbone[:, :3]).numpy()

    return encode


def encoder_of(kind: str) -> Callable[[ProteinChain], np.ndarray]:
    """Return one of the encoders that are compared."""
    if kind == "stock":
        return stock()
    encoder = random_encoder()
    encoder.precision = "float32" if kind == "cryosamu" else kind
    return lambda chain: encoder.encode([chain])[0]


def megabytes(name: str) -> float:
    """Return a figure of /proc/self/status, MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith(name))
    return int(kilobytes) * 1024 / 1e6


def one_measurement(kind: str, residues: int) -> dict[str, float]:
    """Return CPU-seconds and the peak of memory, above the loaded weights and in all."""
    torch.set_num_threads(1)
    encode, chain = encoder_of(kind), long_chain(residues)
    encode(long_chain(40))
    before = megabytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    start = time.process_time()
    encode(chain)
    seconds = time.process_time() - start
    peak = megabytes("VmHWM")
    return {
        "cpu_seconds": round(seconds, 2),
        "extra_megabytes": round(peak - before, 1),
        "peak_megabytes": round(peak, 1),
    }


def in_a_process(kind: str, residues: int) -> dict[str, float]:
    """Return `one_measurement` of a fresh process."""
    command = [sys.executable, __file__, "--one", kind, str(residues)]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(found.stdout)


def side_by_side(residues: int, runs: int) -> dict[str, object]:
    """Return the medians of each encoder, taken in turns, and the ratios to fair-esm."""
    taken: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    for _ in range(runs):
        for kind in KINDS:
            taken[kind].append(in_a_process(kind, residues))
            print(residues, kind, taken[kind][-1], file=sys.stderr)
    figures = ("cpu_seconds", "extra_megabytes", "peak_megabytes")
    medians = {
        kind: {name: statistics.median(run[name] for run in found) for name in figures}
        for kind, found in taken.items()
    }
    ratios = {
        kind: {name: round(medians["stock"][name] / medians[kind][name], 2) for name in figures[:2]}
        for kind in KINDS[1:]
    }
    return {"runs": runs, "medians": medians, "stock_over": ratios}


def equality() -> dict[str, object]:
    """Return the largest differences to fair-esm, and of bfloat16 to float32, by structure."""
    torch.set_num_threads(1)
    own, reference = random_encoder(), stock()
    half = EsmIf1(random_network(), "0" * 64, torch.device("cpu"), "bfloat16")
    rows = []
    for name, chain in real_chains():
        if len(chain.sequence) > LONGEST:
            continue
        ours, theirs = own.encode([chain])[0], reference(chain)
        short = half.encode([chain])[0]
        seen = torch.from_numpy(chain.observed)
        full, low = (
            pool([torch.from_numpy(vectors)], [seen], PoolingSettings(tokens=64))
            for vectors in (ours, short)
        )
        relative = np.linalg.norm(short - ours, axis=1) / np.linalg.norm(ours, axis=1)
        kept = set(full.rows[full.mask].tolist()) & set(low.rows[low.mask].tolist())
        rows.append(
            {
                "model": name,
                "residues": len(chain.sequence),
                "largest_difference": float(np.abs(ours - theirs).max()),
                "root_mean_square": float(np.sqrt(np.square(theirs).mean())),
                "bfloat16_relative_error_median": float(np.median(relative)),
                "bfloat16_relative_error_largest": float(relative.max()),
                "bfloat16_tokens_kept": len(kept) / int(full.mask.sum()),
            }
        )
        print(rows[-1], file=sys.stderr)
    return {
        "structures": len(rows),
        "residues": sum(row["residues"] for row in rows),
        "largest_difference": max(row["largest_difference"] for row in rows),
        "bfloat16_relative_error_largest": max(
            row["bfloat16_relative_error_largest"] for row in rows
        ),
        "rows": rows,
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lengths", type=int, nargs="+", default=[300, 1000])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--long", type=int, default=10_000, help="residues of one long chain")
    parser.add_argument("--one", nargs=2, metavar=("KIND", "RESIDUES"), help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one_measurement(given.one[0], int(given.one[1]))))
        return
    result = {
        "date": time.strftime("%Y-%m-%d"),
        "software": software_versions(),
        "weights": "random, seed 0, published architecture",
        "equality": equality(),
        "by_residues": {length: side_by_side(length, given.runs) for length in given.lengths},
        "long_chain": {
            "residues": given.long,
            "cryosamu": in_a_process("cryosamu", given.long),
        },
    }
    text = json.dumps(result, indent=1)
    print(text)
    if given.output:
        write_text(given.output, text + "\n")


if __name__ == "__main__":
    main()
