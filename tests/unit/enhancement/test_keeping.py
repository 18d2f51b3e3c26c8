"""What is blended back into an enhanced map, on molecules made up to lose one thing each."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_molecule import (
    MIDDLE,
    ORIGIN,
    SHAPE,
    VOXEL,
    density,
    model_of,
    noise,
    strewn,
    volume_of,
)

from cryosamu.enhancement.trust.keeping import Kept, _weights, kept
from cryosamu.volume.volume import Volume

RESOLUTION = 5.0
GAIN = 2.5
"""Of the made-up network on what it knows."""

PROTEIN = strewn(700, (24.0, 16.0, 15.0), seed=1)
# Beside the protein, 4 Å between the nearest atoms.
LIGAND = np.add(strewn(30, (5.0, 4.0, 4.0), seed=2), [0.0, 0.0, 24.0])
PLACE = LIGAND.mean(axis=0)
OF_PROTEIN, OF_LIGAND = density(PROTEIN), density(LIGAND)
ERASING = volume_of(GAIN * OF_PROTEIN)
NOISE = 0.05 * OF_PROTEIN.max()

AXES = np.meshgrid(*(np.arange(n) * VOXEL for n in SHAPE), indexing="ij")
PLACES = np.stack(AXES[::-1], axis=-1) + ORIGIN
FROM_LIGAND = np.sqrt(((PLACES[..., None, :] - LIGAND) ** 2).sum(-1)).min(-1)
INSIDE = 0.6 * OF_LIGAND.max() < OF_LIGAND


def noisy(deviation: float = NOISE, seed: int = 3) -> Volume:
    return volume_of(OF_PROTEIN + OF_LIGAND + noise(deviation, seed))


def come_back(found: Kept) -> float:
    """How much of the ligand's density there is, 1 in the scale of the protein."""
    there = found.volume.data[INSIDE]
    return float((there * OF_LIGAND[INSIDE]).sum() / (GAIN * OF_LIGAND[INSIDE] ** 2).sum())


MODELS = {
    "in the model": (model_of(ALA=PROTEIN, ATP=LIGAND), "ligand"),
    "nucleic acid": (model_of(ALA=PROTEIN, DG=LIGAND), "nucleic"),
    "glycan": (model_of(ALA=PROTEIN, NAG=LIGAND), "glycan"),
    "not in the model": (model_of(ALA=PROTEIN), "unmodelled"),
    "no model": (None, "unmodelled"),
}


@pytest.mark.parametrize("known", MODELS)
def test_an_erased_ligand_comes_back_in_the_scale_of_the_protein(known: str) -> None:
    model, kind = MODELS[known]
    found = kept(noisy(), ERASING, model, RESOLUTION)
    assert come_back(found) == pytest.approx(1, abs=0.15)
    assert set(found.record["kinds"]) == {kind}
    largest = found.record["largest"]
    assert largest["kind"] == kind
    assert np.linalg.norm(np.array(largest["peak"]) - PLACE) < 4
    true_share = OF_LIGAND.sum() / (OF_LIGAND.sum() + OF_PROTEIN.sum())
    assert 0.4 * true_share < found.share < 1.6 * true_share
    assert found.share == found.record["share_of_density"]
    assert found.record["blobs"] == 1
    assert f"{found.share:.1%}" in found.record["sentence"]
    json.dumps(found.record)


def test_what_the_model_cannot_explain_comes_back_though_it_was_only_dimmed() -> None:
    dimmed = volume_of(GAIN * OF_PROTEIN + 0.7 * GAIN * OF_LIGAND)
    found = kept(noisy(), dimmed, MODELS["not in the model"][0], RESOLUTION)
    assert come_back(found) == pytest.approx(1, abs=0.15)
    assert kept(noisy(), dimmed, None, RESOLUTION).volume is dimmed


def test_nothing_is_kept_where_nothing_was_lost() -> None:
    volume = noisy()
    everything = volume_of(GAIN * (OF_PROTEIN + OF_LIGAND))
    found = kept(volume, everything, None, RESOLUTION)
    assert found.volume is everything
    assert found.share == 0
    assert found.record["blobs"] == 0
    assert "Nothing" in found.record["sentence"]


def test_a_protein_with_its_whole_model_is_left_alone() -> None:
    volume = volume_of(OF_PROTEIN + noise(NOISE))
    found = kept(volume, ERASING, model_of(ALA=PROTEIN), RESOLUTION)
    assert found.volume is ERASING


@pytest.mark.parametrize("level", [0.02, 0.08, 0.16])
@pytest.mark.parametrize("known", ["not in the model", "no model"])
def test_noise_of_the_solvent_does_not_come_back(level: float, known: str) -> None:
    model, _ = MODELS[known]
    far = FROM_LIGAND > 3 * RESOLUTION
    for seed in range(3):
        volume = noisy(level * OF_PROTEIN.max(), seed)
        found = kept(volume, ERASING, model, RESOLUTION)
        near_protein = 1e-3 * OF_PROTEIN.max() < OF_PROTEIN
        solvent = far & ~near_protein
        assert solvent.mean() > 0.5
        assert (found.volume.data[solvent] == ERASING.data[solvent]).all()


def test_a_map_of_noise_keeps_nothing() -> None:
    volume = volume_of(noise(1.0))
    empty = volume_of(np.zeros(SHAPE))
    found = kept(volume, empty, None, RESOLUTION)
    assert found.volume is empty


def test_voxels_far_from_what_is_kept_stay_to_the_bit() -> None:
    found = kept(noisy(), ERASING, MODELS["in the model"][0], RESOLUTION)
    # The blob's rim is less than a resolution from an atom of the ligand, its fading one more.
    far = FROM_LIGAND > 2 * RESOLUTION
    assert (found.volume.data[far] == ERASING.data[far]).all()
    assert (found.volume.data != ERASING.data).any()


def test_the_blending_fades_as_a_squared_cosine_over_the_resolution() -> None:
    region = np.zeros((30, 32, 34), bool)
    region[12:15, 14:20, 15] = True
    region[18, 15, 22:25] = True
    volume = Volume(region.astype(np.float32), (1.0, 1.2, 0.8))
    weight, window = _weights(region, volume, 6.0)
    indices = np.argwhere(np.ones(region.shape, bool))
    apart = (indices[:, None] - np.argwhere(region)) * (0.8, 1.2, 1.0)
    distance = np.sqrt((apart**2).sum(-1)).min(-1).reshape(region.shape)
    expected = np.where(distance < 6, np.cos(np.pi / 2 * distance / 6) ** 2, 0)
    assert np.abs(weight - expected[window]).max() < 1e-6
    outside = expected.copy()
    outside[window] = 0
    assert outside.max() == 0
    assert (weight[distance[window] >= 6] == 0).all()


def test_the_largest_blob_is_told_with_its_own_kind_and_place() -> None:
    large = np.add(strewn(90, (7.0, 6.0, 6.0), seed=6), [0.0, 0.0, -26.0])
    volume = volume_of(OF_PROTEIN + OF_LIGAND + density(large) + noise(NOISE))
    model = model_of(ALA=PROTEIN, ATP=LIGAND, DG=large)
    found = kept(volume, ERASING, model, RESOLUTION)
    largest = found.record["largest"]
    assert found.record["blobs"] == 2
    assert set(found.record["kinds"]) == {"ligand", "nucleic"}
    assert largest["kind"] == "nucleic"
    assert np.linalg.norm(np.array(largest["peak"]) - large.mean(axis=0)) < 5
    assert 0.5 * found.share < largest["share_of_density"] < found.share
    # The other way round in space, so that the larger one is labelled second too.
    over = 2 * MIDDLE[2] * np.array([0, 0, 1])
    small, big = (over + atoms * [1, 1, -1] for atoms in (LIGAND, large))
    volume = volume_of(OF_PROTEIN + density(small) + density(big) + noise(NOISE))
    found = kept(volume, ERASING, model_of(ALA=PROTEIN, ATP=small, DG=big), RESOLUTION)
    assert found.record["largest"]["kind"] == "nucleic"


def test_the_scale_is_that_of_the_surroundings() -> None:
    left = np.broadcast_to(AXES[2] < np.median(AXES[2]), SHAPE)
    # The ligand sits at the right end of the protein here.
    aside = LIGAND - (0, 0, 24.0) + (30.0, 0, 0)
    volume = volume_of(OF_PROTEIN + density(aside) + noise(NOISE))
    uneven = volume_of(np.where(left, 1.0, 1.8) * OF_PROTEIN)
    found = kept(volume, uneven, model_of(ALA=PROTEIN, ATP=aside), RESOLUTION)
    there = density(aside) > 0.6 * density(aside).max()
    factor = found.volume.data[there].sum() / density(aside)[there].sum()
    assert factor == pytest.approx(1.8, rel=0.1)


def test_a_masked_map_is_judged_without_its_zeros() -> None:
    near = 0.02 * OF_PROTEIN.max() < (OF_PROTEIN + OF_LIGAND)
    masked = volume_of(np.where(near, OF_PROTEIN + OF_LIGAND + noise(NOISE), 0))
    found = kept(masked, ERASING, MODELS["not in the model"][0], RESOLUTION)
    assert come_back(found) == pytest.approx(1, abs=0.15)
    assert found.record["blobs"] == 1
    assert found.record["solvent"]["deviation"] < 0.1 * OF_PROTEIN.max()


def test_an_offset_of_the_map_is_not_taken_for_density() -> None:
    volume = noisy()
    lifted = volume.with_data(volume.data + np.float32(7.0))
    plain, found = (
        kept(one, ERASING, MODELS["in the model"][0], RESOLUTION) for one in (volume, lifted)
    )
    off = np.abs(found.volume.data - plain.volume.data).max()
    assert off < 0.02 * GAIN * OF_PROTEIN.max()
    assert found.share == pytest.approx(plain.share, abs=0.01)


def test_a_belt_of_detergent_is_kept_and_told() -> None:
    # A torus of half the protein's density round its middle: nobody can tell it from a ligand.
    x, y, z = (PLACES - MIDDLE).transpose(3, 0, 1, 2)
    ring = np.exp(-((np.sqrt(y**2 + z**2) - 26) ** 2 + x**2) / (2 * 4.0**2))
    volume = volume_of(OF_PROTEIN + 0.5 * OF_PROTEIN.max() * ring + noise(NOISE))
    found = kept(volume, ERASING, MODELS["not in the model"][0], RESOLUTION)
    assert found.record["largest"]["kind"] == "unmodelled"
    assert found.share > 0.1
    belt = ring > 0.9
    assert found.volume.data[belt].mean() > 0.3 * GAIN * OF_PROTEIN.max()


def test_a_model_of_a_part_does_not_send_the_rest_back() -> None:
    half = PROTEIN[PROTEIN[:, 0] < np.quantile(PROTEIN[:, 0], 0.3)]
    volume = volume_of(OF_PROTEIN + noise(NOISE))
    found = kept(volume, ERASING, model_of(ALA=half), RESOLUTION)
    assert found.volume is ERASING
    assert "less than half" in found.record["sentence"]


def test_the_users_mask_bounds_what_is_kept() -> None:
    model = MODELS["in the model"][0]
    away = volume_of((FROM_LIGAND > 12).astype(float))
    assert kept(noisy(), ERASING, model, RESOLUTION, away).volume is ERASING
    there = volume_of((FROM_LIGAND < 12).astype(float))
    assert come_back(kept(noisy(), ERASING, model, RESOLUTION, there)) > 0.85
    faint = volume_of(0.6 * (FROM_LIGAND < 12))
    assert come_back(kept(noisy(), ERASING, model, RESOLUTION, faint)) == pytest.approx(
        0.6, abs=0.12
    )


def test_without_a_resolution_the_input_comes_back_with_all_its_detail() -> None:
    volume = noisy()
    found = kept(volume, ERASING, MODELS["in the model"][0])
    detail = np.random.default_rng(5).normal(size=SHAPE).astype(np.float32) * 0.01
    finer = kept(volume.with_data(volume.data + detail), ERASING, MODELS["in the model"][0])
    change = (finer.volume.data - found.volume.data)[INSIDE]
    assert np.corrcoef(change, detail[INSIDE])[0, 1] > 0.8


@settings(max_examples=5, deadline=None)
@given(factor=st.floats(1e-3, 1e3), gain=st.floats(1e-3, 1e3))
def test_the_units_of_the_maps_do_not_matter(factor: float, gain: float) -> None:
    model = MODELS["not in the model"][0]
    plain = kept(noisy(), ERASING, model, RESOLUTION)
    scaled = kept(
        volume_of(factor * noisy().data.astype(float)),
        volume_of(gain * ERASING.data.astype(float)),
        model,
        RESOLUTION,
    )
    assert scaled.record["blobs"] == plain.record["blobs"]
    assert scaled.share == pytest.approx(plain.share, rel=0.02)
    off = np.abs(scaled.volume.data / gain - plain.volume.data).max()
    assert off < 0.01 * plain.volume.data.max()


def test_the_same_maps_give_the_same_bytes() -> None:
    first, second = (
        kept(noisy(), ERASING, MODELS["in the model"][0], RESOLUTION) for _ in range(2)
    )
    assert first.volume.data.tobytes() == second.volume.data.tobytes()
    assert first.record == second.record
