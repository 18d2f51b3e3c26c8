"""Whole runs: what they leave, finished, continued, begun anew."""

import json

import numpy as np
import pytest
import torch
from training_toys import NETWORK, TRAINING, state_file, train_until

import cryosamu.training.loop as loop
from cryosamu.errors import CheckpointError, ConfigError
from cryosamu.files import sha256_of
from cryosamu.network.checkpoint import load_checkpoint, read_header
from cryosamu.tables import HISTORY, read_table
from cryosamu.tensors import read_tensors, write_tensors
from cryosamu.training.crops import validation_crops
from cryosamu.training.pairs import read_training_data
from cryosamu.training.validation import Validation


def test_what_a_run_leaves(world):
    assert world.train() == ["training from scratch"]
    files = world.files()
    history = read_table(files.history, HISTORY)
    losses = history[(history.split == "validation") & (history.metric == "loss")]
    assert list(losses.step) == [0, 3, 6, 9, 12]
    assert {"loss_with_structure", "loss_without_structure", "loss_of_input"} <= {*history.metric}
    trained = history[history.split == "train"].pivot(
        index="step", columns="metric", values="value"
    )
    assert list(trained.index) == [3, 6, 9, 12]
    assert (trained[["loss", "gradient_norm"]] > 0).all(axis=None)
    _, header = load_checkpoint(files.checkpoint)
    assert header.network == NETWORK
    assert header.embedding.backend == "protein_mpnn"
    assert header.embedding.pooling.tokens == 5
    assert header.weights_fingerprint == "ab12"
    assert header.training.best_step == losses.step[losses.value.idxmin()]
    assert header.training.metrics["loss"] == losses.value.min()
    assert header.training.training_pairs == ("EMD-1", "EMD-2")
    assert header.training.validation_pairs == ("EMD-3",)
    assert header.notes == ("2 of the 2 training maps were simulated from models.",)
    assert not list((world.folder / "state").glob("*/state.safetensors"))
    latest = json.loads((world.folder / "state" / "latest.json").read_text())
    kept = world.folder / "state" / latest["checkpoint"]
    assert kept.parent.name == latest["digest"]
    assert sha256_of(kept) == sha256_of(files.checkpoint)


def test_a_checkpoint_says_where_and_in_what_numbers_it_was_computed(world, monkeypatch):
    training = TRAINING.model_copy(update={"precision": "bfloat16"})
    train_until(world, monkeypatch, 4, training)
    tensors, state = read_tensors(state_file(world))
    here = {"device": "cpu", "precision": "bfloat16"}
    assert state["computed_on"] == [here]
    elsewhere = {"device": "NVIDIA H200", "precision": "bfloat16"}
    write_tensors(state_file(world), tensors, state | {"computed_on": [elsewhere]})
    world.train(training=training)
    assert read_header(world.files().checkpoint).training.computed_on == (elsewhere, here)


def test_the_losses_mix_as_the_training_does(world):
    world.train()
    history = read_table(world.files().history, HISTORY)
    last = history[history.step == 12].set_index("metric").value
    validation = last.drop("loss")
    mixed = 0.7 * validation.loss_with_structure + 0.3 * validation.loss_without_structure
    assert read_header(world.files().checkpoint).training.steps == 12
    assert last["loss"].iloc[-1] == pytest.approx(mixed)


def test_a_training_may_be_judged_by_correlation(world):
    world.train(training=TRAINING.model_copy(update={"validate_by": "correlation"}))
    history = read_table(world.files().history, HISTORY)
    rows = history[history.split == "validation"].set_index(["step", "metric"]).value.unstack()
    for condition in ("with_structure", "without_structure"):
        assert rows[f"loss_{condition}"].to_numpy() == pytest.approx(
            1 - rows[f"correlation_{condition}"].to_numpy()
        )
    assert rows.loss_of_input[0] == pytest.approx(1 - rows.correlation_of_input[0])
    best = read_header(world.files().checkpoint).training
    assert best.best_step == rows.loss.idxmin()


def test_a_training_may_be_judged_by_what_shows_at_the_maps_resolution(world):
    """The input's loss by numpy: crops of the validation pair, both sides without finer detail."""
    training = TRAINING.model_copy(update={"validate_by": "low_pass_correlation"})
    files = world.files()
    data = read_training_data(files.split, files.prepared, files.tokens)
    validation = Validation(data.validation, training, torch.device("cpu"))
    found = validation.measure_input()
    frequency = np.fft.fftfreq(16)
    s = np.sqrt(sum(np.meshgrid(*[frequency**2] * 3, indexing="ij")))
    # 5 Å in voxels of 1 Å, a cosine edge from 0.9 to 1.1 of that frequency, 4 voxels of rim.
    gain = 0.5 + 0.5 * np.cos(np.pi * np.clip((5 * s - 0.9) / 0.2, 0, 1))
    losses = []
    for cube in validation_crops(data.validation[0], training, 4):
        both = np.fft.ifftn(np.fft.fftn(cube.astype(float), axes=(1, 2, 3)) * gain, axes=(1, 2, 3))
        inner = both.real[:, 4:12, 4:12, 4:12].reshape(2, -1)
        losses.append(1 - np.corrcoef(inner)[0, 1])
    assert found["loss_of_input"] == pytest.approx(np.mean(losses), abs=1e-5)
    assert found["loss_of_input"] < 1 - found["correlation_of_input"]


def test_the_learning_rate_falls_when_validation_stands_still(world, monkeypatch):
    monkeypatch.setattr(
        Validation, "measure", lambda self, network, stop: {"validation": {"loss": 0.5}}
    )
    world.train()
    history = read_table(world.files().history, HISTORY)
    losses = history[(history.split == "validation") & (history.metric == "loss")]
    # Patience 1: the rate is halved after the second validation without progress.
    assert list(losses.learning_rate) == [2e-3, 2e-3, 2e-3, 1e-3, 1e-3]


def test_a_finished_run_writes_its_outputs_again(world, monkeypatch):
    world.train()
    first = world.outputs()
    for path in (world.files().checkpoint, world.files().history):
        path.unlink()
    monkeypatch.setattr(loop, "take_step", None)
    assert world.train() == ["this training is finished: nothing to train"]
    assert world.outputs() == first


def test_name_and_device_of_a_run_do_not_make_it_another(world):
    world.train()
    other = TRAINING.model_copy(update={"run": "other", "device": "auto"})
    assert world.train(training=other) == ["this training is finished: nothing to train"]


def test_new_pairs_continue_from_the_last_checkpoint(world, monkeypatch):
    world.train()
    parent = sha256_of(world.files().checkpoint)
    parent_training = read_header(world.files().checkpoint).training
    world.add(4, "train")
    world.train("whole", "state")
    outputs = world.outputs("whole")
    header = read_header(world.files("whole").checkpoint)
    assert header.training.steps == TRAINING.update_steps
    assert header.training.training_pairs == ("EMD-1", "EMD-2", "EMD-4")
    assert header.training.lineage == (
        {
            "checkpoint": parent,
            "steps": TRAINING.steps,
            "best_step": parent_training.best_step,
            "computed_on": [{"device": "cpu", "precision": "float32"}],
            "metrics": parent_training.metrics,
            "training_pairs": 2,
            "learnt": ["EMD-1", "EMD-2"],
        },
    )
    # The validation of step 0 is of the parent's weights, on the very crops it was chosen by.
    history = read_table(world.files("whole").history, HISTORY)
    start = history[(history.step == 0) & (history.metric == "loss")]
    parents = read_header(world.files().checkpoint).training.metrics["loss"]
    assert dict(zip(start.split, start.value, strict=True)) == {
        "validation": parents,
        "former_validation": parents,
    }
    world.add(5, "train").add(6, "train")
    said = world.train("third")
    child = sha256_of(world.files("whole").checkpoint)
    assert said[0] == f"continuing from checkpoint {child[:12]} with 2 new pairs"
    lineage = read_header(world.files("third").checkpoint).training.lineage
    assert [ancestor["checkpoint"] for ancestor in lineage] == [parent, child]
    assert outputs == world.outputs("whole")


def test_a_pair_that_is_gone_is_said(world):
    world.add(4, "train").train()
    checkpoint = sha256_of(world.files().checkpoint)
    world.rows.pop()
    world.write()
    sentence = f"continuing from checkpoint {checkpoint[:12]} with 0 new pairs and without 1 former"
    assert world.train()[0] == f"{sentence} ones"


def test_what_was_learnt_from_is_not_continued_once_it_is_held_out(world):
    world.train()
    latest = json.loads((world.folder / "state" / "latest.json").read_text())["digest"]
    world.rows[1]["split"] = "test"
    world.write()
    assert world.train() == [
        f"training from scratch; the finished run {latest} learnt from EMD-2, now held out"
    ]


def test_what_a_grandparent_learnt_from_is_not_forgotten_once_it_is_held_out(world):
    world.add(4, "train").train()
    gone = world.rows.pop()
    world.write()
    assert "without 1 former" in world.train("b")[0]
    world.rows.append({**gone, "split": "test"})
    world.write()
    refusal = "was trained on EMD-4, which the split holds out"
    with pytest.raises(CheckpointError, match=refusal):
        world.train("c")
    with pytest.raises(CheckpointError, match=refusal):
        world.train("d", "other_state", start=world.files("b").checkpoint)
    (said,) = world.add(5, "train").train("e")
    assert said.startswith("training from scratch; the finished run ")
    assert said.endswith(" learnt from EMD-4, now held out")


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (
            {"training": TRAINING.model_copy(update={"learning_rate": 1e-3})},
            "training.learning_rate was 0.002 and is 0.001",
        ),
        (
            {"training": TRAINING.model_copy(update={"update_steps": 5})},
            "training.update_steps was 4 and is 5",
        ),
        (
            {"network": NETWORK.model_copy(update={"multipliers": (1, 3)})},
            "network.multipliers was [1, 2] and is [1, 3]",
        ),
    ],
    ids=["rate", "update", "network"],
)
def test_other_settings_begin_anew(world, change, difference):
    world.train()
    latest = json.loads((world.folder / "state" / "latest.json").read_text())["digest"]
    world.add(4, "train")
    assert world.train("b", **change) == [
        f"training from scratch; the finished run {latest} at hand does not belong: {difference}"
    ]


def test_the_nearest_run_at_hand_is_the_one_that_is_told_of(world, monkeypatch):
    far = TRAINING.model_copy(update={"learning_rate": 1e-3, "seed": 6, "crop": 24, "steps": 3})
    world.train("far", training=far)
    train_until(world, monkeypatch, 4)
    unfinished = state_file(world).parent.name
    near = TRAINING.model_copy(update={"weight_decay": 0.5, "steps": 3})
    (said,) = world.train("near", training=near)
    assert said == (
        f"training from scratch; the unfinished run {unfinished} at hand does not belong: "
        "training.steps was 12 and is 3, training.weight_decay was 0.01 and is 0.5"
    )


def test_an_unfinished_run_on_other_maps_is_told_of(world, monkeypatch):
    train_until(world, monkeypatch, 4)
    world.add(4, "train")
    (said,) = world.train()
    assert said.endswith("at hand does not belong: it learns from, or is judged by, other maps")


def test_other_code_begins_anew(world, monkeypatch):
    world.train()
    monkeypatch.setattr("cryosamu.training.identity.code_digest", lambda modules: "changed")
    (said,) = world.train()
    assert said.endswith("at hand does not belong: the code of network and training has changed")


def test_without_validation_pairs_it_says_what_the_checkpoint_was_chosen_by(world):
    world.rows.pop()
    world.write()
    said = world.train()
    assert said[0] == "training from scratch"
    assert said[1].startswith("No pair is in the validation split")
    assert read_header(world.files().checkpoint).notes[1] == said[1]


def test_a_changed_checkpoint_is_not_built_upon(world):
    world.train()
    (kept,) = (world.folder / "state").glob("*/checkpoint.safetensors")
    kept.write_bytes(kept.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="is not the checkpoint that the training finished"):
        world.train()
    world.add(4, "train")
    with pytest.raises(CheckpointError, match="is not the checkpoint that the training finished"):
        world.train()


def test_a_crop_that_the_stride_does_not_divide_is_refused(world):
    training = TRAINING.model_copy(update={"crop": 24})
    network = NETWORK.model_copy(update={"multipliers": (1, 1, 1, 1, 1)})
    with pytest.raises(ConfigError, match=r"'training\.crop' is 24; .* multiple of 16"):
        world.train(network=network, training=training)


def test_the_random_numbers_of_the_caller_are_left_alone(world):
    state = torch.get_rng_state()
    world.train()
    assert torch.equal(torch.get_rng_state(), state)
