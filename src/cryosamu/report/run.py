"""What a checkpoint says of the network and of its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryosamu.network.checkpoint import CheckpointHeader, load_checkpoint


@dataclass(frozen=True)
class RunFacts:
    """The part of a checkpoint that the page shows.

    Attributes
    ----------
    network, embedding
        Their names in the configuration.
    parameters
        Trained numbers of the network.
    steps
        Training steps, those of the checkpoints that it continues included.
    facts
        (name, value) to be listed as they are.
    notes
        Sentences that whoever uses the weights should read.
    seen
        EMDB ids that it was trained on or chosen by (training and validation).
    """

    network: str
    embedding: str
    parameters: int
    steps: int
    facts: list[tuple[str, str]] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    seen: frozenset[str] = frozenset()


def read_run(path: Path) -> RunFacts:
    """Return the facts of a checkpoint.

    Raises
    ------
    CheckpointError
        When the file is no checkpoint, or its weights do not fit its header.
    """
    network, header = load_checkpoint(path)
    parameters = sum(tensor.numel() for tensor in network.parameters())
    training = header.training
    return RunFacts(
        header.network.name,
        header.embedding.backend,
        parameters,
        training.steps + sum(int(part.get("steps", 0)) for part in training.lineage),
        [*_network_facts(header, parameters), *_training_facts(header)],
        header.notes,
        frozenset(training.training_pairs).union(
            training.validation_pairs,
            *(part.get("learnt", ()) for part in training.lineage),
        ),
    )


def _network_facts(header: CheckpointHeader, parameters: int) -> list[tuple[str, str]]:
    network, embedding, target = header.network, header.embedding, header.preparation.target
    channels = ", ".join(str(network.base_channels * m) for m in network.multipliers)
    return [
        ("Network", f"{network.name}, {channels} channels, {parameters:,} parameters"),
        (
            "Structure embedding",
            f"{embedding.backend} ({embedding.mode}), width {header.embedding_width}, pooled to "
            f"{embedding.pooling.tokens} tokens",
        ),
        ("Encoder weights", f"SHA-256 {header.weights_fingerprint[:16]}"),
        ("Working grid", f"{header.preparation.voxel_size:g} Å"),
        (
            "Training target",
            f"Gaussians by the rule of {target.sigma_rule}, at the reported resolution but at most "
            f"{target.maximum_resolution:g} Å",
        ),
    ]


def _training_facts(header: CheckpointHeader) -> list[tuple[str, str]]:
    training, provenance = header.training, header.provenance
    pairs = f"{len(training.training_pairs)} training, {len(training.validation_pairs)} validation"
    facts = [
        ("Training steps", f"{training.steps:,}; weights of step {training.best_step:,}"),
        ("Pairs", pairs),
        ("Data", f"digest {training.data_digest[:16]}"),
        ("Trained on", computed_on(training.computed_on)),
    ]
    if training.structures:
        learnt, left_out = (len(training.structures[key]) for key in ("structures", "left_out"))
        facts.append(
            ("Maps simulated from", f"{learnt:,} structures; {left_out:,} others were left out")
        )
    if training.lineage:
        earlier = [
            f"{str(part.get('checkpoint', '?'))[:12]} ({part.get('steps', '?')} steps)"
            for part in training.lineage
        ]
        facts.append(("Continues", ", ".join(earlier)))
    facts += [
        (f"Validation {name.replace('_', ' ')}", f"{value:.4g}")
        for name, value in sorted(training.metrics.items())
    ]
    facts.append(("Trained with commit", str(provenance.get("commit") or "not known")))
    facts.append(("Trained with", _versions(provenance.get("software"))))
    return facts


def computed_on(places: Sequence[Mapping[str, str]]) -> str:
    """Return in words the devices and precisions that a run's steps were computed in."""
    return "; ".join(f"{one['device']}, {one['precision']}" for one in places) or "not recorded"


def _versions(software: Any) -> str:
    if not isinstance(software, Mapping):
        return "not known"
    return ", ".join(f"{name} {version}" for name, version in software.items())
