import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_networks import WIDTH, Known, header_of, random_network

from cryosamu.config import EnhancementSettings
from cryosamu.enhancement.whole_map import enhance
from cryosamu.errors import CheckpointError, ConfigError, CryosamuError, MapError
from cryosamu.volume.io import read_map, write_map
from cryosamu.volume.volume import FileFrame, Volume

CPU = EnhancementSettings(device="cpu")
SMALL_WINDOWS = EnhancementSettings(device="cpu", window=32, margin=8)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def smooth_positive(shape, voxel_size=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0), frame=None):
    """1 + ten slow waves of small amplitude: positive, and within the band of any grid here."""
    rng = np.random.default_rng(1)
    grids = np.meshgrid(*[np.arange(n) / n for n in shape], indexing="ij")
    data = np.full(shape, 5.0)
    for _ in range(10):
        waves = rng.integers(-2, 3, 3)
        phase = sum(w * g for w, g in zip(waves, grids, strict=True)) + rng.uniform()
        data += 0.4 * np.cos(2 * np.pi * phase)
    return Volume(data.astype(np.float32), voxel_size, origin, frame)


def noise(shape, voxel_size=(1.0, 1.0, 1.0)):
    data = np.random.default_rng(2).normal(size=shape).astype(np.float32)
    return Volume(data, voxel_size, (3.0, -4.0, 5.0))


@given(
    shape=st.tuples(*[st.integers(12, 40)] * 3),
    voxel_size=st.tuples(*[st.floats(0.5, 2.9)] * 3),
    window=st.sampled_from([32, 64]),
)
@settings(max_examples=30, deadline=None)
def test_a_network_that_changes_nothing_gives_back_the_map(shape, voxel_size, window):
    """To the working grid, cut into windows, and back, in the map's own units."""
    volume = smooth_positive(shape, voxel_size, origin=(-3.0, 70.0, 9.0))
    if min(volume.box) < 8:  # fewer than 8 working voxels cannot hold the waves
        return
    enhanced = enhance(
        volume, Known(lambda density: density), header_of(percentile=100.0),
        settings=EnhancementSettings(device="cpu", window=window, margin=8), progress=False,
    ).volume  # fmt: skip
    # The largest voxel of the working grid is the scale and stays; nothing is clipped.
    assert np.abs(enhanced.data - volume.data).max() < 2e-5 * volume.data.max()
    assert enhanced.voxel_size == volume.voxel_size
    assert enhanced.origin == volume.origin


def test_values_come_back_in_the_maps_own_units():
    volume = noise((30, 30, 30))
    header = header_of()
    plain = enhance(volume, Known(lambda d: 0.5 * d), header, settings=CPU).volume
    scaled = volume.with_data(volume.data * 1e-4)
    assert np.allclose(
        enhance(scaled, Known(lambda d: 0.5 * d), header, settings=CPU).volume.data,
        plain.data * 1e-4, atol=1e-9,
    )  # fmt: skip
    # 1 Å voxels: the working grid is the map's own, so the answer is half of the clipped map.
    positive = volume.data[volume.data > 0]
    limit = np.percentile(positive, 99.999)
    assert np.allclose(plain.data, 0.5 * np.clip(volume.data, 0, limit), atol=1e-6)


@given(
    axes=st.permutations([1, 2, 3]).map(tuple),
    nstart=st.tuples(*[st.integers(-99, 99)] * 3),
    origin=st.sampled_from([(0.0, 0.0, 0.0), (10.5, -3.25, 0.0)]),
    labels=st.lists(st.sampled_from(["first", "second"]), max_size=9),
)
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_frame_of_the_file_is_kept(tmp_path, axes, nstart, origin, labels):
    frame = FileFrame(
        axis_order=axes, nstart=nstart, origin=origin, sampling=(40, 30, 60),
        cell=(60.0, 30.0, 72.0), space_group=1, labels=tuple(labels),
    )  # fmt: skip
    write_map(tmp_path / "in.mrc", smooth_positive((9, 13, 11), (1.5, 1.0, 1.2), frame=frame), "x")
    volume = read_map(tmp_path / "in.mrc")
    enhanced = enhance(volume, Known(lambda d: 1 - d), header_of(), settings=CPU).volume
    assert enhanced.frame == volume.frame
    assert (enhanced.shape, enhanced.voxel_size) == (volume.shape, volume.voxel_size)
    assert enhanced.origin == volume.origin


def local_mean(density):
    return F.avg_pool3d(density, 3, 1, 1)


@pytest.mark.parametrize("shape", [(50, 40, 33), (64, 8, 70), (36, 36, 36)])
def test_windows_of_a_local_network_give_the_whole_maps_answer(shape):
    volume, cut = noise(shape), Known(local_mean)
    whole = enhance(volume, Known(local_mean), header_of(), settings=CPU)
    windows = enhance(volume, cut, header_of(), settings=SMALL_WINDOWS)
    assert whole.record["windows"]["count"] == 1
    assert windows.record["windows"]["count"] == len(cut.shapes) > 1
    assert np.abs(windows.volume.data - whole.volume.data).max() < 1e-5


def test_windows_of_the_compact_network_give_the_whole_maps_answer():
    """Its reach with two levels is 12 voxels; a margin of 16 makes windows exact."""
    volume, network = noise((72, 40, 40)), random_network()
    assert network.margin <= 16
    whole = enhance(volume, network, header_of(), settings=CPU).volume.data
    cut = enhance(
        volume, network, header_of(),
        settings=EnhancementSettings(device="cpu", window=40, margin=16),
    )  # fmt: skip
    assert cut.record["windows"]["count"] > 1
    assert np.abs(whole - volume.data).std() > 0.01  # it does something
    assert np.abs(cut.volume.data - whole).max() < 1e-4 * whole.std()


def test_a_network_that_sees_its_window_is_blended():
    """Each window answers with the mean over itself: cut, the answer would jump."""

    def window_mean(density):
        return density.mean() + 0 * density

    slope = np.broadcast_to(np.arange(1, 81, dtype=np.float32)[:, None, None], (80, 24, 24))
    volume = Volume(slope.copy(), (1.0, 1.0, 1.0))
    outcomes = {}
    for consistent in (True, False):
        network = Known(window_mean, tile_consistent=consistent)
        outcomes[consistent] = enhance(volume, network, header_of(), settings=SMALL_WINDOWS)
    steps = {
        key: np.abs(np.diff(found.volume.data[:, 12, 12])).max() for key, found in outcomes.items()
    }
    assert outcomes[False].record["windows"]["blended"]
    assert not outcomes[True].record["windows"]["blended"]
    assert 0 < steps[False] < 0.2 * steps[True]


def test_structure_tokens_reach_every_window_with_their_mask():
    network = Known(lambda d: d)
    tokens, mask = torch.randn(7, WIDTH), torch.tensor([True] * 5 + [False] * 2)
    found = enhance(noise((50, 40, 40)), network, header_of(), tokens, mask, SMALL_WINDOWS)
    assert len(network.tokens) > 1
    for given_tokens, given_mask in zip(network.tokens, network.masks, strict=True):
        assert torch.equal(given_tokens, tokens[None])
        assert torch.equal(given_mask, mask[None])
    assert found.record["structure_tokens"] == 5
    alone = enhance(noise((50, 40, 40)), network, header_of(), settings=SMALL_WINDOWS)
    assert network.tokens[-1] is None
    assert alone.record["structure_tokens"] == 0


def test_structure_changes_the_answer_of_a_real_network():
    volume, network = noise((24, 24, 24)), random_network()
    tokens = torch.randn(9, WIDTH)
    alone = enhance(volume, network, header_of(), settings=CPU).volume.data
    told = enhance(volume, network, header_of(), tokens, settings=CPU).volume.data
    other = enhance(volume, network, header_of(), 2 - tokens, settings=CPU).volume.data
    assert np.abs(told - alone).max() > 1e-4
    assert np.abs(told - other).max() > 1e-4


def test_the_same_map_gives_the_same_answer():
    volume, network = noise((40, 33, 24), (1.3, 0.9, 1.1)), random_network()
    first, second = (enhance(volume, network, header_of(), settings=SMALL_WINDOWS) for _ in "ab")
    assert np.array_equal(first.volume.data, second.volume.data)
    without_times = [
        {k: v for k, v in e.record.items() if k not in ("seconds", "memory")}
        for e in (first, second)
    ]
    assert without_times[0] == without_times[1]


def test_the_network_keeps_no_gradient_and_is_in_evaluation_mode():
    network = random_network().train()
    seen = []
    network.register_forward_hook(
        lambda *_: seen.append((network.training, torch.is_grad_enabled()))
    )
    enhance(noise((16, 16, 16)), network, header_of(), settings=CPU)
    assert set(seen) == {(False, False)}


def test_real_lack_of_memory_is_one_sentence():
    network = Known(lambda density: density + torch.empty(2**50)[0])
    with pytest.raises(CryosamuError, match=r"memory does not suffice.*enhancement\.margin"):
        enhance(noise((16, 16, 16)), network, header_of(), settings=CPU)


def test_a_fault_of_the_network_is_not_called_lack_of_memory():
    def broken(density):
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        enhance(noise((16, 16, 16)), Known(broken), header_of(), settings=CPU)


def test_what_cannot_be_enhanced_is_refused():
    identity, header = Known(lambda d: d), header_of()
    flat = Volume(np.ones((9, 9, 9), np.float32), (1.0, 1.0, 1.0))
    with pytest.raises(MapError, match="constant"):
        enhance(flat, identity, header, settings=CPU)
    with pytest.raises(MapError, match="voxel size"):
        enhance(noise((9, 9, 9), (1.0, 1.0, 40.0)), identity, header, settings=CPU)
    with pytest.raises(CheckpointError, match="NaN"):
        enhance(noise((9, 9, 9)), Known(lambda d: d / 0), header, settings=CPU)
    for device, words in (("cuda:99", "cuda:99"), ("gpu", "'gpu'"), ("mps", "mps")):
        with pytest.raises(ConfigError, match=words):
            enhance(noise((9, 9, 9)), identity, header, settings=EnhancementSettings(device=device))
    strict = EnhancementSettings(device="cpu", window=56, margin=24)
    with pytest.raises(ConfigError, match="needs windows of 64 or more"):
        enhance(noise((9, 9, 9)), Known(lambda d: d, stride=16), header, settings=strict)


@pytest.mark.parametrize("resolution", [None, 6.5])
def test_the_network_is_told_the_resolution_if_it_is_known(resolution):
    network = Known(lambda density: density)
    volume = noise((24, 24, 24))
    enhance(volume, network, header_of(), settings=CPU, progress=False, resolution=resolution)
    told = [None if one is None else one.tolist() for one in network.resolutions]
    assert told == [None if resolution is None else [6.5]]
