"""Which model stands for a map."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryosamu.archive.choice import choose_model
from cryosamu.archive.model_answers import Model

MAP = "EMD-0001"


def model(pdb_id, maps=(), modelled=None):
    return Model(pdb_id, None, tuple(maps), modelled, "Protein", 1, 0, 0, 100, "A" * 100)


def choose(named, models=(), replaced=()):
    return choose_model(MAP, named, {one.pdb_id: one for one in models}, dict(replaced))


@pytest.mark.parametrize(
    ("models", "chosen", "reason"),
    [
        ([], "1AAA", "The first one named; RCSB describes none."),
        ([model("2BBB")], "2BBB", "Of 2 the one that RCSB describes."),
        ([model("1AAA"), model("2BBB")], "1AAA", "Of 2 models the first of the most complete."),
        (
            [model("1AAA", modelled=5), model("2BBB", modelled=6)],
            "2BBB",
            "Of 2 models the most complete (6 residues).",
        ),
        (
            [model("1AAA", [MAP], 5), model("2BBB", ["EMD-9"], 6)],
            "1AAA",
            "Of 2 the one built from this map.",
        ),
        (
            [model("1AAA", [MAP], 5), model("2BBB", ["EMD-9", MAP], 6)],
            "2BBB",
            "Of 2 of 2 built from this map the most complete (6 residues).",
        ),
    ],
)
def test_the_rule(models, chosen, reason):
    choice = choose(["1AAA", "2BBB"], models)
    assert (choice.pdb_id, choice.reason) == (chosen, reason)
    assert choice.pdb_ids == ("1AAA", "2BBB")


@pytest.mark.parametrize(
    ("maps", "told"), [((), None), ((MAP,), True), (("EMD-9",), False), (("EMD-9", MAP), True)]
)
def test_whether_rcsb_says_that_it_was_built_from_this_map(maps, told):
    assert choose(["1AAA"], [model("1AAA", maps)]).built_from_map is told


def test_no_model_at_all():
    assert choose([]).pdb_id is None
    assert choose([]).reason == "The archives name no model."


def test_a_successor_that_is_named_already_counts_once():
    choice = choose(["1OLD", "1NEW"], [model("1NEW")], {"1OLD": ["1NEW"]})
    assert choice.pdb_ids == ("1NEW",)
    assert choice.reason == "The only one. Obsolete: 1OLD."


NAMES = st.sampled_from(["1AAA", "2BBB", "3CCC", "4DDD", "5EEE"])


@given(
    st.lists(NAMES, unique=True),
    st.dictionaries(NAMES, st.tuples(st.booleans(), st.integers(0, 3))),
    st.dictionaries(NAMES, st.lists(NAMES, max_size=2)),
)
def test_whatever_the_archives_say(named, described, replaced):
    models = [
        model(one, [MAP] if own else ["EMD-9"], count)
        for one, (own, count) in described.items()
        if one not in replaced
    ]
    choice = choose(named, models, replaced)
    assert set(choice.pdb_ids).isdisjoint(replaced)
    assert (choice.pdb_id is None) == (choice.pdb_ids == ())
    rivals = {one.pdb_id: one for one in models if one.pdb_id in choice.pdb_ids}
    if rivals:
        best = rivals[choice.pdb_id]
        assert all(
            (MAP in best.maps, best.modelled_residues) >= (MAP in one.maps, one.modelled_residues)
            for one in rivals.values()
        )
