"""ESM-IF1's published architecture with random weights, for measuring without its checkpoint."""

from __future__ import annotations

from typing import Any

import torch

from cryosamu.embedding.esm_if1.encoder import EsmIf1
from cryosamu.embedding.esm_if1.weights import build_network

# As in the checkpoint esm_if1_gvp4_t16_142M_UR50; with the decoder it has 141,662,150 parameters.
ARGUMENTS = {
    "arch": "vt_medium_with_invariant_gvp",
    "encoder_embed_dim": 512,
    "encoder_ffn_embed_dim": 2048,
    "encoder_attention_heads": 8,
    "encoder_layers": 8,
    "dropout": 0.1,
    "attention_dropout": 0.1,
    "gvp_top_k_neighbors": 30,
    "gvp_node_hidden_dim_scalar": 1024,
    "gvp_node_hidden_dim_vector": 256,
    "gvp_edge_hidden_dim_scalar": 32,
    "gvp_edge_hidden_dim_vector": 1,
    "gvp_num_encoder_layers": 4,
    "gvp_dropout": 0.1,
}


def random_network() -> Any:
    """Return fair-esm's own encoder, 107,993,030 parameters, the same in every run."""
    torch.manual_seed(0)
    return build_network(ARGUMENTS).eval()


def random_encoder(device: str = "cpu") -> EsmIf1:
    """Return the backend around such an encoder."""
    return EsmIf1(random_network(), "0" * 64, torch.device(device))
