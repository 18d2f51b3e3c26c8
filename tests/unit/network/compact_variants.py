"""Small compact networks of every form, with weights none of which is without effect."""

import torch

from cryosamu.config import CompactSettings, NetworkSettings
from cryosamu.network import build_network

WIDTH = 16
FORMS = {
    "default": {},
    "blocks": {"full_grid": "blocks"},
    "folded": {"full_grid": "folded", "blocks": 2},
    "between": {"block": "between"},
    "batch": {"norm": "batch"},
    "between-batch": {"block": "between", "norm": "batch"},
    "no-norm": {"norm": "none"},
    "smooth": {"resampling": "smooth"},
    "dilated": {"dilations": (1, 2)},
    "gated": {"output": "gated"},
    "folded-gated": {"full_grid": "folded", "output": "gated"},
    "plain": {"output": "plain"},
    "resolution": {"resolution": True},
    "resolution-batch": {"resolution": True, "block": "between", "norm": "batch"},
}


def settings_of(form, multipliers=(1, 2), base_channels=4, dropout=0):
    return NetworkSettings(
        name="compact",
        base_channels=base_channels,
        multipliers=multipliers,
        dropout=dropout,
        compact=CompactSettings(**FORMS[form]),
    )


def random_network(form, multipliers=(1, 2)):
    """A network of trained-like weights: convolutions that keep the size of what they are given."""
    torch.manual_seed(11)
    network = build_network(settings_of(form, multipliers), WIDTH).eval()
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if tensor.dim() > 1 and "gain" not in name:
                tensor.normal_(std=tensor[0].numel() ** -0.5)
            elif tensor.is_floating_point():
                tensor.copy_(torch.rand_like(tensor) + 0.5)
    return network
