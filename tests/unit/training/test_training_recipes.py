"""Runs with everything switched on, runs from a given checkpoint, and what is forgotten."""

import json

import pytest
import torch
from training_toys import NETWORK, TRAINING, state_file, train_until

from cryosamu.config import AugmentationSettings, LossSettings
from cryosamu.errors import CheckpointError, CryosamuError
from cryosamu.files import sha256_of
from cryosamu.network.checkpoint import load_checkpoint, read_header
from cryosamu.tables import HISTORY, read_table
from cryosamu.tensors import read_tensors
from cryosamu.training.validation import Validation

EVERYTHING = TRAINING.model_copy(
    update={
        "accumulation": 2,
        "schedule": "cosine",
        "warm_up_steps": 4,
        "averaging": 0.8,
        "gradient_norm": 0.5,
        "losses": LossSettings(ssim=0.1, fourier_shell=0.1),
        "augmentation": AugmentationSettings(intensity=0.2, b_factor=30),
        "precision": "float16",
        "workers": 2,
    }
)


@pytest.mark.parametrize("step", [2, 4, 10])
def test_with_everything_on_a_stopped_run_ends_in_the_same_bits(world, monkeypatch, step):
    world.train("whole", "state_of_whole", training=EVERYTHING)
    train_until(world, monkeypatch, step, EVERYTHING)
    saved = read_tensors(state_file(world))
    assert saved[1]["scaler"]["scale"] > 1
    assert any(name.startswith("average/") for name in saved[0])
    world.train("stopped", training=EVERYTHING)
    assert world.outputs("stopped") == world.outputs("whole")


def test_the_average_is_what_is_validated_and_released(world, monkeypatch):
    seen = []
    real = Validation.measure

    def measure(self, network, stop):
        weights = {name: value.clone() for name, value in network.state_dict().items()}
        found = real(self, network, stop)
        seen.append((found["validation"]["loss"], weights))
        return found

    monkeypatch.setattr(Validation, "measure", measure)
    averaged = TRAINING.model_copy(update={"averaging": 0.8})
    world.train(training=averaged)
    best = min(seen, key=lambda pair: pair[0])[1]
    released = load_checkpoint(world.files().checkpoint)[0].state_dict()
    assert all(torch.equal(released[name], best[name]) for name in released)
    world.train("plain", "state_of_plain")
    plain = load_checkpoint(world.files("plain").checkpoint)[0].state_dict()
    assert not all(torch.equal(released[name], plain[name]) for name in released)


def test_parts_change_nothing_but_rounding(world):
    steady = NETWORK.model_copy(update={"dropout": 0.0})
    whole = TRAINING.model_copy(update={"batch_size": 4})
    world.train("whole", "state_of_whole", steady, whole)
    world.train("parts", "state_of_parts", steady, whole.model_copy(update={"accumulation": 4}))
    values = [read_table(world.files(name).history, HISTORY).value for name in ("whole", "parts")]
    assert values[1].to_numpy() == pytest.approx(values[0].to_numpy(), rel=1e-4)


def test_short_gradients_are_a_setting(world, monkeypatch):
    world.train("usual", "state_of_usual")
    tight = TRAINING.model_copy(update={"gradient_norm": 1e-12, "learning_rate": 1e-3})
    world.train("tight", training=tight)
    rows = read_table(world.files("tight").history, HISTORY)
    # AdamW divides by the gradient's size + 1e-8: what is cut to 1e-12 moves next to nothing.
    losses = rows[(rows.split == "validation") & (rows.metric == "loss")].value
    assert losses.max() - losses.min() < 1e-2 * losses.max()


def test_early_stopping_ends_the_run_and_says_its_steps(world, monkeypatch):
    losses = iter([1.0, 0.5, 0.6, 0.7, 0.1])
    monkeypatch.setattr(
        Validation, "measure", lambda self, network, stop: {"validation": {"loss": next(losses)}}
    )
    impatient = TRAINING.model_copy(update={"early_stopping": 2, "workers": 1})
    world.train(training=impatient)
    summary = read_header(world.files().checkpoint).training
    assert (summary.steps, summary.best_step) == (9, 3)
    assert world.train(training=impatient) == ["this training is finished: nothing to train"]


def test_what_was_forgotten_is_recorded_and_said(world):
    world.train()
    before = read_header(world.files().checkpoint).training.metrics
    world.add(4, "train").add(5, "validation")
    said = world.train("b")
    history = read_table(world.files("b").history, HISTORY)
    former = history[history.split == "former_validation"].set_index(["metric", "step"]).value
    # The pair that the parent was chosen by, alone, although another has come.
    assert former["loss", 0] == before["loss"]
    assert {"loss_with_structure", "correlation_without_structure"} <= {*former.index.unique(0)}
    every = history[history.split == "validation"].set_index(["metric", "step"]).value
    assert every["loss", 0] != former["loss", 0]
    best = read_header(world.files("b").checkpoint).training.best_step
    assert said[1] == (
        "on the 1 pairs of the former validation the loss went from "
        f"{before['loss']:.5f} to {former['loss', best]:.5f}"
    )


def test_a_run_from_scratch_has_no_former_validation(world):
    world.train()
    assert "former_validation" not in set(read_table(world.files().history, HISTORY).split)


def released(world, tmp_path):
    """A checkpoint made elsewhere, as one that was downloaded."""
    world.train("released", "state_of_release")
    return world.files("released").checkpoint


def test_a_run_can_begin_with_a_given_checkpoint(world, tmp_path):
    start = released(world, tmp_path)
    digest = sha256_of(start)
    world.add(4, "train")
    said = world.train(start=start)
    assert said[0] == f"training from checkpoint {digest[:12]}"
    assert "former validation" in said[1]
    header = read_header(world.files().checkpoint)
    parent = read_header(start).training
    assert header.training.lineage == (
        {
            "checkpoint": digest,
            "steps": TRAINING.steps,
            "best_step": parent.best_step,
            "computed_on": [{"device": "cpu", "precision": "float32"}],
            "metrics": parent.metrics,
            "training_pairs": 2,
            "learnt": ["EMD-1", "EMD-2"],
        },
    )
    assert header.training.steps == TRAINING.steps
    history = read_table(world.files().history, HISTORY)
    first = history[(history.step == 0) & (history.split == "validation")]
    assert first.set_index("metric").value["loss"] == parent.metrics["loss"]
    assert world.train(start=start) == ["this training is finished: nothing to train"]
    # Another start is another run.
    said = world.train("other")[0]
    assert said.startswith("training from scratch; the finished run ")
    assert said.endswith("does not belong: it began with another checkpoint, or with none")


def test_a_given_checkpoint_of_another_configuration_is_refused(world, tmp_path):
    start = released(world, tmp_path)
    wider = NETWORK.model_copy(update={"base_channels": 8})
    sentence = r"network\.base_channels is 4 in the checkpoint and 8 in the configuration"
    with pytest.raises(CheckpointError, match=sentence):
        world.train(network=wider, start=start)


def test_maps_prepared_otherwise_than_the_checkpoints_are_refused(world, tmp_path):
    start = released(world, tmp_path)
    for path in (world.folder / "prepared").glob("*.json"):
        record = json.loads(path.read_text())
        record["provenance"]["settings"]["voxel_size"] = 2.0
        path.write_text(json.dumps(record))
    with pytest.raises(CheckpointError, match=r"preparation\.voxel_size is 1\.0 in the checkpoint"):
        world.train(start=start)


def test_a_checkpoint_that_learnt_what_is_held_out_is_refused(world, tmp_path):
    start = released(world, tmp_path)
    world.rows[1]["split"] = "test"
    world.write()
    with pytest.raises(CheckpointError, match="was trained on EMD-2, which the split holds out"):
        world.train(start=start)


def test_the_locks_digest_stands_in_the_header(world, tmp_path):
    lock = tmp_path / "dataset.lock"
    with pytest.raises(CryosamuError, match="this lock does not exist"):
        world.train(lock=lock)
    lock.write_text("{}")
    world.train(lock=lock)
    assert read_header(world.files().checkpoint).training.lock_digest == sha256_of(lock)
    world.train("without", "other_state")
    assert read_header(world.files("without").checkpoint).training.lock_digest is None
