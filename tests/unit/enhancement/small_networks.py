"""Networks whose answer is known, and a checkpoint of random weights."""

import numpy as np
import torch

from cryosamu.config import EmbeddingSettings, NetworkSettings, PoolingSettings, PreparationSettings
from cryosamu.network.build import build_network
from cryosamu.network.checkpoint import CheckpointHeader, TrainingSummary, save_checkpoint
from cryosamu.network.interface import EnhancementNetwork
from cryosamu.volume.volume import Volume

SMALL = NetworkSettings(name="compact", base_channels=8, multipliers=(1, 2), dropout=0)
WIDTH = 128


def header_of(percentile=99.999, fingerprint="none", notes=()):
    return CheckpointHeader(
        network=SMALL,
        embedding_width=WIDTH,
        embedding=EmbeddingSettings(backend="protein_mpnn", pooling=PoolingSettings(tokens=64)),
        weights_fingerprint=fingerprint,
        preparation=PreparationSettings(percentile=percentile),
        training=TrainingSummary(steps=0, best_step=0, data_digest="none"),
        notes=notes,
    )


class Known(EnhancementNetwork):
    """Wraps a function of the density as a network."""

    def __init__(self, function, stride=4, margin=4, tile_consistent=True):
        super().__init__()
        self.function = function
        self.stride, self.margin, self.tile_consistent = stride, margin, tile_consistent
        self.shapes, self.tokens, self.masks, self.resolutions = [], [], [], []

    def forward(self, density, tokens=None, token_mask=None, resolution=None):
        self.require_shape(density)
        self.shapes.append(tuple(density.shape[2:]))
        self.tokens.append(tokens)
        self.masks.append(token_mask)
        self.resolutions.append(resolution)
        return self.function(density)


def random_network(seed=0):
    """The compact network with weights that are not zero anywhere, its last layer included."""
    torch.manual_seed(seed)
    network = build_network(SMALL, WIDTH).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network


def write_checkpoint(path, fingerprint="none", notes=()):
    save_checkpoint(path, random_network(), header_of(fingerprint=fingerprint, notes=notes))
    return path


def noise(shape):
    """A map of white noise."""
    data = np.random.default_rng(5).normal(size=shape).astype(np.float32)
    return Volume(data, (1.0, 1.0, 1.0))
