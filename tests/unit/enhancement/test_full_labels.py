"""A header whose ten labels are full: ours is added, and what gave way is told."""

import json
from dataclasses import replace

import numpy as np
import pytest

from cryosamu.enhancement.api import Enhanced
from cryosamu.enhancement.map_file import enhance_to_files
from cryosamu.enhancement.outputs import Wanted
from cryosamu.volume.header import computed_frame
from cryosamu.volume.io import read_map
from cryosamu.volume.volume import Volume


@pytest.mark.parametrize("count", [9, 10])
def test_the_label_that_gave_way_is_in_the_record(tmp_path, count):
    data = np.random.default_rng(0).normal(size=(5, 6, 7)).astype(np.float32)
    plain = Volume(data, (1.0, 1.0, 1.0))
    labels = tuple(f"step {{{number}}}" for number in range(count))
    volume = replace(plain, frame=replace(computed_frame(plain), labels=labels))
    record = {"notes": ["seen"], "seconds": {}}
    made = Enhanced(
        volume, volume, plain, None, None, None, None, None, {}, record, "ours", ("seen",), ()
    )  # fmt: skip
    wanted = Wanted(confidence=False, scene=False)
    enhance_to_files(lambda: made, tmp_path / "out.mrc", {}, wanted, lambda *_: "")

    written = json.loads((tmp_path / "out.json").read_text())
    assert read_map(tmp_path / "out.mrc").frame.labels == (*labels, "ours")[-10:]
    assert written["notes"][0] == "seen"
    assert ["'step {0}'" in note for note in written["notes"][1:]] == [True] * (count - 9)
    assert record["notes"] == ["seen"]
