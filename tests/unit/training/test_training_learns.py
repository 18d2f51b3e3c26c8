"""A network that learns, and a loss that is wrong is noticed."""

import math

import numpy as np
import pytest
import torch
from training_toys import NETWORK, TRAINING, World

import cryosamu.training.loop as loop
from cryosamu.errors import CryosamuError
from cryosamu.tables import HISTORY, read_table

LEARNING = TRAINING.model_copy(
    update={"steps": 80, "validate_every": 40, "batch_size": 4, "learning_rate": 5e-3}
)
SHARPER = NETWORK.model_copy(update={"base_channels": 8, "dropout": 0.0})


def validation_losses(world, training=LEARNING, network=SHARPER):
    world.train(network=network, training=training)
    history = read_table(world.files().history, HISTORY)
    return history[history.split == "validation"].set_index(["metric", "step"]).value


@pytest.fixture
def one_pair(tmp_path):
    """The pair to learn from is the one to be judged by, under another name."""
    return World(tmp_path).add(1, "train", (24, 24, 24)).add(1001, "validation", (24, 24, 24))


def learns(values):
    """The bounds that tell training from anything else: nearer to the target, and more like it.

    Half the loss of the input alone would not: a network that has learnt the targets' mean and
    nothing of where they are dense comes below it.
    """
    nearer = values["loss", LEARNING.steps] < 0.5 * values["loss_of_input", 0]
    found = values["correlation_with_structure", LEARNING.steps]
    return nearer and found > values["correlation_of_input", 0]


def test_a_small_network_learns_to_sharpen(one_pair):
    values = validation_losses(one_pair)
    assert values["loss", 0] == pytest.approx(values["loss_of_input", 0])
    assert learns(values)


def test_a_loss_of_the_wrong_sign_is_caught(one_pair, monkeypatch):
    monkeypatch.setattr(
        loop, "training_loss", lambda answer, target, *_: -(answer - target).square().mean()
    )
    try:
        values = validation_losses(one_pair)
    except CryosamuError:
        return
    assert not learns(values)


@pytest.mark.parametrize("noise", ["uniform", "shuffled"])
def test_targets_of_pure_noise_are_caught(one_pair, noise):
    """The very training of `test_a_small_network_learns_to_sharpen`, but for what it aims at."""
    path = one_pair.folder / "prepared" / "EMD-1.npy"
    density, target = np.load(path)
    random = np.random.default_rng(0)
    aims = {"uniform": random.random(target.shape), "shuffled": random.permuted(target.ravel())}
    np.save(path, np.stack([density, aims[noise].reshape(target.shape)]).astype(np.float16))
    assert not learns(validation_losses(one_pair))


def test_a_diverging_run_ends_in_a_sentence(one_pair, monkeypatch):
    real = loop.training_batch

    def poisoned(pairs, settings, step, processes):
        batch = real(pairs, settings, step, processes)
        if step == 2:
            batch.density[0, 0, 0, 0, 0] = math.inf
        return batch

    monkeypatch.setattr(loop, "training_batch", poisoned)
    with pytest.raises(
        CryosamuError, match=r"loss is nan at step 2 .* the training diverged; lower"
    ):
        validation_losses(one_pair)


def test_the_structure_is_learnt_from_where_it_tells_something(tmp_path):
    # Two pairs with the same map and opposite targets: only the tokens tell them apart.
    world = World(tmp_path)
    for number, split in ((1, "train"), (2, "train"), (3, "validation")):
        world.add(number, split, (16, 16, 16))
    ends_apart(world)
    training = LEARNING.model_copy(update={"steps": 160, "embedding_dropout": 0.2})
    values = validation_losses(world, training)
    assert values["loss_with_structure", 160] < 0.5 * values["loss_without_structure", 160]


def ends_apart(world):
    """Give pair 1 an empty target, pairs 2 and 3 a full one, and 3 the tokens of 2."""
    density = np.random.default_rng(0).random((16, 16, 16))
    for number, wanted in ((1, 0.0), (2, 1.0), (3, 1.0)):
        target = np.full((16, 16, 16), wanted)
        path = world.folder / "prepared" / f"EMD-{number}.npy"
        np.save(path, np.stack([density, target]).astype(np.float16))
    world.rows[2]["pdb_id"] = world.rows[1]["pdb_id"]
    world.write()


def test_each_step_has_its_own_dropout(one_pair, monkeypatch):
    # The same batch twice: only dropout can make the losses differ, and each run's are the same.
    real = loop.training_batch
    monkeypatch.setattr(
        loop, "training_batch", lambda pairs, settings, step, *rest: real(pairs, settings, 0, *rest)
    )
    training = TRAINING.model_copy(update={"steps": 2, "learning_rate": 1e-12})
    seen = []
    real_step = loop.take_step

    def step_and_note(state, *given):
        stopped = real_step(state, *given)
        seen.append(state.losses[-1])
        return stopped

    monkeypatch.setattr(loop, "take_step", step_and_note)
    network = NETWORK.model_copy(update={"dropout": 0.5, "name": "reference"})
    one_pair.train("a", "one", network, training)
    one_pair.train("a", "two", network, training)
    assert seen[0] != seen[1]
    assert seen[:2] == seen[2:]
    assert torch.is_grad_enabled()
