"""What the pooled structure embedding notes: shifts, order, gaps, errors, and another protein.

Every model of the collected maps is embedded as it is and after five changes; then changed copies
of 200 proteins look for their original among all 200. A structure is described in two ways: by the
mean of its tokens, less the mean over the 200 proteins, and token by token (each token's best match
among the other's tokens). Distances are one minus the cosine. ESM-IF1 without `--weights` has
random weights, the same in every run: its figures tell how the architecture behaves, not what it
has learnt.

    python benchmarks/embedding_sensitivity.py \
        --output benchmarks/results/embedding_sensitivity_protein_mpnn.json
    python benchmarks/embedding_sensitivity.py --backend esm_if1 --largest 150 \
        [--weights esm_if1_gvp4_t16_142M_UR50.pt]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from collected_models import Chains, map_models, proteins, require_data
from esm_if1_architecture import random_encoder
from structure_changes import CHANGES, reversed_order
from tqdm import tqdm

from cryosamu.config import EmbeddingSettings, PoolingSettings
from cryosamu.embedding.encoder import Encoder, load_encoder
from cryosamu.embedding.pooling import Pooled, pool
from cryosamu.files import write_text
from cryosamu.provenance import software_versions
from cryosamu.structure.model import ProteinChain


class Describer:
    """Embeds and pools, each distinct chain once."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self._known: dict[bytes, torch.Tensor] = {}

    def vectors(self, chain: ProteinChain) -> torch.Tensor:
        """Return the chain's embedding."""
        content = chain.backbone.tobytes() + " ".join(chain.residue_ids).encode()
        key = hashlib.sha256(content).digest()
        if key not in self._known:
            self._known[key] = torch.from_numpy(self.encoder.encode([chain])[0])
        return self._known[key]

    def tokens(self, chains: Chains) -> Pooled:
        """Return the structure's tokens."""
        seen = [torch.from_numpy(self.encoder.visible(chain)) for chain in chains]
        return pool([self.vectors(chain) for chain in chains], seen, PoolingSettings())

    def forget(self) -> None:
        """Let go of the chains so far."""
        self._known.clear()


class MeanToken:
    """Describes a structure by the mean of its tokens, less what all proteins share."""

    def __init__(self, gallery: dict[str, Pooled]) -> None:
        means = torch.stack([p.tokens[p.mask].mean(0) for p in gallery.values()])
        self._common = means.mean(0)
        self._gallery = F.normalize(means - self._common, dim=1)

    def of(self, pooled: Pooled) -> torch.Tensor:
        """Return the description, of length one."""
        return F.normalize(pooled.tokens[pooled.mask].mean(0) - self._common, dim=0)

    def to_gallery(self, pooled: Pooled) -> torch.Tensor:
        """Return the distance to each protein."""
        return 1 - self._gallery @ self.of(pooled)


def token_distance(query: Pooled, other: Pooled) -> float:
    """Return one minus the cosine of each token's best match, both ways, averaged."""
    ours, theirs = (F.normalize(p.tokens[p.mask], dim=1) for p in (query, other))
    cosines = ours @ theirs.T
    return 1 - float(cosines.amax(1).mean() + cosines.amax(0).mean()) / 2


def residue_change(describer: Describer, before: Chains, after: Chains) -> float:
    """Return the median over residues of |change| / |vector|; residues are known by their ids."""
    ratios = []
    others = {(c.author_id, c.label_id): c for c in after}
    for chain in before:
        other = others[chain.author_id, chain.label_id]
        place = {residue: row for row, residue in enumerate(other.residue_ids)}
        seen = describer.encoder.visible(chain)
        rows = [(i, place[r]) for i, r in enumerate(chain.residue_ids) if r in place and seen[i]]
        mine, theirs = np.array(rows).T
        old, new = describer.vectors(chain)[mine], describer.vectors(other)[theirs]
        ratios.append((new - old).norm(dim=1) / old.norm(dim=1))
    return float(torch.cat(ratios).median())


def summary(values: Sequence[float]) -> dict[str, float]:
    """Return median, smallest and largest."""
    return {
        "median": round(statistics.median(values), 5),
        "smallest": round(min(values), 5),
        "largest": round(max(values), 5),
    }


def changes_of_models(
    describer: Describer, gallery: dict[str, Pooled], largest: int
) -> tuple[list[dict[str, object]], dict[str, dict[str, object]]]:
    """Return a row a model and change, and the summary of each change."""
    rows: list[dict[str, object]] = []
    means = MeanToken(gallery)
    for name, chains in tqdm(list(map_models(largest)), disable=None, desc="maps"):
        original = describer.tokens(chains)
        for change, apply in CHANGES.items():
            if apply is reversed_order and len(chains) == 1:
                continue
            after = apply(chains)
            pooled = describer.tokens(after)
            rows.append(
                {
                    "model": name,
                    "change": change,
                    "residue": residue_change(describer, chains, after),
                    "mean_token": 1 - float(means.of(original) @ means.of(pooled)),
                    "tokens": token_distance(original, pooled),
                }
            )
        wrong = [token_distance(original, other) for other in gallery.values()]
        distances = means.to_gallery(original)
        for label, pick in (("nearest wrong protein", min), ("median wrong protein", np.median)):
            rows.append(
                {
                    "model": name,
                    "change": label,
                    "mean_token": float(pick(distances.tolist())),
                    "tokens": float(pick(wrong)),
                }
            )
        describer.forget()
    summaries: dict[str, dict[str, object]] = {}
    for row in rows:
        summaries.setdefault(str(row["change"]), {})
    for change, found in summaries.items():
        mine = [row for row in rows if row["change"] == change]
        found["models"] = len(mine)
        for figure in ("residue", "mean_token", "tokens"):
            if values := [float(row[figure]) for row in mine if figure in row]:  # type: ignore[arg-type]
                found[figure] = summary(values)
    return rows, summaries


def retrieval(
    describer: Describer,
    known: list[tuple[str, Chains]],
    gallery: dict[str, Pooled],
    queries: int,
) -> dict[str, dict[str, float]]:
    """Return how often a changed copy finds its original first, by change and description."""
    means = MeanToken(gallery)
    found = {}
    for change, apply in CHANGES.items():
        if apply is reversed_order:
            continue
        ranks: dict[str, list[int]] = {"mean_token": [], "tokens": []}
        for index, (_, chains) in enumerate(tqdm(known[:queries], disable=None, desc=change)):
            query = describer.tokens(apply(chains))
            describer.forget()
            near = {
                "mean_token": means.to_gallery(query),
                "tokens": torch.tensor([token_distance(query, o) for o in gallery.values()]),
            }
            for kind, distances in near.items():
                ranks[kind].append(int((distances < distances[index]).sum()) + 1)
        found[change] = {
            f"{kind}: {name}": value
            for kind, places in ranks.items()
            for name, value in (
                ("first", sum(place == 1 for place in places) / len(places)),
                ("worst rank", max(places)),
            )
        }
    return found


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", choices=["protein_mpnn", "esm_if1"], default="protein_mpnn")
    parser.add_argument("--weights", help="ESM-IF1's checkpoint; random weights where left out")
    parser.add_argument("--proteins", type=int, default=200)
    parser.add_argument("--smallest", type=int, default=60, help="residues of a protein")
    parser.add_argument("--largest", type=int, default=600, help="residues of a protein")
    parser.add_argument("--queries", type=int, help="proteins that are looked for; all")
    parser.add_argument("--largest-model", type=int, default=10**6, help="of a map, residues")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    require_data()
    torch.set_num_threads(1)
    random = given.backend == "esm_if1" and given.weights is None
    encoder = (
        random_encoder(given.device)
        if random
        else load_encoder(
            EmbeddingSettings(backend=given.backend, weights=given.weights, device=given.device)
        )
    )
    describer = Describer(encoder)
    known = proteins(given.proteins, given.smallest, given.largest)
    gallery = {}
    for name, chains in tqdm(known, disable=None, desc="proteins"):
        gallery[name] = describer.tokens(chains)
        describer.forget()
    rows, summaries = changes_of_models(describer, gallery, given.largest_model)
    result = {
        "date": time.strftime("%Y-%m-%d"),
        "software": software_versions(),
        "backend": given.backend,
        "weights": "random, seed 0" if random else encoder.fingerprint,
        "proteins": len(known),
        "residues_of_proteins": summary([sum(len(c.sequence) for c in cs) for _, cs in known]),
        "changes": summaries,
        "queries": given.queries or len(known),
        "retrieval": retrieval(describer, known, gallery, given.queries or len(known)),
        "models": rows,
    }
    text = json.dumps(result, indent=1, ensure_ascii=False)
    print(text)
    if given.output:
        write_text(given.output, text + "\n")


if __name__ == "__main__":
    main()
