"""Noise beyond the resolution, and local resolution by half maps, against made-up spectra."""

from pathlib import Path

import numpy as np
import pytest
from small_networks import write_checkpoint

import cryosamu
from cryosamu.config import EnhancementSettings
from cryosamu.enhancement.checks.detail_checks import local_resolution, unfiltered
from cryosamu.volume.fourier import low_pass
from cryosamu.volume.volume import Volume

EDGE = 72


def white(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((EDGE,) * 3).astype(np.float32)


def volume(data: np.ndarray, voxel_size: float = 1.5) -> Volume:
    return Volume(np.asarray(data, np.float32), (voxel_size,) * 3, (3.0, -7.0, 11.0))


def ball() -> np.ndarray:
    z, y, x = np.indices((EDGE,) * 3) - EDGE / 2 + 0.5
    return (z**2 + y**2 + x**2 < 22**2).astype(np.float32)


@pytest.mark.parametrize(("noise", "told"), [(0.3, False), (0.55, True)])
def test_power_beyond_the_resolution_is_told_from_a_filtered_map(noise: float, told: bool) -> None:
    # Signal of unit power to 8 Å; white noise of power n² with all but (4π/3)(2h/f)⁻³ of it finer
    # than f = 7.2 Å: its share of the coefficients beyond is 1 - (4π/3)(1.5/7.2)³ = 0.962.
    signal = low_pass(volume(white(1)), 8.0)
    signal = signal.with_data(signal.data / signal.data.std())
    shown = signal.with_data(signal.data + np.float32(noise) * white(2))
    beyond = noise**2 * (1 - 4 / 3 * np.pi * (1.5 / 7.2) ** 3) / (1 + noise**2)
    finding = unfiltered(shown, 8.0)
    assert (finding is not None) == told == (beyond >= 0.15)
    if finding is not None:
        assert finding.value == pytest.approx(beyond, rel=0.03)
        assert "finer than 7.2 Å" in finding.sentence
        assert "low-pass it to 8 Å" in finding.sentence
    assert unfiltered(low_pass(shown, 8.0), 8.0) is None


def test_nothing_is_said_of_detail_that_the_voxels_cannot_hold() -> None:
    assert unfiltered(volume(white(3)), 3.3) is None


@pytest.mark.parametrize(("detail", "share"), [(6.0, None), (12.0, 1.0)])
def test_local_resolution_is_where_the_signal_ends(detail: float, share: float | None) -> None:
    signal = low_pass(volume((3 + 10 * white(4)) * ball()), detail).data
    halves = tuple(volume(signal + 4 * white(seed)) for seed in (5, 6))
    finding = local_resolution(halves, detail)
    if share is None:
        assert finding is None
    else:
        assert finding.value == share
        low, high = (float(finding.sentence.split(word)[1].split()[0]) for word in ("from ", "to "))
        # A window of 7 resolutions lets the signal's end leak by some shells of 1/7 its frequency.
        assert 0.75 * detail < low <= high < 1.05 * detail
        assert "100% is coarser than 8 Å" in finding.sentence


def test_halves_of_noise_alone_say_nothing_of_local_resolution() -> None:
    assert local_resolution((volume(white(7)), volume(white(8)))) is None


def test_enhancing_says_what_was_seen_of_the_detail(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "net.safetensors")
    signal = low_pass(volume((3 + 10 * white(4)) * ball()), 12.0).data
    halves = tuple(volume(signal + 4 * white(seed)) for seed in (5, 6))
    mean = volume((halves[0].data + halves[1].data) / 2)
    enhanced = cryosamu.enhance(
        mean,
        half_maps=halves,
        resolution=11.0,
        checkpoint=tmp_path / "net.safetensors",
        check_halves=False,
        enhancement=EnhancementSettings(device="cpu", precision="float32"),
    )
    assert enhanced.record["input"]["local_resolution"] == 1.0
    assert enhanced.record["input"]["unfiltered"] > 0.15
    told = " ".join(enhanced.seen)
    assert "is coarser than 8 Å" in told
    assert "it is not filtered" in told
