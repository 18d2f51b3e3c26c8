"""The controls of the pairs of a shard."""

import pandas as pd
import pytest
from small_networks import write_checkpoint

from cryosamu.config import EmbeddingSettings, EnhancementSettings
from cryosamu.enhancement import trials
from cryosamu.enhancement.trials import Controlled, control_pairs, join_controls
from cryosamu.tables import CONTROLS, read_table, write_table


@pytest.fixture
def controlled(tmp_path):
    write_checkpoint(tmp_path / "net.safetensors")
    checkpoint = tmp_path / "net.safetensors"
    return Controlled(checkpoint, EnhancementSettings(device="cpu"), EmbeddingSettings())


@pytest.fixture
def pairs(tmp_path, pair_of):
    for name in ("map.mrc", "model.cif"):
        (tmp_path / name).write_text(name)
    files = tmp_path / "map.mrc", tmp_path / "model.cif"
    return [pair_of(*files, emdb_id=f"EMD-{number}") for number in (1001, 1002)]


@pytest.fixture
def written(monkeypatch):
    """The ids that controls were made of; the controls themselves have tests of their own."""
    done = []

    def make(given):
        pair, _, table = given
        done.append(pair.emdb_id)
        rows = [dict.fromkeys(CONTROLS.names) | {"emdb_id": pair.emdb_id, "number": 0}]
        write_table(table, pd.DataFrame(rows, columns=CONTROLS.names), CONTROLS)

    monkeypatch.setattr(trials, "_control", make)
    return done


def test_controls_are_made_once_and_again_for_another_network(controlled, pairs, written, tmp_path):
    folder = tmp_path / "members"
    assert control_pairs(pairs[:1], controlled, folder).made == 1
    assert control_pairs(pairs, controlled, folder).summary("controlled") == (
        "1 controlled, 1 kept"
    )
    join_controls(pairs, folder, tmp_path / "t.parquet")
    assert list(read_table(tmp_path / "t.parquet", CONTROLS)["emdb_id"]) == written
    other = Controlled(
        controlled.checkpoint, EnhancementSettings(device="cuda"), controlled.embedding
    )
    assert control_pairs(pairs, other, folder).made == 0
    write_checkpoint(tmp_path / "net.safetensors", notes=("another",))
    assert control_pairs(pairs, controlled, folder).made == 2
