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
import dataclasses
import hashlib
import json
import statistics
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from esm_if1_architecture import random_encoder
from tqdm import tqdm

from cryosamu.config import EmbeddingSettings, PoolingSettings
from cryosamu.embedding.encoder import Encoder, load_encoder
from cryosamu.embedding.pooling import Pooled, pool
from cryosamu.files import write_text
from cryosamu.provenance import software_versions
from cryosamu.structure.model import ProteinChain, protein_chains, read_model

DATA = Path(__file__).parents[2] / "shared" / "data"
LOOP_RESIDUES = 10
SHIFT = np.array([80.0, -60.0, 40.0], np.float32)
Chains = list[ProteinChain]


def moved(chain: ProteinChain, by: np.ndarray) -> ProteinChain:
    """Return the chain with its atoms displaced; what is missing stays missing."""
    return dataclasses.replace(chain, backbone=(chain.backbone + by).astype(np.float32))


def translated(chains: Chains) -> Chains:
    """Return the model 108 Å away."""
    return [moved(chain, SHIFT) for chain in chains]


def reversed_order(chains: Chains) -> Chains:
    """Return the model with its last chain first."""
    return chains[::-1]


def without_loop(chains: Chains) -> Chains:
    """Return the model without the ten residues in the middle of its longest chain."""
    longest = max(range(len(chains)), key=lambda index: len(chains[index].sequence))
    chain = chains[longest]
    start = max(0, len(chain.sequence) // 2 - LOOP_RESIDUES // 2)
    kept = np.delete(np.arange(len(chain.sequence)), slice(start, start + LOOP_RESIDUES))
    cut = dataclasses.replace(
        chain,
        sequence="".join(chain.sequence[i] for i in kept),
        residue_ids=tuple(chain.residue_ids[i] for i in kept),
        residue_names=tuple(chain.residue_names[i] for i in kept),
        backbone=chain.backbone[kept],
        observed=chain.observed[kept],
    )
    return [*chains[:longest], cut, *chains[longest + 1 :]]


def shaken(chains: Chains) -> Chains:
    """Return the model with each atom displaced by itself, 1 Å rms: bonds are broken."""
    random = np.random.default_rng(0)
    return [moved(c, random.normal(0, 3**-0.5, c.backbone.shape)) for c in chains]


def bent(chains: Chains) -> Chains:
    """Return the model displaced by 1 Å rms, smoothly over some ten residues, as models err."""
    random = np.random.default_rng(0)
    kernel = np.exp(-(np.linspace(-3, 3, 31) ** 2) / 2)
    found = []
    for chain in chains:
        steps = random.normal(size=(len(chain.sequence) + 30, 3))
        field = np.stack([np.convolve(column, kernel, "valid") for column in steps.T], axis=1)
        field /= np.sqrt((field**2).sum(1).mean())
        found.append(moved(chain, field[:, None]))
    return found


CHANGES: dict[str, Callable[[Chains], Chains]] = {
    "translated by 108 Å": translated,
    "chains in reverse order": reversed_order,
    "ten residues missing": without_loop,
    "1 Å rms, smooth": bent,
    "1 Å rms, each atom": shaken,
}


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


def map_models(largest: int) -> Iterator[tuple[str, Chains]]:
    """Yield the name and the protein chains of each model that belongs to a map."""
    for item in json.loads((DATA / "maps" / "index.json").read_text()):
        if item["residues"] > largest:
            continue
        chains = protein_chains(read_model(DATA / item["model"]))
        # A chain without backbone tells an encoder nothing.
        yield f"{item['emdb']} {item['part']}", [c for c in chains if c.observed.any()]


def proteins(count: int, smallest: int, largest: int) -> list[tuple[str, Chains]]:
    """Return proteins of the collected structures, drawn by the hash of their names."""
    found: list[tuple[str, bytes]] = []
    with tarfile.open(DATA / "structures" / "PDownB_2367_heavy.tar.gz") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(".pdb") else None
            text = file.read() if file else b""
            if smallest <= text.count(b"  CA  ") <= largest:
                found.append((Path(member.name).stem, text))
    found.sort(key=lambda item: hashlib.sha256(item[0].encode()).digest())
    chosen = []
    with tempfile.TemporaryDirectory() as folder:
        for name, text in found[:count]:
            path = Path(folder) / f"{name}.pdb"
            path.write_bytes(text)
            chosen.append((name, [c for c in protein_chains(read_model(path)) if c.observed.any()]))
    return chosen


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
    if not DATA.is_dir():
        sys.exit(f"{DATA} is not there: this measurement needs the collected maps and structures.")
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
