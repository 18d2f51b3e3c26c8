"""Who stands for a component, where the maps of several of its entries are measured."""

from small_data_set import measurement
from test_curation_stages import model_file, named, protein, told
from tiny_pairs import entry

from cryosamu.config import CurationSettings
from cryosamu.curation.stages import judge_maps, judge_models


def with_candidates(count):
    return CurationSettings.model_validate({"clustering": {"candidates": count}})


def test_as_many_of_a_component_go_on_as_are_asked_for(tmp_path):
    names = "hen lysozyme", "human lysozyme"
    records = {
        f"1LY{n}": model_file(tmp_path, f"1LY{n}", *protein(names[n % 2])) for n in range(1, 5)
    }
    # EMD-2 and EMD-4 are equally well resolved.
    entries = named(
        *(
            entry(emdb_id=f"EMD-{n}", pdb_id=f"1LY{n}", resolution=resolution)
            for n, resolution in ((1, 7.0), (4, 5.0), (2, 5.0), (3, 6.0))
        )
    )
    for count, going_on in ((1, {"EMD-2"}), (2, {"EMD-2", "EMD-4"}), (9, set(entries))):
        decisions, _ = judge_models(entries, records, with_candidates(count))
        last = decisions[decisions["filter"] == "redundancy"].set_index("emdb_id")
        assert set(last.index[last["verdict"] == "keep"]) == going_on
    assert last.loc["EMD-4", "reason"].startswith("It is number 2 by resolution of 4 entries")
    assert last.loc["EMD-2", "reason"].startswith("It is the best resolved of 4 entries")


def test_the_best_resolved_that_passes_the_map_filters_stands_for_its_component():
    resolutions = {"EMD-1": 6.0, "EMD-2": 5.0, "EMD-3": 7.0, "EMD-4": 4.5}
    entries = named(*(entry(emdb_id=key, resolution=one) for key, one in resolutions.items()))
    measurements = {key: measurement(key) for key in resolutions}
    measurements["EMD-2"] = measurement("EMD-2", cc_mask=0.1)
    clusters = dict.fromkeys(("EMD-1", "EMD-2", "EMD-3"), "EMD-1") | {"EMD-4": "EMD-4"}
    decisions, pairs = judge_maps(entries, measurements, clusters, with_candidates(3))
    assert list(pairs["emdb_id"]) == ["EMD-1", "EMD-4"]
    assert told(decisions, "EMD-1")[-1] == ("representative", "keep")
    assert told(decisions, "EMD-2")[-1] == ("correlation", "drop")
    assert told(decisions, "EMD-3")[-1] == ("representative", "drop")
    assert told(decisions, "EMD-4")[-1] == ("correlation", "keep")  # there was no choice
    last = decisions[decisions["emdb_id"] == "EMD-3"].iloc[-1]
    assert last["reason"] == "EMD-1, better resolved, passed and stands for it."
