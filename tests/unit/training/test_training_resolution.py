"""The reported resolution on its way from a pair or a simulated map to the network."""

import math

import numpy as np
import torch
from training_toys import TRAINING, WIDTH, blobs

from cryosamu.training.crops import Batch, make_batch, pair_batch
from cryosamu.training.pairs import TrainingPair
from cryosamu.training.sources import _joined

PLACES = range(200)


def pair(number=1, resolution=5.5):
    return TrainingPair(
        emdb_id=f"EMD-{number}",
        voxels=blobs(number, (20, 20, 20)),
        tokens=torch.zeros(3, WIDTH),
        token_mask=torch.ones(3, dtype=torch.bool),
        digest="ab12",
        simulated=False,
        voxel_size=1.0,
        **({} if resolution is None else {"resolution": resolution}),
    )


def test_a_share_of_the_crops_is_told_no_resolution_whatever_else_it_is_told():
    settings = TRAINING.model_copy(update={"embedding_dropout": 0.4})
    batch = pair_batch([pair()], settings, 3, PLACES)
    known = batch.resolution.isfinite()
    assert set(batch.resolution[known].tolist()) == {5.5}
    # 200 draws at 0.6: 120, give or take four standard deviations.
    assert abs(int(known.sum()) - 120) < 28
    told = batch.token_mask.any(dim=1)
    # Independent of whether the structure is told: all four combinations occur.
    assert len(set(zip(known.tolist(), told.tolist(), strict=True))) == 4


def test_a_pair_of_unknown_resolution_is_never_told():
    batch = make_batch([blobs(1, (8, 8, 8))], [pair(resolution=None)], *np.ones((2, 1), bool))
    assert math.isnan(batch.resolution.item())


def test_parts_and_copies_keep_each_example_with_its_resolution():
    count = 5
    density = torch.arange(float(count)).view(count, 1, 1, 1, 1)
    batch = Batch(
        density, density, density[:, :, 0, 0], density[:, :, 0, 0, 0] > 0, density.flatten()
    )
    for parts in (1, 2, 3, 5, 9):
        found = batch.to(torch.device("cpu")).parts(parts)
        assert len(found) <= parts
        assert [len(part.density) for part in found] == [len(p) for p in density.chunk(parts)]
        assert torch.cat([part.resolution for part in found]).tolist() == list(range(count))
        assert all(torch.equal(part.density.flatten(), part.resolution) for part in found)


def test_a_batch_without_resolutions_stays_one():
    density = torch.zeros(2, 1, 4, 4, 4)
    batch = Batch(density, density, torch.zeros(2, 3, WIDTH), torch.ones(2, 3, dtype=torch.bool))
    assert batch.resolution is None
    assert [part.resolution for part in batch.parts(2)] == [None, None]
    assert batch.to(torch.device("cpu")).resolution is None


def test_joined_batches_keep_their_resolutions_in_order():
    one = make_batch(
        [blobs(1, (8, 8, 8))] * 2, [pair(1, 4.0), pair(1, 4.5)], *np.ones((2, 2), bool)
    )
    density = torch.zeros(1, 1, 8, 8, 8)
    other = Batch(density, density, torch.zeros(1, 3, WIDTH), torch.ones(1, 3, dtype=torch.bool))
    joined = _joined(one, other, torch.tensor([2, 0, 1]))
    assert joined.resolution[1:].tolist() == [4.0, 4.5]
    assert math.isnan(joined.resolution[0])
