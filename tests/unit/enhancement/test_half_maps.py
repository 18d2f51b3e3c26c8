"""Half maps of known signal and noise: FSC = S / (S + N) in every shell, by construction."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from cryosamu.enhancement.trust.half_maps import (
    averaged,
    guard,
    half_map_notes,
    half_map_resolution,
    read_half_maps,
)
from cryosamu.errors import MapError
from cryosamu.volume.fourier import sharpen
from cryosamu.volume.io import write_map
from cryosamu.volume.volume import Volume

SHAPE = (40, 44, 48)
SIZE = 1.5
GRID = Volume(np.zeros(SHAPE, np.float32), (SIZE,) * 3, (10.0, -3.0, 4.5))
EVERYWHERE = GRID.with_data(np.ones(SHAPE, np.float32))
LIMIT = 6.0
"""Å beyond which the halves hold noise alone."""


def frequencies() -> np.ndarray:
    z, y, x = (np.fft.fftfreq(count, SIZE) for count in SHAPE)
    return np.sqrt(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2)


def white(seed: int, keep=lambda s: np.ones_like(s)) -> np.ndarray:
    """Noise of power keep(s)² in each coefficient."""
    values = np.random.default_rng(seed).standard_normal(SHAPE)
    return np.fft.ifftn(np.fft.fftn(values) * keep(frequencies())).real


def volume(data: np.ndarray) -> Volume:
    return GRID.with_data(data.astype(np.float32))


def halves(snr: float = 4.0) -> tuple[Volume, tuple[Volume, Volume]]:
    """Signal of power `snr` to 6 Å in each of two halves with noise of power 1, and the signal."""
    signal = np.sqrt(snr) * white(1, lambda s: (s < 1 / LIMIT) & (s > 0))
    return volume(signal), (volume(signal + white(2)), volume(signal + white(3)))


def judged(enhance_one, snr: float = 4.0, **other) -> dict:
    return guard(enhance_one, halves(snr)[1], LIMIT, **{"mask": EVERYWHERE, **other})


def test_halves_are_read_in_their_frame_and_averaged(tmp_path):
    _, (first, second) = halves()
    for name, half in (("1.mrc", first), ("2.mrc.gz", second)):
        write_map(tmp_path / name, half, "half")
    read = read_half_maps(tmp_path / "1.mrc", tmp_path / "2.mrc.gz")
    mean = averaged(read, resolution=2 * SIZE / 1.9)
    np.testing.assert_allclose(mean.data, (first.data + second.data) / 2, atol=1e-5)
    assert mean.origin == GRID.origin
    assert mean.frame == read[0].frame


def test_the_mean_is_without_the_noise_beyond_the_resolution():
    """Signal to 6 Å, noise to 3 Å: power beyond is gone, power within is that of S + N / 2."""
    pair = halves(snr=4.0)[1]
    s = frequencies()
    told, found = (np.abs(np.fft.fftn(averaged(pair, *given).data)) ** 2 for given in ((5.0,), ()))
    white_power = np.prod(SHAPE)
    for power in (told, found):
        assert power[(s > 1 / 15) & (s < 1 / 6.5)].mean() / white_power == pytest.approx(4.5, 0.05)
        assert power[s > 1 / 4.4].max() < 1e-6 * power.max()
    assert told[(s > 1 / 5.6) & (s < 1 / 5.5)].mean() / white_power == pytest.approx(0.5, 0.2)


def shifted(half: Volume) -> Volume:
    return replace(half, origin=(10.0, -3.0, 5.0))


def finer(half: Volume) -> Volume:
    return replace(half, voxel_size=(1.5, 1.5, 1.4))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda first, second: first, "hold the same map"),
        (lambda first, second: first.with_data(3 * first.data + 1), "hold the same map"),
        (lambda first, second: second.with_data(-second.data), "contrast of one is inverted"),
        (lambda first, second: second.with_data(0 * second.data), "2.mrc: is constant"),
        (lambda first, second: shifted(second), "different origins"),
        (lambda first, second: finer(second), "different voxel sizes"),
        (lambda first, second: Volume(second.data[1:], (SIZE,) * 3), "grids of"),
    ],
    ids=["same", "scaled", "inverted", "constant", "moved", "voxel", "shape"],
)
def test_what_are_no_halves_of_one_map_is_refused_in_a_sentence(tmp_path, change, told):
    _, (first, second) = halves()
    write_map(tmp_path / "1.mrc", first, "half")
    write_map(tmp_path / "2.mrc", change(first, second), "half")
    with pytest.raises(MapError, match=told) as refused:
        read_half_maps(tmp_path / "1.mrc", tmp_path / "2.mrc")
    assert "\n" not in str(refused.value)


def test_another_scale_unrelated_halves_and_endless_agreement_are_told():
    _, (first, second) = halves()
    assert half_map_notes((first, second)) == []
    (note,) = half_map_notes((first, second.with_data(second.data * 2)))
    assert "0.50 times as wide" in note
    (note,) = half_map_notes((volume(white(5)), volume(white(6))))
    assert "may not be halves" in note
    alike = tuple(volume(2 * white(7) + white(seed)) for seed in (8, 9))
    (note,) = half_map_notes(alike)
    assert "finest detail" in note


def mean_of(found: dict, name: str) -> float:
    """The mean FSC over the shells from 15 to 6 Å, which hold enough coefficients to trust."""
    s, fsc = (np.array(found["curves"][key]) for key in ("spatial_frequency", name))
    chosen = (s > 1 / 15) & (s < 0.95 / LIMIT)
    return float(np.average(fsc[chosen], weights=s[chosen] ** 2))


def test_the_resolution_of_halves_is_where_the_signal_ends():
    # Shells lie 1/72 Å⁻¹ apart: the first without signal is at 5.54 Å.
    assert 5.5 < half_map_resolution(halves()[1]) < 6.0


def test_the_raw_halves_agree_by_the_formula():
    for snr in (0.5, 4.0):
        found = judged(lambda half: half, snr)
        assert mean_of(found, "raw") == pytest.approx(snr / (1 + snr), abs=0.03)


@pytest.mark.parametrize("change", [lambda half: half, lambda half: sharpen(half, -80.0)])
def test_sharpening_neither_gains_nor_loses(change):
    found = judged(change)
    for name in ("first_enhanced", "second_enhanced"):
        assert found[name]["gain"] == pytest.approx(0, abs=0.01)
        assert found[name]["lowered_shells"] == 0
    assert found["passed"] is True
    assert "kept what the unseen half supports" in found["sentence"]


def test_the_true_signal_reaches_the_ceiling_and_no_more():
    snr = 1.0
    signal, _ = halves(snr)
    found = judged(lambda half: signal, snr)
    for name in ("first_enhanced", "second_enhanced"):
        assert mean_of(found, name) == pytest.approx(np.sqrt(snr / (1 + snr)), abs=0.03)
        assert found[name]["mean_fsc_of_perfect_map"] == pytest.approx(
            found[name]["mean_fsc"], abs=0.04
        )
        assert not found[name]["above_perfect_map"]
    assert found["passed"]


def test_what_is_added_to_both_halves_alike_is_not_taken_for_signal():
    """Two such enhanced halves would agree better than the raw ones; FSC is lowered by formula."""
    snr, power = 4.0, 5.0
    invented = np.sqrt(power) * white(11)
    found = judged(lambda half: volume(half.data + invented), snr)
    expected = snr / np.sqrt((snr + 1) * (snr + 1 + power))
    for name in ("first_enhanced", "second_enhanced"):
        assert mean_of(found, name) == pytest.approx(expected, abs=0.03)
        assert found[name]["lowered_shells"] > 0.7 * found[name]["shells"]
    assert found["passed"] is False
    assert "invented" in found["sentence"]


def test_lowered_shells_are_named_by_their_range():
    scrambled = white(12, lambda s: (s > 1 / 12) & (s < 1 / 8))

    def spoil(half):
        spectrum = np.fft.fftn(half.data)
        band = (frequencies() > 1 / 12) & (frequencies() < 1 / 8)
        return volume(np.fft.ifftn(np.where(band, 0, spectrum)).real + 2 * scrambled)

    found = judged(spoil)["first_enhanced"]
    ((coarse, fine),) = found["lowered_ranges"]
    assert 10.5 < coarse < 13.0
    assert 7.5 < fine < 9.0


def alike(filtered: Volume, half: Volume) -> bool:
    """Whether a filtered map was made of this half: their coarse coefficients are the same."""
    coarse = (frequencies() > 0) & (frequencies() < 1 / 10)
    one, two = (np.fft.fftn(map_.data)[coarse] for map_ in (filtered, half))
    return bool(np.allclose(one, two, rtol=1e-3, atol=1e-2))


def test_each_half_is_enhanced_alone_and_held_against_the_other():
    _, (first, second) = halves()
    noise = 3 * white(13)

    def spoils_second(half):
        return volume(half.data + noise) if alike(half, second) else half

    found = guard(spoils_second, (first, second), LIMIT, EVERYWHERE)
    assert found["first_enhanced"]["gain"] == pytest.approx(0, abs=0.01)
    assert found["second_enhanced"]["gain"] < -0.2
    assert found["passed"] is False


def test_an_enhancement_that_saw_the_other_half_is_told():
    _, (first, second) = halves(snr=0.5)
    found = guard(
        lambda half: second if alike(half, first) else first, (first, second), LIMIT, EVERYWHERE
    )
    assert found["first_enhanced"]["above_perfect_map"]
    assert "share noise" in found["sentence"]


def test_power_beyond_the_half_maps_resolution_is_what_the_enhancement_added():
    """Raw noise there is filtered out before; white noise of power 2 is added: by counting."""
    assert judged(lambda half: half)["first_enhanced"]["power_beyond_half_maps"] < 0.05
    found = judged(lambda half: volume(half.data + np.sqrt(2) * white(14)))
    s = frequencies()
    limit = found["half_map_resolution"]
    power = np.where(s < 1 / LIMIT, 5.0, 0.0) + 2
    expected = power[s >= 1 / limit].sum() / power.sum()
    assert found["first_enhanced"]["power_beyond_half_maps"] == pytest.approx(expected, abs=0.03)


def test_halves_without_agreement_show_nothing():
    unrelated = (volume(white(21)), volume(white(22)))
    found = guard(lambda half: half, unrelated, LIMIT, EVERYWHERE)
    assert found["passed"] is None
    assert "too little to judge" in found["sentence"]


def test_the_mask_is_made_round_what_the_raw_halves_show():
    z, y, x = np.indices(SHAPE)
    distance = SIZE * np.sqrt((z - 20) ** 2 + (y - 22) ** 2 + (x - 24) ** 2)
    ball = np.where(distance < 15, 8.0, 0.0)
    found = guard(
        lambda half: half, (volume(ball + white(31)), volume(ball + white(32))), LIMIT, None
    )
    # Soft weights: whole to a few Å from the ball's surface, none 12 Å from it.
    inner, outer = (4 / 3 * np.pi * r**3 / np.prod(GRID.box) for r in (15, 27))
    assert inner < found["mask"]["share"] < outer
    assert "averaged raw halves" in found["mask"]["source"]


def test_masks_that_do_not_fit_are_refused():
    pair = halves()[1]
    with pytest.raises(MapError, match="mask is empty"):
        guard(lambda half: half, pair, LIMIT, GRID)
    with pytest.raises(MapError, match="the mask has"):
        guard(lambda half: half, pair, LIMIT, Volume(EVERYWHERE.data[2:], (SIZE,) * 3))


def test_figures_are_plain_json():
    found = judged(lambda half: half)
    assert json.loads(json.dumps(found)) == found
    assert "averaged map" in found["meaning"]
    lengths = {name: len(values) for name, values in found["curves"].items()}
    assert len(set(lengths.values())) == 1
