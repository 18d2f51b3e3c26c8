import pytest

from cryosamu.config import AlignmentSettings, CorrelationSettings
from cryosamu.curation.filters.alignment import AlignmentFilter
from cryosamu.curation.filters.correlation import CorrelationFilter
from cryosamu.curation.filters.inside import InsideFilter
from cryosamu.curation.measurement import Measurement

GOOD = Measurement(
    emdb_id="EMD-9001",
    pdb_id="9TST",
    resolution=5.0,
    cc_box=0.7,
    cc_mask=0.66,
    cc_volume=0.68,
    cc_peaks=0.5,
    inside=0.99,
    shift=(0.1, -0.2, 0.0),
    shift_length=0.22,
    correlation_deposited=0.6,
    correlation_best=0.61,
    map_sha256="00",
    model_sha256="11",
)
ALIGNMENT = AlignmentFilter(maximum_shift=2.0, minimum_gain=0.1)


def changed(**values):
    return GOOD.model_copy(update=values)


@pytest.mark.parametrize(
    ("length", "best", "verdict"),
    [
        (0.22, 0.61, "keep"),
        (2.0, 0.9, "keep"),
        (2.1, 0.9, "drop"),
        (80.0, 0.65, "keep"),
        (80.0, 0.71, "drop"),
    ],
)
def test_misaligned_is_both_far_and_better(length, best, verdict):
    measured = changed(shift=(length, 0.0, 0.0), shift_length=length, correlation_best=best)
    decision = ALIGNMENT.judge(measured)
    assert (decision.verdict, decision.value, decision.threshold) == (verdict, length, 2.0)


def test_the_shift_that_would_repair_is_told():
    measured = changed(
        shift=(-14.7, -14.7, -14.7), shift_length=25.46, correlation_deposited=0.02,
        correlation_best=0.71,
    )  # fmt: skip
    decision = ALIGNMENT.judge(measured)
    assert "adding (-14.7, -14.7, -14.7) Å" in decision.reason
    assert "from 0.02 to 0.71" in decision.reason


@pytest.mark.parametrize(("share", "verdict"), [(0.949, "drop"), (0.95, "keep"), (0.0, "drop")])
def test_the_model_is_inside_the_map(share, verdict):
    decision = InsideFilter(0.95).judge(changed(inside=share))
    assert (decision.verdict, decision.value, decision.threshold) == (verdict, share, 0.95)


@pytest.mark.parametrize(
    ("kind", "minimum", "verdict", "value"),
    [
        ("cc_mask", 0.65, "keep", 0.66),
        ("cc_mask", 0.66, "keep", 0.66),
        ("cc_mask", 0.67, "drop", 0.66),
        ("cc_box", 0.69, "keep", 0.7),
        ("cc_volume", 0.69, "drop", 0.68),
        ("cc_peaks", 0.65, "drop", 0.5),
    ],
)
def test_correlation_of_the_kind_configured(kind, minimum, verdict, value):
    decision = CorrelationFilter(CorrelationSettings(kind=kind, minimum=minimum)).judge(GOOD)
    assert (decision.verdict, decision.value, decision.threshold) == (verdict, value, minimum)
    assert kind.replace("cc", "CC") in decision.reason


def test_an_undefined_correlation_is_dropped():
    decision = CorrelationFilter(CorrelationSettings()).judge(changed(cc_mask=None))
    assert (decision.verdict, decision.value) == ("drop", None)


def test_the_recipe_tells_a_shift_of_three_angstrom():
    """Measured shifts are within 0.5 Å of the truth: the default must leave room for that."""
    settings = AlignmentSettings()
    assert settings.maximum_shift <= 2.5
    assert settings.minimum_gain > 0
