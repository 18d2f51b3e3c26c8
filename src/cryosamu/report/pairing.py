"""Which files are drawn for which entry."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryosamu.errors import CryosamuError
from cryosamu.evaluation.methods.many import record_path
from cryosamu.pairs import read_pairs


@dataclass(frozen=True)
class Pairing:
    """The files that are drawn for one entry."""

    emdb_id: str
    deposited: Path
    enhanced: Path
    model: Path

    @property
    def model_id(self) -> str:
        """The model file's name without its endings, in capitals: 5NI1 of 5ni1.cif.gz."""
        return self.model.name.partition(".")[0].upper()


def parse_pairing(text: str) -> Pairing:
    """Read `EMD-1234=DEPOSITED,ENHANCED,MODEL`.

    Raises
    ------
    CryosamuError
        When the text has another form.
    """
    emdb_id, _, paths = text.partition("=")
    parts = paths.split(",")
    if not emdb_id or len(parts) != 3 or not all(parts):
        raise CryosamuError(
            f"--pairing {text}: write it as EMD-1234=DEPOSITED_MAP,ENHANCED_MAP,MODEL; "
            "paths must not hold commas."
        )
    deposited, enhanced, model = (Path(part) for part in parts)
    return Pairing(emdb_id, deposited, enhanced, model)


def listed_pairings(work: Iterable[Path], enhanced: Path) -> list[Pairing]:
    """Return the pairings of work lists, by id; those without an enhanced map have none.

    Parameters
    ----------
    enhanced
        Folder of the enhanced maps, as `cryosamu evaluate method --work` leaves it.
    """
    pairs = [pair for path in work for pair in read_pairs(path)]
    pairings = [
        Pairing(
            pair.emdb_id,
            Path(pair.map),
            record_path(enhanced, pair.emdb_id).with_suffix(".mrc"),
            Path(pair.model),
        )
        for pair in sorted(pairs, key=lambda pair: pair.emdb_id)
    ]
    return [pairing for pairing in pairings if pairing.enhanced.is_file()]
