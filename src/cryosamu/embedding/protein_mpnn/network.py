"""ProteinMPNN's encoder as a network of our own that takes the published weights.

A message-passing network on the graph of each residue's 48 nearest residues (Dauparas et al.,
Science 378, 49 (2022); Ingraham et al., NeurIPS 2019). It differs from the published code only
in the order of the arithmetic: a residue's part of a message is computed once, not once for
each neighbour, and the edges are walked in blocks, so that memory grows linearly with length.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 128
NEIGHBOURS = 48
LAYERS = 3
_OFFSET_LIMIT = 32
_OFFSET_WIDTH = 16
_BLOCK_RESIDUES = 512
_MESSAGE_SCALE = 30.0

_N, _CA, _C, _O, _CB = range(5)
# The atom of the residue and the atom of its neighbour, in the order the weights expect.
_ATOM_PAIRS = (
    (_CA, _CA), (_N, _N), (_C, _C), (_O, _O), (_CB, _CB),
    (_CA, _N), (_CA, _C), (_CA, _O), (_CA, _CB), (_N, _C), (_N, _O), (_N, _CB),
    (_CB, _C), (_CB, _O), (_O, _C), (_N, _CA), (_C, _CA), (_O, _CA), (_CB, _CA),
    (_C, _N), (_O, _N), (_CB, _N), (_C, _CB), (_O, _CB), (_C, _O),
)  # fmt: skip
_RADIAL_CENTRES = 16
_RADIAL_FIRST, _RADIAL_LAST = 2.0, 22.0


class ProteinMPNNEncoder(nn.Module):
    """Backbone in, one vector of 128 a residue out."""

    def __init__(self) -> None:
        super().__init__()
        self.edge_features = EdgeFeatures()
        self.edge_input = nn.Linear(WIDTH, WIDTH)
        self.layers = nn.ModuleList(MessageLayer() for _ in range(LAYERS))

    def forward(self, backbone: Tensor, positions: Tensor, chains: Tensor) -> Tensor:
        """Return the embedding, float32 [residues, 128], of one structure.

        Parameters
        ----------
        backbone
            float32 [residues, 4, 3]: N, CA, C, O in Å, all finite; leave out what is missing.
        positions
            int64 [residues]: place in the chain, gaps counted.
        chains
            int64 [residues]: number of the chain.
        """
        neighbours = nearest(backbone[:, _CA], NEIGHBOURS)
        edges = self.edge_input(self.edge_features(backbone, positions, chains, neighbours))
        nodes = backbone.new_zeros(len(backbone), WIDTH)
        *layers, last = cast("list[MessageLayer]", list(self.layers))
        for layer in layers:
            nodes = layer.update_nodes(nodes, edges, neighbours)
            edges = layer.update_edges(nodes, edges, neighbours)
        # Nothing reads the edges behind the last layer.
        return last.update_nodes(nodes, edges, neighbours)


def nearest(points: Tensor, count: int) -> Tensor:
    """Return the indices, int64 [points, min(count, points)], of the nearest points, self first."""
    count = min(count, len(points))
    blocks = [
        torch.cdist(points[rows], points, compute_mode="donot_use_mm_for_euclid_dist")
        .topk(count, largest=False)
        .indices
        for rows in _blocks(len(points))
    ]
    return torch.cat(blocks)


def _blocks(total: int) -> Iterator[slice]:
    return (slice(start, start + _BLOCK_RESIDUES) for start in range(0, total, _BLOCK_RESIDUES))


class EdgeFeatures(nn.Module):
    """What an edge knows: the offset along the chain and 25 distances between atoms."""

    def __init__(self) -> None:
        super().__init__()
        # One row an offset of -32 … 32, clipped, and a last one for another chain.
        self.offset = nn.Embedding(2 * _OFFSET_LIMIT + 2, _OFFSET_WIDTH)
        inputs = _OFFSET_WIDTH + len(_ATOM_PAIRS) * _RADIAL_CENTRES
        self.projection = nn.Linear(inputs, WIDTH, bias=False)
        self.norm = nn.LayerNorm(WIDTH)

    def forward(
        self, backbone: Tensor, positions: Tensor, chains: Tensor, neighbours: Tensor
    ) -> Tensor:
        """Return float32 [residues, neighbours, 128]; arguments as the encoder's."""
        atoms = torch.cat([backbone, virtual_beta_carbon(backbone)[:, None]], dim=1)
        blocks = []
        for rows in _blocks(len(atoms)):
            there = neighbours[rows]
            offset = (positions[rows, None] - positions[there]).clamp(-_OFFSET_LIMIT, _OFFSET_LIMIT)
            offset = offset + _OFFSET_LIMIT
            # Between chains the offset means nothing, whatever number each chain starts with.
            offset = offset.where(chains[rows, None] == chains[there], 2 * _OFFSET_LIMIT + 1)
            features = torch.cat([self.offset(offset), _distances(atoms, rows, there)], dim=-1)
            blocks.append(self.norm(self.projection(features)))
        return torch.cat(blocks)


def virtual_beta_carbon(backbone: Tensor) -> Tensor:
    """Return where an ideal Cβ sits, [residues, 3] in Å, from [residues, 4, 3] N, CA, C, O."""
    to_alpha = backbone[:, _CA] - backbone[:, _N]
    to_carbonyl = backbone[:, _C] - backbone[:, _CA]
    normal = torch.linalg.cross(to_alpha, to_carbonyl)
    shift = -0.58273431 * normal + 0.56802827 * to_alpha - 0.54067466 * to_carbonyl
    beta: Tensor = backbone[:, _CA] + shift
    return beta


def _distances(atoms: Tensor, rows: slice, neighbours: Tensor) -> Tensor:
    """Return [block, neighbours, 25 × 16]: each pair's distance in Gaussians 1.25 Å wide."""
    here, there = (list(side) for side in zip(*_ATOM_PAIRS, strict=True))
    gaps = atoms[rows][:, None, here] - atoms[neighbours][:, :, there]
    distances = (gaps.square().sum(-1) + 1e-6).sqrt()
    centres = torch.linspace(_RADIAL_FIRST, _RADIAL_LAST, _RADIAL_CENTRES, device=atoms.device)
    width = (_RADIAL_LAST - _RADIAL_FIRST) / _RADIAL_CENTRES
    return torch.exp(-(((distances[..., None] - centres) / width) ** 2)).flatten(-2)


class MessageLayer(nn.Module):
    """Residues hear from their neighbours, then edges from both of their ends."""

    def __init__(self) -> None:
        super().__init__()
        self.message = EdgeFunction()
        self.message_norm = nn.LayerNorm(WIDTH)
        self.transition = nn.Sequential(
            nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH)
        )
        self.transition_norm = nn.LayerNorm(WIDTH)
        self.edge_update = EdgeFunction()
        self.edge_norm = nn.LayerNorm(WIDTH)

    def update_nodes(self, nodes: Tensor, edges: Tensor, neighbours: Tensor) -> Tensor:
        """Return the residues' vectors, [residues, 128], after one round of messages."""
        heard = [values.sum(1) for _, values in self.message(nodes, edges, neighbours)]
        nodes = self.message_norm(nodes + torch.cat(heard) / _MESSAGE_SCALE)
        updated: Tensor = self.transition_norm(nodes + self.transition(nodes))
        return updated

    def update_edges(self, nodes: Tensor, edges: Tensor, neighbours: Tensor) -> Tensor:
        """Return the edges' vectors, [residues, neighbours, 128], from the new residues."""
        updates = self.edge_update(nodes, edges, neighbours)
        return torch.cat([self.edge_norm(edges[rows] + values) for rows, values in updates])


class EdgeFunction(nn.Module):
    """A three-layer perceptron of (residue, edge, neighbour), walked in blocks of residues."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3 * WIDTH, WIDTH)
        self.second = nn.Linear(WIDTH, WIDTH)
        self.third = nn.Linear(WIDTH, WIDTH)

    def forward(
        self, nodes: Tensor, edges: Tensor, neighbours: Tensor
    ) -> Iterator[tuple[slice, Tensor]]:
        """Yield each block of residues with its values, [block, neighbours, 128]."""
        # first([own, edge, other]) is a sum of three linear maps: two of them need only nodes.
        own, edge, other = torch.split(self.first.weight, WIDTH, dim=1)
        from_own = F.linear(nodes, own, self.first.bias)
        from_other = F.linear(nodes, other)
        for rows in _blocks(len(nodes)):
            hidden = F.linear(edges[rows], edge)
            hidden = hidden + from_own[rows, None] + from_other[neighbours[rows]]
            yield rows, self.third(F.gelu(self.second(F.gelu(hidden))))
