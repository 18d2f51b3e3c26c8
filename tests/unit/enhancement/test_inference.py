"""Windows by memory, several devices, precision, rotations, the forecast."""

import math
import re
from itertools import product

import numpy as np
import pytest
import torch
from small_networks import Known, header_of, noise, random_network

from cryosamu.config import EnhancementSettings
from cryosamu.device import choose_device, choose_devices, has_bfloat16, has_int8
from cryosamu.enhancement.inference.forecast import duration
from cryosamu.enhancement.inference.planning import Limits, limits_of, planned, predicted
from cryosamu.enhancement.inference.predictor import (
    DevicePredictor,
    chosen_precision,
)
from cryosamu.enhancement.inference.rotations import rotated, rotated_back, rotations
from cryosamu.enhancement.whole_map import enhance
from cryosamu.errors import ConfigError
from cryosamu.volume.volume import Volume

CPU = torch.device("cpu")
EXACT = EnhancementSettings(device="cpu", precision="float32")


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.mark.parametrize("consistent", [True, False])
def test_several_workers_give_the_bits_of_one(consistent):
    network = random_network().for_inference()
    network.tile_consistent = consistent
    data, limits = noise((96, 40, 40)).data, Limits(32**3, 1, 1)
    settings = EnhancementSettings(device="cpu", margin=8)
    alone = [DevicePredictor(network, CPU, torch.float32)]
    one, plan, _ = predicted(data, network, alone, settings, limits)
    team = [DevicePredictor(network, CPU, torch.float32) for _ in range(3)]
    three, _, _ = predicted(data, network, team, settings, limits)
    assert plan.count > 3
    assert np.array_equal(one, three)


def test_an_apple_gpu_is_chosen_where_there_is_no_cuda(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    for cuda, kind in ((True, "cuda"), (False, "mps")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        assert [device.type for device in choose_devices("auto")] == [kind]
    assert chosen_precision("auto", torch.device("mps"), random_network()) is torch.float32
    # Training and embedding need float64.
    assert choose_device("auto").type == "cpu"


def test_several_devices_are_named_with_commas():
    found = enhance(
        noise((64, 40, 40)), Known(lambda d: 2 * d), header_of(),
        settings=EnhancementSettings(device="cpu,cpu", margin=8, window=40),
    )  # fmt: skip
    assert found.record["windows"]["count"] % 2 == 0
    assert len(choose_devices("cpu, cpu")) == 2
    with pytest.raises(ConfigError, match="'gpu' is not a device"):
        choose_devices("cpu,gpu")


def test_two_devices_take_as_long_as_the_windows_of_one():
    """Where all fits into one window, two devices get one each."""
    plan = planned((96, 64, 64), Known(abs), EXACT, Limits(10**9, 2, 1))
    assert plan.count == 2


def test_an_error_in_one_worker_ends_the_work():
    def broken(density):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        enhance(
            noise((64, 40, 40)), Known(broken), header_of(),
            settings=EnhancementSettings(device="cpu,cpu", margin=8, window=40),
        )  # fmt: skip


def test_memory_decides_between_one_pass_and_windows():
    network = random_network()
    shape = (120, 100, 110)
    fixed, each = network.memory(torch.float32, 100 * 110)
    for share, whole in ((1.05, True), (0.5, False)):
        free = int(fixed + each * 120 * 100 * 112 * share)
        limits = limits_of(shape, network, EXACT, [CPU], torch.float32, free)
        plan = planned(shape, network, EXACT, limits)
        assert (plan.count == 1) == whole
        assert fixed + each * math.prod(plan.window) <= free
    # A network that sees its window is never given more than it was tried with.
    blended = Known(abs, tile_consistent=False)
    limits = limits_of((300, 300, 300), blended, EXACT, [CPU], torch.float32, 10**12)
    assert limits.voxels == 96**3


@pytest.mark.parametrize(("edge", "share"), [(160, 2), (200, 2), (300, 4), (400, 4), (400, 8)])
def test_large_windows_are_computed_at_most_one_and_a_third_times(edge, share):
    """The default margin, in a half, a quarter or an eighth of the memory that one pass takes."""
    network = random_network()
    network.stride = 4
    limits = Limits(edge**3 // share, 1, 1)
    plan = planned((edge, edge, edge), network, EnhancementSettings(), limits)
    assert plan.count >= share
    assert plan.passes_per_voxel <= 1.35


def test_windows_without_density_are_not_computed():
    network = Known(lambda d: d)
    data = np.zeros((160, 160, 160), np.float32)
    wanted = np.zeros(data.shape, bool)
    data[:20, :20, :20] = data[-20:, -20:, -20:] = 1
    wanted[data > 0] = True
    run = DevicePredictor(network, CPU, torch.float32)
    settings = EnhancementSettings(device="cpu", margin=8)
    limits = Limits(10**9, 1, 1)
    answer, plan, _ = predicted(data, network, [run], settings, limits, wanted)
    assert np.array_equal(answer, data)
    assert len(network.shapes) < plan.count
    assert sum(map(math.prod, network.shapes)) < 0.3 * data.size


@pytest.mark.parametrize(
    ("precision", "is_there"), [("bfloat16", has_bfloat16), ("int8", has_int8)]
)
def test_fast_numbers_are_close_and_float32_exact(precision, is_there):
    volume = noise((40, 40, 40))
    whole = enhance(volume, random_network(), header_of(), settings=EXACT)
    assert whole.record["precision"] == "float32"
    if not is_there(CPU):
        pytest.skip(f"this processor has no instructions for {precision}")
    settings = EnhancementSettings(device="cpu", precision=precision)
    close = enhance(volume, random_network(), header_of(), settings=settings)
    assert close.record["precision"] == precision
    both = close.working.data.ravel(), whole.working.data.ravel()
    assert 0.9995 < np.corrcoef(*both)[0, 1] < 1


@pytest.mark.parametrize(
    ("features", "dtype"),
    [
        (("avx512_bf16", "avx512_vnni"), torch.int8),
        (("avx_vnni",), torch.int8),
        (("avx512_bf16",), torch.bfloat16),
        ((), torch.float32),
    ],
)
def test_precision_is_chosen_by_the_hardware(monkeypatch, features, dtype):
    network = random_network()
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(features, True))
    assert chosen_precision("auto", CPU, network) is dtype
    # Forms for which fast numbers were not shown to be close enough.
    assert chosen_precision("auto", CPU, Known(abs)) is torch.float32
    assert chosen_precision("float32", CPU, network) is torch.float32
    if "avx512_bf16" not in features:
        with pytest.raises(ConfigError, match=r"no instructions for bfloat16.*auto or float32"):
            chosen_precision("bfloat16", CPU, network)
    with pytest.raises(ConfigError, match=r"8-bit numbers need a processor.*precision' to auto"):
        chosen_precision("int8", CPU, Known(abs))


@pytest.mark.skipif(not has_int8(CPU), reason="this processor multiplies no 8-bit numbers")
def test_eight_bits_are_chosen_where_they_hold():
    """One channel that outgrows the others leaves these few of the 8 bits."""
    network = random_network()
    assert chosen_precision("auto", CPU, network) is torch.int8
    with torch.no_grad():
        for name, tensor in network.named_parameters():
            if name.endswith("gain"):
                tensor[:, 1:] *= 1e-2
            elif "first.weight" in name or "second.weight" in name:
                tensor[:, 1:] *= 1e2
                tensor[:, 0] *= 1e-2
    assert chosen_precision("auto", CPU, network) is not torch.int8
    assert chosen_precision("int8", CPU, network) is torch.int8


@pytest.mark.parametrize("count", [1, 4, 8, 24])
def test_rotations_are_a_group_without_mirror_images(count):
    data = np.arange(27, dtype=np.float32).reshape(3, 3, 3)
    found = {rotated(data, turn).tobytes() for turn in rotations(count)}
    assert len(found) == count
    for first, second in product(rotations(count), repeat=2):
        assert rotated(rotated(data, first), second).tobytes() in found
    assert np.ascontiguousarray(data[::-1]).tobytes() not in found
    uneven = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    for turn in rotations(count):
        assert np.array_equal(rotated_back(rotated(uneven, turn), turn), uneven)
    assert np.array_equal(rotated(data, rotations(count)[0]), data)


@pytest.mark.parametrize("shape", [(16, 20, 24), (18, 22, 26), (17, 21, 23)])
def test_means_over_all_rotations_turn_with_the_map(shape):
    """Also where edges are no multiples of the stride: what is added lies at the far faces."""
    volume, network = noise(shape), random_network()
    settings = EXACT.model_copy(update={"averaging": 24})
    mean = enhance(volume, network, header_of(), settings=settings).volume.data
    single = enhance(volume, network, header_of(), settings=EXACT).volume.data
    worst = 0.0
    for turn in rotations(24)[1::5]:
        turned = Volume(np.ascontiguousarray(rotated(volume.data, turn)), (1.0, 1.0, 1.0))
        answer = enhance(turned, network, header_of(), settings=settings).volume.data
        assert np.abs(rotated_back(answer, turn) - mean).max() < 1e-5 * mean.std()
        alone = enhance(turned, network, header_of(), settings=EXACT).volume.data
        worst = max(worst, float(np.abs(rotated_back(alone, turn) - single).max()))
    assert worst > 1e-3 * single.std()


def test_the_forecast_is_told_before_the_work_begins():
    told = []
    network = Known(lambda d: d)

    def announce(sentence):
        told.append((sentence, len([shape for shape in network.shapes if shape == (64, 40, 40)])))

    enhance(noise((64, 40, 40)), network, header_of(), settings=EXACT, announce=announce)
    ((sentence, done),) = told
    assert done == 0
    assert re.fullmatch(
        r"1 window of 64 x 40 x 40 voxels on cpu in float32: about .* s and [\d.]+ GB\.", sentence
    )
    assert [duration(seconds) for seconds in (0.01, 7.26, 61, 200, 9000)] == [
        "0.1 s", "7.3 s", "61 s", "3 min", "2.5 h",
    ]  # fmt: skip
