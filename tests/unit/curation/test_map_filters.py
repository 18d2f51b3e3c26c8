import pytest

from cryosamu.config import AlignmentSettings, CorrelationSettings
from cryosamu.curation.filters.alignment import AlignmentFilter
from cryosamu.curation.filters.correlation import CorrelationFilter
from cryosamu.curation.filters.inside import InsideFilter
from cryosamu.curation.measurement import SMALLEST_REPAIR, Measurement, Numbers
from cryosamu.structure.motion import RigidMotion

GOOD = Measurement(
    emdb_id="EMD-9001",
    pdb_id="9TST",
    resolution=5.0,
    cc_box=0.7,
    cc_mask=0.66,
    cc_volume=0.68,
    cc_peaks=0.5,
    inside=0.99,
    repaired=None,
    motion=RigidMotion(translation=(0.1, -0.2, 0.0)),
    shift=(0.1, -0.2, 0.0),
    rotation_angle=0.0,
    displacement=0.22,
    correlation_deposited=0.6,
    correlation_best=0.61,
    resolved_volumes=500.0,
    header_offset=None,
    map_sha256="00",
    model_sha256="11",
)
MOVED = Numbers(cc_box=0.75, cc_mask=0.72, cc_volume=0.7, cc_peaks=0.6, inside=1.0)
DROPPING = AlignmentFilter(AlignmentSettings())
REPAIRING = AlignmentFilter(AlignmentSettings(repair=True))


def changed(**values):
    return GOOD.model_copy(update=values)


MANGLED = changed(
    shift=(-14.7, -14.7, -14.7), displacement=25.46, rotation_angle=0.3, repaired=MOVED,
    correlation_deposited=0.02, correlation_best=0.71,
    inside=0.4, cc_mask=0.01,
)  # fmt: skip


@pytest.mark.parametrize(
    ("displacement", "best", "verdict"),
    [
        (0.22, 0.61, "keep"),
        (0.75, 0.9, "keep"),
        (0.76, 0.9, "drop"),
        (80.0, 0.62, "keep"),
        (80.0, 0.63, "drop"),
    ],
)
def test_misaligned_is_both_displaced_and_better(displacement, best, verdict):
    decision = DROPPING.judge(changed(displacement=displacement, correlation_best=best))
    assert (decision.verdict, decision.value, decision.threshold) == (verdict, displacement, 0.75)


def test_the_significance_is_that_of_the_likelihood_ratio_test():
    """n ln((1 - 0.36) / (1 - 0.4225)): 500 values, correlations 0.6 and 0.65."""
    assert changed(correlation_best=0.65).significance == pytest.approx(51.380, abs=1e-3)
    assert changed(correlation_best=0.6).significance == 0
    assert changed(correlation_deposited=1.0, correlation_best=1.0).significance == 0
    # A negative correlation explains nothing; the smaller map is judged more carefully.
    assert changed(correlation_deposited=-0.6, correlation_best=0.0).significance == 0
    small = changed(displacement=9.0, correlation_best=0.65, resolved_volumes=200.0)
    assert DROPPING.judge(small).verdict == "keep"
    assert "may be chance" in DROPPING.judge(small).reason


def test_the_motion_that_would_repair_is_told():
    decision = DROPPING.judge(MANGLED)
    assert decision.verdict == "drop"
    assert "adding (-14.7, -14.7, -14.7) Å to its centre, 25.5 Å in all" in decision.reason
    assert "turning it by 0.3° raises the local correlation from 0.02 to 0.71." in decision.reason
    why = changed(**dict(MANGLED) | {"header_offset": "it equals the map's nstart: so"})
    assert DROPPING.judge(why).reason.endswith("to 0.71; it equals the map's nstart: so.")


def test_a_repaired_model_is_kept_and_judged_where_it_then_lies():
    decision = REPAIRING.judge(MANGLED)
    assert decision.verdict == "keep"
    assert "adding (-14.7, -14.7, -14.7) Å" in decision.reason
    assert decision.reason.endswith("; it was moved.")
    settings = CorrelationSettings()
    assert InsideFilter(0.95, REPAIRING).judge(MANGLED).value == 1.0
    assert CorrelationFilter(settings, REPAIRING).judge(MANGLED).value == 0.72
    assert InsideFilter(0.95, DROPPING).judge(MANGLED).value == 0.4
    assert CorrelationFilter(settings, DROPPING).judge(MANGLED).value == 0.01


def test_a_model_in_place_is_not_repaired():
    near = changed(displacement=0.5, correlation_best=0.9, repaired=MOVED)
    assert not REPAIRING.repairs(near)
    assert CorrelationFilter(CorrelationSettings(), REPAIRING).judge(near).value == 0.66
    assert REPAIRING.judge(near).reason == "Its model lies 0.50 Å from where it fits best."


def test_no_threshold_needs_a_pose_that_was_not_measured():
    AlignmentSettings(maximum_displacement=SMALLEST_REPAIR)
    with pytest.raises(ValueError, match=r"greater than or equal to 0\.25"):
        AlignmentSettings(maximum_displacement=SMALLEST_REPAIR - 0.01)


@pytest.mark.parametrize(("share", "verdict"), [(0.949, "drop"), (0.95, "keep"), (0.0, "drop")])
def test_the_model_is_inside_the_map(share, verdict):
    decision = InsideFilter(0.95, DROPPING).judge(changed(inside=share))
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
    decision = CorrelationFilter(CorrelationSettings(kind=kind, minimum=minimum), DROPPING).judge(
        GOOD
    )
    assert (decision.verdict, decision.value, decision.threshold) == (verdict, value, minimum)
    assert kind.replace("cc", "CC") in decision.reason


def test_an_undefined_correlation_is_dropped():
    decision = CorrelationFilter(CorrelationSettings(), DROPPING).judge(changed(cc_mask=None))
    assert (decision.verdict, decision.value) == ("drop", None)
