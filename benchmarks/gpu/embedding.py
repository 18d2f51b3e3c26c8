"""Residues a second through each structure encoder, by precision, on a GPU.

One chain of real backbones laid side by side, as `benchmarks/embedding.py` makes it, from the
computer's memory to the vectors in it. ESM-IF1 has its published architecture and random weights:
the time is the same. The error of bfloat16, and of the GPU against the CPU, is on the same chain.

    python benchmarks/gpu/embedding.py --output benchmarks/results/gpu_embedding.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from embedding import long_chain
from esm_if1_architecture import random_network

from cryosamu.embedding.encoder import Encoder
from cryosamu.embedding.esm_if1.encoder import EsmIf1
from cryosamu.embedding.protein_mpnn.encoder import ProteinMPNN
from cryosamu.files import write_text
from cryosamu.provenance import software_versions

_CHECKED = 300


def encoder_of(name: str, precision: str, device: torch.device) -> Encoder:
    """Return an encoder on a device."""
    if name == "protein_mpnn":
        return ProteinMPNN.load(None, device, precision)
    return EsmIf1(random_network(), "0" * 64, device, precision)


def rates(encoder: Encoder, device: torch.device, given: argparse.Namespace) -> dict[int, object]:
    """Return residues a second and the peak of the device's memory by length."""
    found: dict[int, object] = {}
    for residues in given.residues:
        chain = long_chain(residues)
        try:
            encoder.encode([chain])
            torch.cuda.reset_peak_memory_stats(device)
            times = []
            for _ in range(given.runs):
                begun = time.perf_counter()
                encoder.encode([chain])
                times.append(time.perf_counter() - begun)
        except torch.OutOfMemoryError:
            found[residues] = None
            continue
        found[residues] = {
            "residues_per_second": round(residues / statistics.median(times)),
            "peak_megabytes": round(torch.cuda.max_memory_allocated(device) / 1e6),
        }
    return found


def relative_error(name: str, precision: str, device: torch.device) -> float:
    """Return the largest relative error of a residue's vector against float32 on the CPU."""
    chain = long_chain(_CHECKED)
    exact = encoder_of(name, "float32", torch.device("cpu")).encode([chain])[0]
    found = encoder_of(name, precision, device).encode([chain])[0]
    errors = np.linalg.norm(found - exact, axis=1) / np.linalg.norm(exact, axis=1)
    return float(errors.max())


def main() -> None:
    """Measure on the first GPU, or say that there is none."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--residues", type=int, nargs="+", default=[300, 1000, 3000, 10_000])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("no GPU was found, and this benchmark means nothing on a CPU; run it on a GPU.")
    device = torch.device("cuda:0")
    figures: dict[str, object] = {}
    for name in ("esm_if1", "protein_mpnn"):
        for precision in ("float32", "bfloat16"):
            encoder = encoder_of(name, precision, device)
            figures[f"{name}, {precision}"] = {
                "largest_relative_error": relative_error(name, precision, device),
                "by_residues": rates(encoder, device, given),
            }
            print(json.dumps(figures[f"{name}, {precision}"]), file=sys.stderr)
    result = {
        "device": torch.cuda.get_device_name(device),
        "date": time.strftime("%Y-%m-%d"),
        "software": software_versions(),
        "figures": figures,
    }
    text = json.dumps(result, indent=1)
    print(text)
    if given.output:
        write_text(given.output, text + "\n")


if __name__ == "__main__":
    main()
