"""Pairs, crops and batches."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from training_toys import TRAINING, WIDTH, blobs

from cryosamu.errors import CryosamuError
from cryosamu.tables import SPLIT, write_table
from cryosamu.training.crops import (
    ROTATIONS,
    _turned,
    make_batch,
    random_crop,
    validation_crops,
)
from cryosamu.training.pairs import read_training_data
from cryosamu.training.sources import CropSource, training_batch


def read(world):
    files = world.files()
    return read_training_data(files.split, files.prepared, files.tokens)


def refusal(world):
    with pytest.raises(CryosamuError) as caught:
        read(world)
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


def test_the_pairs_are_those_of_the_splits(world):
    world.add(10, "test").add(9, "train")
    data = read(world)
    assert [pair.emdb_id for pair in data.train] == ["EMD-1", "EMD-2", "EMD-9"]
    assert [pair.emdb_id for pair in data.validation] == ["EMD-3"]
    assert data.held_out == {"EMD-3", "3ABC", "EMD-10", "10ABC"}
    assert data.embedding_width == WIDTH
    pair = data.train[0]
    assert isinstance(pair.voxels, np.memmap)
    np.testing.assert_array_equal(pair.voxels, blobs(1, (22, 20, 24)))
    assert pair.token_mask.tolist() == [True] * 4 + [False]


def test_pairs_and_tokens_may_lie_in_sub_folders(world):
    whole = read(world)
    prepared = world.folder / "prepared"
    for number, shard in ((1, "00"), (3, "01")):
        (prepared / shard).mkdir()
        for path in prepared.glob(f"EMD-{number}.*"):
            path.rename(prepared / shard / path.name)
    again = read(world)
    assert again.train[0].digest == whole.train[0].digest
    assert [pair.emdb_id for pair in again.validation] == ["EMD-3"]
    (prepared / "01" / "EMD-2.npy").write_bytes((prepared / "EMD-2.npy").read_bytes())
    assert "EMD-2.npy: stands in" in refusal(world)


def test_a_folder_of_tokens_may_be_in_shards(world):
    tokens = world.folder / "embed" / "07"
    tokens.mkdir(parents=True)
    first, *others = (row["pdb_id"] for row in world.rows)
    for pdb_id, folder in ((first, tokens.parent), *((one, tokens) for one in others)):
        world.write_tokens(folder / f"{pdb_id}.safetensors", [pdb_id])
    files = replace(world.files(), tokens=(tokens.parent,))
    data = read_training_data(files.split, files.prepared, files.tokens)
    assert [pair.digest for pair in data.train] == [pair.digest for pair in read(world).train]


def test_a_test_pair_needs_no_prepared_file(world):
    world.add(10, "test")
    (world.folder / "prepared" / "EMD-10.npy").unlink()
    (world.folder / "prepared" / "EMD-10.json").unlink()
    assert len(read(world).train) == 2


def test_a_pairs_digest_is_of_its_voxels_and_tokens(world):
    first = read(world).train
    assert first[0].digest != first[1].digest
    path = world.folder / "prepared" / "EMD-1.npy"
    voxels = np.load(path)
    np.save(path, voxels)
    assert read(world).train[0].digest == first[0].digest
    voxels[1, 3, 3, 3] += 1
    np.save(path, voxels)
    assert read(world).train[0].digest != first[0].digest


@pytest.mark.parametrize("suffix", [".npy", ".json"])
def test_a_missing_file_is_named(world, suffix):
    path = (world.folder / "prepared" / "EMD-2").with_suffix(suffix)
    path.unlink()
    assert str(path) in refusal(world)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is cut short or no .npy file"),
        (b"\x93NUMPY\x01\x00", "is cut short or no .npy file"),
        (b"not an array", "is cut short or no .npy file"),
    ],
)
def test_a_damaged_pair_is_named(world, content, said):
    (world.folder / "prepared" / "EMD-2.npy").write_bytes(content)
    assert said in refusal(world)


def test_a_pair_cut_short_is_named(world):
    path = world.folder / "prepared" / "EMD-2.npy"
    path.write_bytes(path.read_bytes()[:-1])
    assert "is cut short or no .npy file" in refusal(world)


@pytest.mark.parametrize(
    "array",
    [np.zeros((2, 4, 4, 4)), np.zeros((3, 4, 4, 4), np.float16), np.zeros((2, 4), np.float16)],
)
def test_an_array_of_another_kind_is_refused(world, array):
    np.save(world.folder / "prepared" / "EMD-2.npy", array)
    assert "a prepared pair is float16 [2, z, y, x]" in refusal(world)


def test_pickled_arrays_are_refused(world):
    path = world.folder / "prepared" / "EMD-2.npy"
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    assert "is cut short or no .npy file" in refusal(world)


def test_pairs_prepared_differently_are_refused(world):
    path = world.folder / "prepared" / "EMD-2.json"
    record = json.loads(path.read_text())
    record["provenance"]["settings"]["voxel_size"] = 2.0
    path.write_text(json.dumps(record))
    assert "EMD-2.json: was prepared with other settings than" in refusal(world)
    path.write_text("{}")
    assert "is not a record of 'cryosamu prepare'" in refusal(world)


def test_a_model_without_tokens_is_named(world):
    world.add(4, "train")
    world.rows.append(world.rows.pop() | {"pdb_id": "7xyz"})
    write_table(world.folder / "split.parquet", pd.DataFrame(world.rows), SPLIT)
    assert "lack 7xyz, the model of EMD-4" in refusal(world)


def test_nothing_to_learn_from_is_said(world):
    for row in world.rows:
        row["split"] = "test"
    world.write()
    assert "no pair is in the train split" in refusal(world)


def test_the_command_ends_in_a_sentence(world):
    (world.folder / "prepared" / "EMD-1.npy").unlink()
    process = world.command()
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert said.strip().endswith("this prepared pair does not exist; check the path.")
    assert not list(world.folder.glob("a.*"))


def test_the_turns_are_the_24_rotations_of_the_cube():
    group = Rotation.create_group("O").as_matrix().round().astype(int)
    wanted = {tuple(matrix.ravel()) for matrix in group}
    made = set()
    for order, reversed_axes in ROTATIONS:
        signs = [-1 if axis in reversed_axes else 1 for axis in range(3)]
        matrix = np.zeros((3, 3), int)
        for row, (axis, sign) in enumerate(zip(order, signs, strict=True)):
            matrix[row, axis] = sign
        made.add(tuple(matrix.ravel()))
    assert len(ROTATIONS) == 24
    assert made == wanted


def test_turning_keeps_handedness_and_pairs_together():
    # Three marks on a right-handed frame around the centre, the same in map and target.
    cube = np.zeros((2, 5, 5, 5), np.float16)
    for value, place in enumerate([(4, 2, 2), (2, 4, 2), (2, 2, 4)], start=1):
        cube[:, *place] = value
    seen = set()
    for seed in range(200):
        turned = _turned(cube, np.random.default_rng(seed))
        np.testing.assert_array_equal(turned[0], turned[1])
        axes = [np.argwhere(turned[0] == value)[0] - 2 for value in (1, 2, 3)]
        assert np.linalg.det(np.array(axes)) == pytest.approx(8)
        seen.add(turned.tobytes())
    assert len(seen) == 24


@settings(max_examples=50, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 30)] * 3),
    edge=st.sampled_from([8, 16]),
    seed=st.integers(0, 1000),
)
def test_a_crop_is_a_part_of_the_map_and_zero_beyond(shape, edge, seed):
    # Every voxel has its own bits, so that a part tells where it came from.
    voxels = np.arange(1, np.prod(shape) * 2 + 1, dtype=np.uint16).reshape(2, *shape)
    crop = random_crop(voxels.view(np.float16), edge, np.random.default_rng(seed)).view(np.uint16)
    assert crop.shape == (2, edge, edge, edge)
    kept = tuple(slice(0, min(edge, length)) for length in shape)
    part = crop[:, *kept]
    assert np.count_nonzero(crop) == part.size
    corner = np.argwhere(voxels[0] == part[0, 0, 0, 0])[0]
    window = (slice(start, start + one.stop) for start, one in zip(corner, kept, strict=True))
    np.testing.assert_array_equal(voxels[:, *window], part)


def test_crops_are_looked_for_where_the_target_has_density():
    # Density in one corner of a box: 1 in 27 of the crops would meet it by chance.
    voxels = np.zeros((2, 96, 96, 96), np.float16)
    voxels[:, :24, :24, :24] = 1
    random = np.random.default_rng(0)
    hits = [random_crop(voxels, 16, random)[1].any() for _ in range(300)]
    assert 0.3 < np.mean(hits) < 0.9


def test_a_batch_is_a_function_of_seed_and_step(world):
    pairs = CropSource(read(world).train)
    first, again, next_one = (training_batch(pairs, TRAINING, step) for step in (7, 7, 8))
    other = training_batch(pairs, TRAINING.model_copy(update={"seed": 6}), 7)
    assert torch.equal(first.density, again.density)
    assert torch.equal(first.token_mask, again.token_mask)
    assert not torch.equal(first.density, next_one.density)
    assert not torch.equal(first.density, other.density)
    assert first.density.shape == first.target.shape == (2, 1, 16, 16, 16)
    assert first.density.dtype == torch.float32


def test_the_structure_is_dropped_as_often_as_the_settings_say(world):
    pairs = CropSource(read(world).train)
    told = [training_batch(pairs, TRAINING, step).token_mask.any(1) for step in range(400)]
    assert torch.cat(told).float().mean() == pytest.approx(0.7, abs=0.05)
    always = TRAINING.model_copy(update={"embedding_dropout": 0.0})
    assert all(training_batch(pairs, always, step).token_mask.any(1).all() for step in range(20))


def test_each_example_has_the_tokens_of_its_own_pair(world):
    pairs = list(read(world).train)
    longer = torch.randn(8, WIDTH)
    pairs[1] = replace(pairs[1], tokens=longer, token_mask=torch.ones(8, dtype=torch.bool))
    cubes = [np.zeros((2, 8, 8, 8), np.float16)] * 2
    batch = make_batch(cubes, pairs, np.array([True, True]))
    assert torch.equal(batch.tokens[0, :5], pairs[0].tokens)
    assert torch.equal(batch.tokens[1], longer)
    assert batch.token_mask.tolist() == [[True] * 4 + [False] * 4, [True] * 8]
    assert not make_batch(cubes, pairs, np.array([False, True])).token_mask[0].any()


def test_validation_crops_of_a_pair_do_not_depend_on_the_others(world):
    pair = read(world).validation[0]
    alone = validation_crops(pair, TRAINING, 4)
    world.add(0, "validation").add(7, "validation")
    again = next(p for p in read(world).validation if p.emdb_id == pair.emdb_id)
    np.testing.assert_array_equal(alone, validation_crops(again, TRAINING, 4))
    assert len({crop.tobytes() for crop in alone}) == 4
