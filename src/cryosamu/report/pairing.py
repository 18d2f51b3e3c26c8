"""Which files are drawn for which entry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryosamu.errors import CryosamuError


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
