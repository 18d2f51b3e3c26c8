"""The reported resolution on its way from a pair or a simulated map to the network."""

import math
from dataclasses import replace

import numpy as np
import torch
from training_toys import TRAINING, WIDTH, World, blobs

import cryosamu.training.loop as loop
from cryosamu.config import LossSettings
from cryosamu.training.crops import Batch, make_batch, pair_batch
from cryosamu.training.losses import training_loss
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


def test_the_loss_knows_every_resolution_in_voxels_whatever_the_network_is_told():
    settings = TRAINING.model_copy(update={"embedding_dropout": 1.0})
    pairs = [replace(pair(), voxel_size=0.5), replace(pair(), resolution=math.nan)]
    batch = pair_batch(pairs, settings, 3, PLACES)
    assert batch.resolution.isnan().all()
    known = batch.detail.isfinite()
    assert set(batch.detail[known].tolist()) == {11.0}
    assert 60 < int(known.sum()) < 140


def test_the_loop_hands_each_part_of_a_batch_its_resolutions(tmp_path, monkeypatch):
    """By those that the pairs have: 5 Å in voxels of 1 Å, from file to loss."""
    seen = []

    def noted(answer, target, weights, detail):
        seen.append(detail.tolist())
        return training_loss(answer, target, weights, detail)

    monkeypatch.setattr(loop, "training_loss", noted)
    training = TRAINING.model_copy(
        update={"steps": 2, "accumulation": 2, "losses": LossSettings(low_pass_correlation=0.1)}
    )
    World(tmp_path).add(1, "train").add(2, "validation").train(training=training)
    assert seen == [[5.0]] * 4


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
    assert joined.detail[1:].tolist() == [4.0, 4.5]
    assert math.isnan(joined.detail[0])
