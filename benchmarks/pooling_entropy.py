"""How evenly the pooling weighs chains and residues, with and without the 1/√width scaling.

The entropy of w and α over its largest possible value (ln of the number of chains or residues):
1 where all weigh the same, 0 where one takes all. On the models of the collected maps.

    python benchmarks/pooling_entropy.py --output benchmarks/results/pooling_entropy.json
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from pathlib import Path

import torch
from collected_models import map_models, require_data
from esm_if1_architecture import random_encoder

from cryosamu.config import EmbeddingSettings, PoolingSettings
from cryosamu.embedding.embed import encode
from cryosamu.embedding.encoder import Encoder, load_encoder
from cryosamu.embedding.pooling import pool
from cryosamu.files import write_text
from cryosamu.provenance import software_versions


def evenness(encoder: Encoder, largest: int) -> dict[str, dict[str, float]]:
    """Return the median over models, by scaling, for chains (where several) and residues."""
    found: dict[str, dict[str, list[float]]] = {}
    for _, chains in map_models(largest):
        vectors = [torch.from_numpy(rows) for rows in encode(chains, encoder, "per_chain")]
        seen = [torch.from_numpy(encoder.visible(chain)) for chain in chains]
        for scaled in (True, False):
            pooled = pool(vectors, seen, PoolingSettings(scaled=scaled))
            kind = found.setdefault("scaled" if scaled else "plain", {"chains": [], "residues": []})
            if len(chains) > 1:
                kind["chains"].append(float(pooled.chain_entropy) / math.log(len(chains)))
            highest = math.log(int(pooled.residues))
            kind["residues"].append(float(pooled.residue_entropy) / highest)
    return {
        scaling: {
            name: round(statistics.median(values), 4) for name, values in kinds.items() if values
        }
        | {"models": len(kinds["residues"])}
        for scaling, kinds in found.items()
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--largest-esm-if1", type=int, default=600, help="residues of a model")
    parser.add_argument("--weights", help="ESM-IF1's checkpoint; random weights where left out")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    require_data()
    torch.set_num_threads(1)
    shipped = load_encoder(EmbeddingSettings(backend="protein_mpnn", device="cpu"))
    own = EmbeddingSettings(weights=given.weights, device="cpu")
    esm_if1 = load_encoder(own) if given.weights else random_encoder()
    name = "esm_if1" if given.weights else "esm_if1, random weights"
    result = {
        "date": time.strftime("%Y-%m-%d"),
        "software": software_versions(),
        "protein_mpnn": evenness(shipped, 10**6),
        name: evenness(esm_if1, given.largest_esm_if1),
    }
    text = json.dumps(result, indent=1)
    print(text)
    if given.output:
        write_text(given.output, text + "\n")


if __name__ == "__main__":
    main()
