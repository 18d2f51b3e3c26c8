"""Nothing that is measured stands on the page under a raw key."""

import pytest

from cryosamu.config import EvaluationSettings
from cryosamu.evaluation import definitions, leakage
from cryosamu.evaluation.building import trace_scores
from cryosamu.evaluation.controls.run import CONTROLS
from cryosamu.evaluation.controls.score import NAME
from cryosamu.evaluation.methods import FLOORS
from cryosamu.evaluation.methods.making import METHODS
from cryosamu.report import names

BUILT = ("residue_coverage", "sequence_match")
TRACED = [f for f in trace_scores.TraceScores.__dataclass_fields__ if f.startswith("catrace_")]


@pytest.mark.parametrize("key", [*definitions.METRICS, *BUILT, *TRACED])
def test_every_metric_is_described(key):
    metric = names.METRICS[key]
    assert metric.label != key
    assert metric.sentence[0].isupper()
    assert metric.sentence.endswith(".")


@pytest.mark.parametrize("key", definitions.METRICS)
def test_better_is_the_same_way_as_in_the_evaluation(key):
    assert names.METRICS[key].higher_is_better == definitions.METRICS[key].higher_is_better
    assert (names.METRICS[key].unit == "Å") == (not definitions.METRICS[key].higher_is_better)


@pytest.mark.parametrize("method", [*METHODS, *FLOORS, *EvaluationSettings().methods])
def test_every_method_has_a_name(method):
    assert names.method_label(method) != method


def test_labels_are_not_shared():
    for labels in (names.METHOD_LABELS, names.CONTROL_LABELS):
        assert len(set(labels.values())) == len(labels)
    assert len({metric.label for metric in names.METRICS.values()}) == len(names.METRICS)


def test_every_control_has_a_name_in_the_order_of_their_numbers():
    assert [control.__name__ for control in CONTROLS] == list(names.CONTROL_LABELS)
    assert names.SCORE == NAME


def test_what_can_be_deployed_is_what_does_not_use_the_answer():
    free = [method for method, (_, answer) in leakage.CONDITIONS.items() if not answer]
    assert list(names.DEPLOYABLE) == free
