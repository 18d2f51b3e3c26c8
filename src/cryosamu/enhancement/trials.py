"""The controls of many pairs, each into a table of its own, and these joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryosamu.config import EmbeddingSettings, EnhancementSettings
from cryosamu.enhancement.released import released_checkpoint
from cryosamu.enhancement.trial import trial_of
from cryosamu.errors import CryosamuError
from cryosamu.evaluation.controls.run import controls_table, run_controls
from cryosamu.files import require_file, sha256_of
from cryosamu.pairs import Pair
from cryosamu.provenance import stage_digest
from cryosamu.shards import Made, Task, make_tasks, member_folder
from cryosamu.tables import CONTROLS, join_tables, write_table
from cryosamu.volume.io import read_map


@dataclass(frozen=True)
class Controlled:
    """What is put to the controls.

    Attributes
    ----------
    checkpoint
        The packaged one where None.
    embedding
        Where weights and store lie, and where to run the encoder.
    """

    checkpoint: Path | None
    enhancement: EnhancementSettings
    embedding: EmbeddingSettings


def control_pairs(
    pairs: Sequence[Pair], controlled: Controlled, folder: Path, workers: int = 1
) -> Made:
    """Make the controls of each pair that has none yet, or whose map or network is another now.

    Parameters
    ----------
    folder
        Of each pair's own table.
    """
    checkpoint = require_file(controlled.checkpoint or released_checkpoint(), "checkpoint")
    shared = {
        "checkpoint": sha256_of(checkpoint),
        **controlled.enhancement.model_dump(
            mode="json",
            include={"window", "margin", "precision", "skip_solvent", "averaging"},
        ),
        "code": stage_digest("controls"),
    }
    tasks = [
        Task(
            pair.emdb_id,
            (pair, controlled, _path(folder, pair)),
            {
                **shared,
                "map": pair.map_sha256,
                "model": pair.model_sha256,
                "pdb_id": pair.pdb_id,
                "resolution": pair.resolution,
                "contour": pair.contour_level,
            },
            (_path(folder, pair),),
        )
        for pair in pairs
    ]
    return make_tasks(tasks, _control, "controlled", workers)


def join_controls(pairs: Sequence[Pair], folder: Path, table: Path) -> None:
    """Write the rows of all pairs to one table."""
    join_tables(table, [_path(folder, pair) for pair in pairs], CONTROLS)


def _path(folder: Path, pair: Pair) -> Path:
    return member_folder(folder, pair.emdb_id) / f"{pair.emdb_id}.controls.parquet"


def _control(given: tuple[Pair, Controlled, Path]) -> None:
    pair, controlled, table = given
    volume = read_map(pair.arrived_map())
    try:
        subject, _ = trial_of(
            volume,
            pair.resolution,
            checkpoint=controlled.checkpoint,
            model_path=pair.arrived_model(),
            predicted_path=None,
            contour=pair.contour_level,
            halves=None,
            enhancement=controlled.enhancement,
            embedding=controlled.embedding,
        )
        outcomes = run_controls(subject)
    except CryosamuError as error:
        raise type(error)(f"{pair.map}: {error}") from error
    write_table(table, controls_table(outcomes, pair.emdb_id, pair.pdb_id), CONTROLS)
