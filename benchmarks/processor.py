"""CPU-seconds of the parts that decide how long the real run takes, on one core.

Weights are random where the published ones would have to be fetched: the time is the same.

    python benchmarks/processor.py --output benchmarks/results/processor.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from esm_if1_architecture import random_encoder

from cryosamu.archive.server import EMBEDDED
from cryosamu.config import EmbeddingSettings, NetworkSettings
from cryosamu.embedding.encoder import load_encoder
from cryosamu.files import write_text
from cryosamu.network import build_network
from cryosamu.provenance import software_versions, source_commit
from cryosamu.structure.model import protein_chains, read_model

MODEL = EMBEDDED / "files.rcsb.org" / "download" / "5NI1.cif.gz"
COMPACT = NetworkSettings(name="compact", base_channels=8, multipliers=(1, 4, 8), dropout=0)


def cpu_seconds(work: Callable[[], object], runs: int = 3) -> float:
    """Return the median CPU-seconds of a piece of work, after one run that does not count."""
    work()
    seconds = []
    for _ in range(runs):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return round(statistics.median(seconds), 3)


def network_rows() -> dict[str, float]:
    """Time one training crop and one window of each network, with 256 tokens."""
    rows = {}
    for name, settings, crop in (("reference", NetworkSettings(), 48), ("compact", COMPACT, 32)):
        network = build_network(settings, 512)
        tokens, mask = torch.randn(1, 256, 512), torch.ones(1, 256, dtype=torch.bool)

        def train(network=network, crop=crop, tokens=tokens, mask=mask) -> None:
            network(torch.rand(1, 1, crop, crop, crop), tokens, mask).square().mean().backward()

        def infer(network=network, tokens=tokens, mask=mask) -> None:
            with torch.inference_mode():
                network(torch.rand(1, 1, 64, 64, 64), tokens, mask)

        rows[f"{name}: forward and backward, one {crop}^3 crop"] = cpu_seconds(train)
        rows[f"{name}: forward, one 64^3 window"] = cpu_seconds(infer)
    return rows


def encoder_rows() -> dict[str, float]:
    """Time both encoders on the four chains of 5NI1."""
    chains = protein_chains(read_model(MODEL))
    residues = sum(len(chain.sequence) for chain in chains)
    encoders = {
        "protein_mpnn": load_encoder(EmbeddingSettings(backend="protein_mpnn", device="cpu")),
        "esm_if1, random weights": random_encoder(),
    }
    rows = {}
    for name, encoder in encoders.items():

        def encode(encoder=encoder) -> None:
            for chain in chains:
                encoder.encode([chain])

        rows[f"{name}: {residues} residues in {len(chains)} chains"] = cpu_seconds(encode, runs=1)
    return rows


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    record = {
        "date": time.strftime("%Y-%m-%d"),
        "commit": source_commit(),
        "software": software_versions(),
        "cpu_seconds": {**encoder_rows(), **network_rows()},
    }
    text = json.dumps(record, indent=2) + "\n"
    print(text)
    if options.output:
        write_text(options.output, text)


if __name__ == "__main__":
    main()
