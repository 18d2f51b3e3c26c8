"""Batches made ahead, in parts and in shares; crops changed at random."""

import threading
import time

import numpy as np
import pytest
import scipy.fft
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from training_toys import TRAINING

from cryosamu.config import AugmentationSettings
from cryosamu.training.augmentation import augmented, refiltered
from cryosamu.training.loader import prefetched
from cryosamu.training.pairs import read_training_data
from cryosamu.training.parallel import Processes
from cryosamu.training.sources import CropSource, training_batch

BATCH_OF_SIX = TRAINING.model_copy(update={"batch_size": 6})


@pytest.fixture
def pairs(world):
    files = world.files()
    return read_training_data(files.split, files.prepared, files.tokens).train


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_batches_come_in_order_whoever_made_them(workers):
    def make(step):
        time.sleep(0.003 * (step % 3))
        return step, threading.current_thread() is threading.main_thread()

    made = list(prefetched(make, range(5, 25), workers))
    assert [step for step, _ in made] == list(range(5, 25))
    assert {here for _, here in made} == {workers == 0}


def test_workers_run_ahead_but_not_far():
    asked = []
    batches = prefetched(lambda step: asked.append(step) or step, range(1000), 2)
    next(batches)
    time.sleep(0.05)
    assert len(asked) == 5
    batches.close()
    assert threading.active_count() == 1 or not [
        thread for thread in threading.enumerate() if thread.name.startswith("crops")
    ]


def test_a_workers_error_reaches_the_training():
    def make(step):
        if step == 3:
            raise ValueError("broken")
        return step

    with pytest.raises(ValueError, match="broken"):
        list(prefetched(make, range(9), 2))


def test_the_number_of_workers_does_not_change_a_run(world):
    world.train("none", "state_of_none")
    more = TRAINING.model_copy(update={"workers": 3})
    world.train("three", "state_of_three", training=more)
    first, second = world.outputs("none"), world.outputs("three")
    assert first[1] == second[1]
    states = [next((world.folder / f"state_of_{n}").iterdir()).name for n in ("none", "three")]
    assert states[0] == states[1]


@pytest.mark.parametrize("size", [2, 3, 4])
def test_the_shares_of_several_processes_are_the_batch_of_one(pairs, size):
    whole = training_batch(CropSource(pairs), BATCH_OF_SIX, 4)
    for rank in range(size):
        share = training_batch(CropSource(pairs), BATCH_OF_SIX, 4, Processes(rank, size))
        assert torch.equal(share.density, whole.density[rank::size])
        assert torch.equal(share.target, whole.target[rank::size])
        assert torch.equal(share.token_mask, whole.token_mask[rank::size])


def test_the_parts_of_a_batch_are_the_batch(pairs):
    batch = training_batch(CropSource(pairs), BATCH_OF_SIX, 1)
    for count, sizes in ((1, [6]), (2, [3, 3]), (4, [2, 2, 2]), (9, [1] * 6)):
        parts = batch.parts(count)
        assert [len(part.density) for part in parts] == sizes
        assert torch.equal(torch.cat([part.tokens for part in parts]), batch.tokens)
        assert torch.equal(torch.cat([part.density for part in parts]), batch.density)


def test_changes_are_of_the_map_alone_and_off_by_default(pairs):
    plain = training_batch(CropSource(pairs), TRAINING, 3)
    jitter = AugmentationSettings(intensity=0.3, b_factor=60)
    changing = TRAINING.model_copy(update={"augmentation": jitter})
    changed = training_batch(CropSource(pairs), changing, 3)
    assert torch.equal(plain.target, changed.target)
    assert (plain.density - changed.density).abs().max() > 0.01
    assert 0 <= changed.density.min() <= changed.density.max() <= 1
    assert TRAINING.augmentation == AugmentationSettings(intensity=0, b_factor=0)


@pytest.mark.parametrize("b_factor", [40.0, 120.0])
def test_a_b_factor_blurs_as_its_gaussian_does(b_factor):
    # exp(-B s²/4) is the transform of a Gaussian with σ² = B / 8π².
    random = np.random.default_rng(0)
    cube = gaussian_filter(random.random((24, 24, 24)), 2).astype(np.float32)
    voxel_size = 1.2
    sigma = np.sqrt(b_factor / (8 * np.pi**2)) / voxel_size
    wanted = gaussian_filter(cube.astype(float), sigma, mode="reflect", truncate=6)
    wanted = (wanted - wanted.mean()) * (cube.std() / wanted.std()) + cube.mean()
    found = refiltered(torch.from_numpy(cube), b_factor, voxel_size).numpy()
    assert np.abs(found - wanted).max() < 1e-2 * cube.std()
    assert np.abs(cube - wanted).max() > 0.2 * cube.std()


def test_sharpening_undoes_blurring():
    random = np.random.default_rng(1)
    cube = gaussian_filter(random.random((32, 32, 32)), 2).astype(np.float32)
    back = refiltered(refiltered(torch.from_numpy(cube), 30.0, 1.0), -30.0, 1.0)
    assert np.abs(back.numpy() - cube).max() < 1e-3 * cube.std()


@pytest.mark.parametrize(
    ("shape", "voxel_size", "b_factor"),
    [((48, 48, 48), 1.0, -60.0), ((16, 20, 13), 1.0, 60.0), ((24, 24, 24), 3.0, -150.0)],
    ids=["sharper", "uneven", "coarse"],
)
def test_no_wave_is_left_out_and_none_beyond_four_angstrom_grows(shape, voxel_size, b_factor):
    """Against scipy's whole cosine transform, on noise: every coefficient has power."""
    cube = np.random.default_rng(2).random(shape).astype(np.float32)
    axes = [np.arange(edge) / (2 * edge * voxel_size) for edge in shape]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    gain = np.exp(-b_factor / 4 * np.minimum(z**2 + y**2 + x**2, 1 / 16))
    wanted = scipy.fft.idctn(scipy.fft.dctn(cube.astype(float), norm="ortho") * gain, norm="ortho")
    wanted = (wanted - wanted.mean()) * (cube.std() / wanted.std()) + cube.mean()
    found = refiltered(torch.from_numpy(cube), b_factor, voxel_size).numpy()
    np.testing.assert_allclose(found, wanted, atol=2e-5)
    assert np.abs(cube - wanted).max() > 0.05


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), intensity=st.floats(0, 1), b_factor=st.floats(0, 200))
def test_a_changed_crop_stays_a_normalised_map(seed, intensity, b_factor):
    random = np.random.default_rng(seed)
    cube = random.random((12, 12, 12)).astype(np.float16)
    limits = AugmentationSettings(intensity=intensity, b_factor=b_factor)
    found = augmented(cube, limits, 1.0, random)
    assert found.dtype == np.float16
    assert found.shape == cube.shape
    assert 0 <= found.min() <= found.max() <= 1
    empty = np.zeros((12, 12, 12), np.float16)
    assert not augmented(empty, limits, 1.0, random).any()
