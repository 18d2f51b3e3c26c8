import pytest
from tiny_pairs import entry

from cryosamu.config import CurationSettings, ResolutionWindow
from cryosamu.curation.filter import Filter
from cryosamu.curation.filters import map_filters, metadata_filters, model_filters
from cryosamu.curation.filters.exclusion import ExclusionFilter
from cryosamu.curation.filters.fitted_model import FittedModelFilter
from cryosamu.curation.filters.map_size import MapSizeFilter
from cryosamu.curation.filters.method import MethodFilter
from cryosamu.curation.filters.polymers import PolymersFilter
from cryosamu.curation.filters.resolution import ResolutionFilter

WINDOW = ResolutionWindow(minimum=4.0, maximum=8.0)


@pytest.mark.parametrize(
    ("resolution", "verdict", "threshold"),
    [
        (3.99, "drop", 4.0),
        (4.0, "keep", 4.0),
        (7.0, "keep", 8.0),
        (8.0, "keep", 8.0),
        (8.01, "drop", 8.0),
        (None, "drop", None),
    ],
)
def test_resolution_window_includes_both_ends(resolution, verdict, threshold):
    decision = ResolutionFilter(WINDOW).judge(entry(resolution=resolution))
    assert (decision.verdict, decision.value, decision.threshold) == (
        verdict,
        resolution,
        threshold,
    )


@pytest.mark.parametrize(
    ("method", "verdict"), [("singleParticle", "keep"), ("helical", "drop"), (None, "drop")]
)
def test_method_is_one_of_those_asked_for(method, verdict):
    decision = MethodFilter(("singleParticle",)).judge(entry(method=method))
    assert decision.verdict == verdict
    assert "singleParticle" in decision.reason


@pytest.mark.parametrize(
    ("counts", "protein_only", "verdict", "value"),
    [
        ((2, 0, 0), True, "keep", 0),
        ((2, 1, 0), True, "drop", 1),
        ((2, 0, 1), True, "drop", 1),
        ((2, 1, 2), True, "drop", 3),
        ((2, 1, 0), False, "keep", 1),
        ((0, 0, 0), True, "drop", 0),
        ((0, 2, 0), False, "drop", 0),
        ((None, None, None), True, "keep", None),
        ((2, None, 0), True, "keep", None),
    ],
)
def test_polymers_are_protein_alone_or_unknown(counts, protein_only, verdict, value):
    protein, nucleic, other = counts
    candidate = entry(protein_entities=protein, nucleic_entities=nucleic, other_entities=other)
    decision = PolymersFilter(protein_only).judge(candidate)
    assert (decision.verdict, decision.value) == (verdict, value)


def test_a_model_must_be_named():
    assert FittedModelFilter().judge(entry()).verdict == "keep"
    assert FittedModelFilter().judge(entry(pdb_id=None)).verdict == "drop"


@pytest.mark.parametrize(
    ("changes", "verdict", "value"),
    [
        ({"map_kilobytes": 4_000_000.0}, "keep", 4.0),
        ({"map_kilobytes": 4_000_001.0}, "drop", 4.000001),
        ({"map_kilobytes": None}, "keep", None),
        ({"map_file": None}, "drop", None),
    ],
)
def test_map_size_in_gigabytes(changes, verdict, value):
    decision = MapSizeFilter(4.0).judge(entry(**changes))
    assert (decision.verdict, decision.value) == (verdict, value)


def test_filters_have_names_of_their_own_and_say_one_sentence():
    settings = CurationSettings()
    filters = (*metadata_filters(settings, 4.0), *model_filters(settings), *map_filters(settings))
    assert all(isinstance(one, Filter) for one in filters)
    names = [one.name for one in filters]
    assert len(set(names)) == len(names) == 13
    for one in metadata_filters(settings, 4.0):
        reason = one.judge(entry()).reason
        assert reason.endswith(".")
        assert reason[0].isupper()


def test_an_entry_that_the_archive_withdrew_is_dropped_in_its_words():
    assert ExclusionFilter().judge(entry()).verdict == "keep"
    decision = ExclusionFilter().judge(entry(exclusion="It is obsolete; EMD-2 took its place."))
    assert (decision.verdict, decision.reason) == ("drop", "It is obsolete; EMD-2 took its place.")
