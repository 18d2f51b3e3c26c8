"""Learning rates, averages and the end of a run, by their formulas."""

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from training_toys import NETWORK, TRAINING, WIDTH

from cryosamu.config import TrainingSettings
from cryosamu.network import build_network
from cryosamu.training.loop import _finished
from cryosamu.training.precision import choose_precision
from cryosamu.training.schedule import Schedule
from cryosamu.training.state import fresh_state

CPU = torch.device("cpu")


def rates(steps=100, **given_settings):
    schedule = Schedule(TrainingSettings(learning_rate=0.01, **given_settings), steps)
    return [schedule.rate(step) for step in range(steps + 1)]


def test_the_published_schedule_is_the_default():
    assert TrainingSettings().schedule == "plateau"
    assert rates() == [0.01] * 101


def test_the_warm_up_rises_to_the_full_rate():
    found = rates(schedule="constant", warm_up_steps=10)
    assert found[:10] == pytest.approx([0.001 * n for n in range(1, 11)])
    assert found[10:] == [0.01] * 91


def test_the_cosine_falls_to_zero_at_the_end():
    found = rates(schedule="cosine", warm_up_steps=20)
    assert found[20] == pytest.approx(0.01)
    assert found[60] == pytest.approx(0.005)
    assert found[40] == pytest.approx(0.005 * (1 + math.sqrt(0.5)))
    assert found[100] == pytest.approx(0, abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(warm=st.integers(0, 200), steps=st.integers(1, 150))
def test_a_rate_is_never_negative_nor_above_the_wanted(warm, steps):
    for kind in ("plateau", "cosine", "constant"):
        found = rates(steps, schedule=kind, warm_up_steps=warm)
        assert all(0 <= rate <= 0.01 for rate in found)
        assert found[0] > 0


def test_the_plateau_halves_after_patience_and_keeps_the_warm_up():
    settings_ = TrainingSettings(learning_rate=0.01, plateau_patience=2, warm_up_steps=4)
    schedule = Schedule(settings_, 100)
    for loss in (1.0, 1.0, 1.0, 1.0):
        schedule.note(loss)
    assert schedule.rate(50) == pytest.approx(0.005)
    assert schedule.rate(1) == pytest.approx(0.0025)


def small_state(**changes):
    torch.manual_seed(0)
    network = build_network(NETWORK, WIDTH)
    return fresh_state(network, TRAINING.model_copy(update=changes), 12, [], [])


def test_the_average_follows_the_weights_by_its_decay():
    state = small_state(averaging=0.9)
    begun = copy.deepcopy(state.average.entry.weight)
    wanted = begun.clone()
    for step in range(200):
        with torch.no_grad():
            state.network.entry.weight += 0.01
        state.step = step
        state.update_average(0.9)
        decay = min(0.9, (1 + step) / (10 + step))
        wanted = decay * wanted + (1 - decay) * state.network.entry.weight
    torch.testing.assert_close(state.average.entry.weight, wanted)
    # A long way behind a steady change, an average of decay d lags d / (1 - d) steps.
    behind = (state.network.entry.weight - state.average.entry.weight) / 0.01
    torch.testing.assert_close(behind, torch.full_like(behind, 9.0), rtol=1e-2, atol=1e-2)
    assert state.judged is state.average
    assert not state.average.training


def test_without_averaging_the_weights_themselves_are_judged():
    state = small_state()
    assert state.average is None
    assert state.judged is state.network


def test_a_run_ends_early_after_so_many_validations_without_progress():
    state = small_state()
    patient = TRAINING.model_copy(update={"early_stopping": 2})
    for step, loss in ((0, 1.0), (3, 0.5), (6, 0.6), (9, 0.5)):
        assert not _finished(state, patient)
        state.step = step
        state.record("validation", {"loss": loss})
        state.keep_if_best({"loss": loss})
    assert state.best_step == 3
    assert _finished(state, patient)
    assert not _finished(state, TRAINING)


def test_a_processor_trains_in_float32_unless_told_otherwise():
    assert choose_precision("auto", CPU).lower is None
    assert choose_precision("bfloat16", CPU).lower is torch.bfloat16
    assert not choose_precision("bfloat16", CPU).scaler().is_enabled()
    assert choose_precision("float16", CPU).scaler().is_enabled()


@pytest.mark.parametrize(("native", "chosen"), [(True, torch.bfloat16), (False, torch.float16)])
def test_a_cuda_device_trains_in_what_its_hardware_has(monkeypatch, native, chosen):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native)
    assert choose_precision("auto", torch.device("cuda")).lower is chosen
