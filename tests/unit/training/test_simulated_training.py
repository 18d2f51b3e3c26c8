"""Training on simulated maps: the same crops for any processes, resumed bit for bit, mixed."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from simulated_toys import WIDTH, helix_text, tar_of, toy, write_toys
from simulated_toys import toys as toys_of
from training_toys import NETWORK, TRAINING, World, train_until
from typer.testing import CliRunner

from cryosamu.cli.main import build_application
from cryosamu.config import PreparationSettings, SimulationSettings
from cryosamu.errors import ConfigError, CryosamuError
from cryosamu.network.checkpoint import read_header
from cryosamu.tables import SPLIT, write_table
from cryosamu.tensors import read_tensors, write_tensors
from cryosamu.training.pairs import read_training_data
from cryosamu.training.parallel import Processes
from cryosamu.training.run import TrainingFiles, run_training
from cryosamu.training.simulated.crops import SimulatedCrops
from cryosamu.training.simulated.data import read_structures, validation_pairs, with_structures
from cryosamu.training.simulated.library import read_library, write_library
from cryosamu.training.sources import CropSource, training_batch

CPU = torch.device("cpu")
SIMULATED = TRAINING.model_copy(
    update={
        "steps": 6,
        "batch_size": 4,
        "simulation": SimulationSettings(view=32, reuse=3, validation_structures=2),
    }
)


@pytest.fixture
def toys(tmp_path):
    library, tokens = write_toys(tmp_path, 6)
    return library, tokens


def structures_of(toys, held_out=2):
    return read_structures([toys[0]], [toys[1]], held_out, PreparationSettings())


def source_of(toys, settings=SIMULATED, pairs=()):
    return CropSource(pairs, SimulatedCrops(structures_of(toys), settings, CPU))


def files_of(folder, toys, name="a", **given):
    return TrainingFiles(
        split=None,
        prepared=None,
        tokens=(toys[1],),
        state=folder / f"state_{name}",
        checkpoint=folder / f"{name}.safetensors",
        history=folder / f"{name}.parquet",
        structures=(toys[0],),
        **given,
    )


def equal(one, other):
    return all(
        torch.equal(getattr(one, name), getattr(other, name))
        for name in ("density", "target", "tokens", "token_mask")
    )


def test_the_loss_knows_the_resolution_of_every_simulated_map(toys):
    simulation = SIMULATED.simulation.model_copy(
        update={"finest_resolution": 6.0, "coarsest_resolution": 6.0}
    )
    settings = SIMULATED.model_copy(update={"embedding_dropout": 1.0, "simulation": simulation})
    batch = training_batch(source_of(toys, settings), settings, 0)
    assert batch.resolution.isnan().all()
    assert batch.detail.tolist() == pytest.approx([6.0] * 4)


def test_crops_follow_from_seed_step_and_place_alone(toys):
    one = source_of(toys)
    batches = [training_batch(one, SIMULATED, step) for step in range(8)]
    # Another process that begins at the end, and one that went to and fro.
    assert equal(training_batch(source_of(toys), SIMULATED, 7), batches[7])
    assert equal(training_batch(one, SIMULATED, 2), batches[2])
    assert not torch.equal(batches[0].density, batches[1].density)
    other = SIMULATED.model_copy(update={"seed": 99})
    assert not torch.equal(
        training_batch(source_of(toys, other), other, 0).density, batches[0].density
    )


@pytest.mark.parametrize("size", [2, 3])
def test_all_processes_together_take_the_same_crops(toys, size):
    whole = training_batch(source_of(toys), SIMULATED, 4)
    for rank in range(size):
        share = training_batch(source_of(toys), SIMULATED, 4, Processes(rank, size))
        assert torch.equal(share.density, whole.density[rank::size])
        assert torch.equal(share.token_mask, whole.token_mask[rank::size])


def test_a_map_serves_as_many_steps_as_the_settings_say(toys, monkeypatch):
    source = source_of(toys)
    made = []
    real = source.simulated._make
    monkeypatch.setattr(source.simulated, "_make", lambda keys: made.extend(keys) or real(keys))
    for step in range(6):
        training_batch(source, SIMULATED, step)
    assert len(made) == len(set(made))
    for place in range(4):
        assert 2 <= sum(key[1] == place for key in made) <= 3


def test_simulated_and_real_crops_are_mixed_as_the_settings_say(toys, world):
    files = world.files()
    pairs = read_training_data(files.split, files.prepared, files.tokens).train
    never = SIMULATED.model_copy(
        update={"simulation": SIMULATED.simulation.model_copy(update={"share": 0.0})}
    )
    mixed = source_of(toys, SIMULATED, pairs)
    only = source_of(toys)
    real = CropSource(pairs)
    simulated = 0
    for step in range(12):
        batch = training_batch(mixed, SIMULATED, step)
        ours = training_batch(only, SIMULATED, step)
        theirs = training_batch(real, SIMULATED, step)
        for place in range(4):
            is_ours = torch.equal(batch.density[place], ours.density[place])
            assert is_ours or torch.equal(batch.density[place], theirs.density[place])
            simulated += is_ours
    assert 12 <= simulated <= 36
    assert equal(
        training_batch(source_of(toys, never, pairs), never, 3), training_batch(real, never, 3)
    )


def test_a_run_stopped_and_resumed_is_one_that_was_not(tmp_path, toys, monkeypatch):
    run_training(files_of(tmp_path, toys, "whole"), NETWORK, SIMULATED, lambda _text: None)
    world = World(tmp_path)

    def train(name, training):
        run_training(files_of(tmp_path, toys, "stopped"), NETWORK, training, lambda _text: None)

    monkeypatch.setattr(world, "train", train)
    train_until(world, monkeypatch, 4, SIMULATED)
    said = []
    run_training(files_of(tmp_path, toys, "stopped"), NETWORK, SIMULATED, said.append)
    assert any("resuming at step 3" in text for text in said)
    for suffix in (".safetensors", ".parquet"):
        whole, stopped = ((tmp_path / name).with_suffix(suffix) for name in ("whole", "stopped"))
        assert whole.read_bytes() == stopped.read_bytes()


def test_a_checkpoint_says_what_it_was_trained_on_and_not(tmp_path, toys):
    settings = SIMULATED.model_copy(update={"steps": 3})
    run_training(files_of(tmp_path, toys), NETWORK, settings, lambda _text: None)
    header = read_header(tmp_path / "a.safetensors")
    record = header.training.structures
    assert len(record["structures"]) == 4
    assert sorted(record["structures"] + record["validation_structures"]) == [
        f"T{number:02d}" for number in range(6)
    ]
    assert header.training.validation_pairs == tuple(record["validation_structures"])
    assert record["left_out"][0]["name"] == "GONE"
    assert record["evaluated"] == ["judged"]
    assert header.embedding_width == WIDTH
    assert "simulated from 4 atomic structures" in " ".join(header.notes)


def test_real_maps_judge_where_there_are_any(tmp_path, toys):
    world = World(tmp_path).add(1, "validation")
    files = replace(world.files(), structures=(toys[0],), tokens=(world.files().tokens[0], toys[1]))
    settings = SIMULATED.model_copy(update={"steps": 2})
    run_training(files, NETWORK, settings, lambda _text: None)
    training = read_header(files.checkpoint).training
    assert training.training_pairs == ()
    assert training.validation_pairs == ("EMD-1",)
    assert len(training.structures["structures"]) == 4


def test_a_structure_whose_map_is_held_out_is_not_learnt_from(tmp_path, toys):
    world = World(tmp_path).add(1, "train").add(2, "validation")
    learnt = structures_of(toys).train[0].name
    world.rows[1]["split"] = "test"
    world.write()
    files = replace(world.files(), structures=(toys[0],), tokens=(world.files().tokens[0], toys[1]))
    run_training(files, NETWORK, SIMULATED.model_copy(update={"steps": 1}), lambda _text: None)
    world.rows[1]["pdb_id"] = learnt.lower()
    write_table(files.split, pd.DataFrame(world.rows), SPLIT)
    with pytest.raises(CryosamuError, match=f"hold {learnt}, models of pairs that the split holds"):
        run_training(files, NETWORK, SIMULATED, lambda _text: None)


def test_names_that_say_more_than_the_pdb_id_are_held_out_too(tmp_path, toys):
    files = World(tmp_path).add(1, "train").add(2, "test").files()
    pairs = read_training_data(files.split, files.prepared, files.tokens)
    structures = [*toys_of(5), toy("2ABC_TARGET")]
    write_library(toys[0], structures, {})
    tensors, header = read_tensors(toys[1])
    for kind in ("tokens", "mask"):
        tensors[f"2ABC_TARGET/{kind}"] = tensors.pop(f"T05/{kind}")
    write_tensors(toys[1], tensors, header)
    with pytest.raises(CryosamuError, match="hold 2ABC_TARGET, models of pairs"):
        with_structures(pairs, [toys[0]], [toys[1]], SIMULATED, PreparationSettings())


def test_other_tokens_are_another_training(tmp_path, toys):
    before = structures_of(toys)
    tensors, header = read_tensors(toys[1])
    name = before.train[0].name
    tensors[f"{name}/tokens"][0] += 1
    write_tensors(toys[1], tensors, header)
    after = structures_of(toys)
    changed = [one.name for one in before.train if before.digest(one) != after.digest(one)]
    assert changed == [name]


def test_pairs_named_by_half_are_refused(tmp_path, toys, world):
    for given in ({"split": world.files().split}, {"prepared": world.files().prepared}):
        files = replace(files_of(tmp_path, toys), **given)
        with pytest.raises(ConfigError, match="--split and --prepared belong together"):
            run_training(files, NETWORK, SIMULATED, lambda _text: None)


def test_validation_maps_are_the_same_whatever_else_is_held_out(toys):
    settings = SIMULATED.model_copy(
        update={"simulation": SIMULATED.simulation.model_copy(update={"neighbours": 0.0})}
    )
    two, three = (validation_pairs(structures_of(toys, count), settings) for count in (2, 3))
    kept = {pair.emdb_id: pair.voxels for pair in three}
    assert len(three) == 3
    for pair in two:
        assert np.array_equal(pair.voxels, kept[pair.emdb_id])
        assert pair.voxels.dtype == np.float16
        assert pair.voxels.shape == (2, 32, 32, 32)


def test_what_cannot_be_trained_on_is_refused(tmp_path, toys, world):
    with pytest.raises(CryosamuError, match="cannot be trained on with 6 held out"):
        structures_of(toys, 6)
    with pytest.raises(CryosamuError, match="tokens lack T00 and 5 others"):
        read_structures([toys[0]], [world.files().tokens[0]], 1, PreparationSettings())
    with pytest.raises(CryosamuError, match="in another file of structures too"):
        read_structures([toys[0], toys[0]], [toys[1]], 1, PreparationSettings())
    large = SIMULATED.model_copy(update={"crop": 48})
    with pytest.raises(ConfigError, match=r"training\.simulation\.view"):
        SimulatedCrops(structures_of(toys), large, CPU)
    nothing = replace(files_of(tmp_path, toys), structures=())
    with pytest.raises(ConfigError, match="--structures"):
        run_training(nothing, NETWORK, SIMULATED, lambda _text: None)


def test_packing_leaves_out_what_resembles_the_evaluated(tmp_path):
    random = np.random.default_rng(1)
    first, second = ("".join(random.choice(list("AEKLSG"), 60)) for _ in range(2))
    archive = tar_of(
        tmp_path / "models.tar.gz",
        {
            "same.pdb": helix_text([first]),
            "part.pdb": helix_text([first[10:40]]),
            "other.pdb": helix_text([second]),
            "broken.pdb": "nothing",
        },
    )
    evaluated = tmp_path / "evaluated"
    evaluated.mkdir()
    (evaluated / "judged.pdb").write_text(helix_text([first]))
    output = tmp_path / "packed.safetensors"
    given = ["structures", "pack", str(archive), "--leave-out", str(evaluated), "-o", str(output)]
    result = CliRunner().invoke(build_application(), given, catch_exceptions=False)
    assert result.exit_code == 0
    library = read_library(output)
    assert [one.name for one in library.structures] == ["OTHER"]
    reasons = {one["name"]: one["reason"] for one in library.about["left_out"]}
    assert set(reasons) == {"SAME", "PART", "BROKEN"}
    assert reasons["SAME"] == "chain 1 is 100% identical to chain A of judged"
    assert library.about["evaluated"] == ["judged"]


def test_leaving_out_by_nothing_is_refused(tmp_path):
    (tmp_path / "model.pdb").write_text(helix_text(["AKELASGKLAEA"]))
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    output = tmp_path / "packed.safetensors"
    given = ["structures", "pack", str(tmp_path / "model.pdb"), "-o", str(output)]
    result = CliRunner().invoke(build_application(), [*given, "--leave-out", str(nothing)])
    assert "nothing: has no protein chain to leave out by" in str(result.exception)
    assert not output.exists()
