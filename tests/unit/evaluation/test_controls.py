"""The controls on methods whose guilt is known: identity, a painter, an eraser, an inventor."""

from dataclasses import replace

import numpy as np
import pytest
from small_protein import map_of, protein

from cryosamu.errors import MapError
from cryosamu.evaluation.controls.deletion import delete_segment, find_segment
from cryosamu.evaluation.controls.kinds import kinds_near
from cryosamu.evaluation.controls.perturbation import perturbed
from cryosamu.evaluation.controls.run import CONTROLS, controls_table, run_controls
from cryosamu.evaluation.controls.subject import Subject
from cryosamu.evaluation.methods import randomise_phases
from cryosamu.evaluation.reference import ModelReference
from cryosamu.tables import CONTROLS as SCHEMA
from cryosamu.tables import read_table, write_table
from cryosamu.volume.fourier import low_pass

RESOLUTION = 5.0
MODEL = protein()
WRONG = perturbed(MODEL, 2.5, length=6.0)
OTHER = protein(feet=((28, 12, 12), (12, 28, 6)), lengths=(16, 16), ligand=None)
MAP = map_of(MODEL, RESOLUTION)


def painted(structure):
    calculated = ModelReference(MAP, structure, RESOLUTION).calculated
    return calculated / calculated.std()


PAINTINGS = {"true": painted(MODEL), "perturbed": painted(WRONG), "another": painted(OTHER)}


def identity(volume, condition):
    return volume.data


def smoother(volume, condition):
    return low_pass(volume, RESOLUTION).data


def painter(volume, condition):
    """Paints what it is told; told nothing sensible, it gives the map back."""
    return PAINTINGS.get(condition, volume.data)


def partial_painter(share):
    def paint(volume, condition):
        painting = PAINTINGS.get(condition, volume.data)
        return ((1 - share) * volume.data + share * painting).astype(np.float32)

    return paint


def subject_of(enhance, **changes):
    return replace(Subject(MAP, RESOLUTION, enhance, MODEL, WRONG), **changes)


def outcomes_of(enhance, **changes):
    return {one.control: one for one in run_controls(subject_of(enhance, **changes))}


@pytest.fixture(scope="module")
def halves():
    return tuple(map_of(MODEL, RESOLUTION, noise=1.0, seed=seed) for seed in (1, 2))


@pytest.mark.parametrize("method", [identity, smoother])
def test_a_method_that_adds_nothing_passes_everything(method, halves):
    found = outcomes_of(method, halves=halves)
    assert {one.verdict for one in found.values()} == {"pass"}
    assert len(found) == len(CONTROLS) + 1
    assert found["hallucination_score"].value == pytest.approx(0, abs=0.02)
    assert found["no_embedding"].value == pytest.approx(1, abs=1e-5)
    assert found["perturbed_model"].value == pytest.approx(1, abs=1e-3)
    assert found["deleted_helix"].value == pytest.approx(0, abs=0.02)
    assert found["erased_density"].value == 0


def test_identity_is_the_floor_of_every_figure(halves):
    found = outcomes_of(identity, halves=halves)
    assert found["hallucination_score"].value == pytest.approx(0, abs=1e-6)
    assert found["inside_resolution"].value == pytest.approx(1, abs=1e-5)
    half = found["half_maps"]
    assert half.value == pytest.approx(0, abs=1e-6)
    assert half.detail["fsc_two_enhanced_inflated"] == pytest.approx(half.detail["fsc_raw"], 1e-5)


def test_a_painter_is_caught(halves):
    found = outcomes_of(painter, halves=halves)
    score = found["hallucination_score"]
    assert (score.verdict, score.number) == ("fail", 0)
    assert score.value == pytest.approx(1, abs=0.01)
    for name in ("noise_share", "random_phases_share", "deleted_helix_share"):
        assert score.detail[name] == pytest.approx(1, abs=0.01), name
    failed = {name for name, one in found.items() if one.verdict == "fail"}
    assert {"another_embedding", "perturbed_model", "no_signal", "deleted_helix"} < failed
    # What it paints is the truth: agreement with the input does not give it away.
    assert found["erased_density"].verdict == "pass"
    # Two equal paintings agree perfectly, which is why that is never a resolution.
    assert found["half_maps"].detail["fsc_two_enhanced_inflated"] == pytest.approx(1)


def test_the_score_grows_with_the_share_of_paint():
    methods = (identity, partial_painter(0.1), partial_painter(0.3), painter)
    scores = [outcomes_of(method)["hallucination_score"].value for method in methods]
    assert scores == sorted(scores)
    assert 0.05 < scores[1] < scores[2] - 0.1


def test_a_gain_that_any_embedding_brings_is_none_of_the_right_one():
    """Told anything, this method draws the model: what the embedding says is not read."""

    def careless(volume, condition):
        if condition == "none":
            return volume.data
        return (0.8 * volume.data + 0.2 * PAINTINGS["true"]).astype(np.float32)

    noisy = map_of(MODEL, RESOLUTION, noise=6.0)
    found = outcomes_of(careless, volume=noisy)
    for name, wrong in (("permuted_embedding", "permuted"), ("another_embedding", "another")):
        detail = found[name].detail
        assert detail["gain_true"] > 0.01
        assert detail[f"gain_{wrong}"] == pytest.approx(detail["gain_true"])
        assert found[name].value > 0.9
        assert found[name].verdict == "fail"


def test_erased_ligand_is_told_by_kind():
    near_ligand = kinds_near(MODEL, MAP)["ligand"]

    def eraser(volume, condition):
        return np.where(near_ligand, np.float32(-1), volume.data)

    erased = outcomes_of(eraser)["erased_density"]
    assert erased.verdict == "fail"
    assert erased.detail["erased_ligand"] > 0.5
    assert erased.detail["erased_protein"] < 0.02
    assert erased.value > 0.02


def test_invented_density_is_told():
    blob = np.zeros(MAP.shape, np.float32)
    blob[34:41, 5:12, 30:37] = 4

    def inventor(volume, condition):
        return volume.data + blob

    found = outcomes_of(inventor)
    assert found["erased_density"].detail["invented"] > 0.03
    assert found["inside_resolution"].value < 0.99
    assert outcomes_of(identity)["erased_density"].detail["invented"] == 0


def test_a_half_map_painted_loses_to_the_other_half_where_the_paint_is_wrong(halves):
    found = outcomes_of(lambda volume, condition: PAINTINGS["another"], halves=halves)
    half = found["half_maps"]
    assert half.verdict == "fail"
    assert half.detail["fsc_enhanced_with_raw"] < 0.6 * half.detail["fsc_raw"]
    assert half.detail["unsupported_power"] > 0.05


def test_without_a_model_the_controls_that_need_one_say_so():
    found = outcomes_of(identity, structure=None, perturbed=None)
    applied = {name for name, one in found.items() if one.verdict != "not_applicable"}
    assert applied == {"inside_resolution", "erased_density"}
    assert found["half_maps"].reason == "no half maps were given"
    assert "no model was given" in found["no_signal"].reason
    assert found["hallucination_score"].value is None


@pytest.mark.parametrize("resolution", [0.0, -3.0, 1.5, float("nan")])
def test_a_resolution_that_is_none_is_refused(resolution):
    with pytest.raises(MapError, match="resolution"):
        run_controls(subject_of(identity, resolution=resolution, structure=None))


def test_a_condition_that_cannot_be_had_is_told():
    found = outcomes_of(identity, missing={"perturbed": "it has no backbone"})
    assert found["perturbed_model"].reason == "it has no backbone"
    assert found["no_embedding"].verdict == "pass"


def test_a_map_cut_out_round_its_model_proves_little():
    near = ~kinds_near(MODEL, MAP)["unmodelled"]
    cut = MAP.with_data(np.where(near, MAP.data, np.float32(0)))
    assert subject_of(identity, volume=cut).outline_is_models
    assert not subject_of(identity).outline_is_models
    found = outcomes_of(identity, volume=cut)
    assert found["deleted_helix"].verdict == "not_applicable"
    assert "outline gives the model away" in found["deleted_helix"].reason
    # It can still convict.
    assert outcomes_of(painter, volume=cut)["deleted_helix"].verdict == "fail"


def test_the_longest_helix_is_found_and_taken_out():
    segment = find_segment(MODEL, MAP)
    assert (segment.chain, segment.helical) == ("A", True)
    assert segment.residue_ids == tuple(str(number) for number in range(1, 19))
    assert segment.name == "helix A/1-18"
    deletion = delete_segment(MAP, MODEL, segment, RESOLUTION)
    helix = deletion.expected > 0.5 * deletion.expected.max()
    assert MAP.data[helix].mean() > 2
    assert abs(deletion.data[helix].mean()) < 0.5
    # The other helix, 10 Å away, stays.
    other = kinds_near(protein(feet=((25, 18, 10),), lengths=(12,), ligand=None), MAP)["protein"]
    np.testing.assert_allclose(deletion.data[other].mean(), MAP.data[other].mean(), rtol=0.1)


def test_no_helix_no_deletion():
    short = protein(feet=((15, 16, 8),), lengths=(6,), ligand=None)
    assert find_segment(short, MAP) is None
    found = outcomes_of(identity, structure=short)
    assert "8 residues in a row" in found["deleted_helix"].reason


def test_noise_has_the_maps_spectrum_and_nothing_of_its_shape():
    noise = randomise_phases(MAP, np.inf, 1)
    wanted, found = (np.abs(np.fft.rfftn(x.astype(float))) for x in (MAP.data, noise))
    # Off the planes where a real map's coefficients pair up with each other.
    np.testing.assert_allclose(found[1:21, 1:19, 1:20], wanted[1:21, 1:19, 1:20], rtol=2e-2)
    assert abs(np.corrcoef(noise.ravel(), MAP.data.ravel())[0, 1]) < 0.1


def test_errors_of_a_model_change_smoothly():
    moved = perturbed(MODEL, 2.0)
    before, after = (
        np.array([site.atom.pos.tolist() for site in one[0].all()]) for one in (MODEL, moved)
    )
    apart = after - before
    assert np.sqrt((apart**2).sum(axis=1).mean()) == pytest.approx(2.0, rel=1e-6)
    np.testing.assert_allclose(apart.mean(axis=0), 0, atol=1e-6)
    bonds = np.linalg.norm(np.diff(before[:4], axis=0), axis=1)
    kept = np.linalg.norm(np.diff(after[:4], axis=0), axis=1)
    assert abs(kept / bonds - 1).max() < 0.35


def test_the_table_crosses_to_the_report(tmp_path):
    outcomes = run_controls(subject_of(identity))
    write_table(tmp_path / "c.parquet", controls_table(outcomes, "EMD-1", "1ABC"), SCHEMA)
    read = read_table(tmp_path / "c.parquet", SCHEMA)
    assert list(read["number"]) == list(range(10))
    assert read["control"].iloc[0] == "hallucination_score"
    assert read["value"].isna().sum() == 1
