"""`cryosamu curate repair`: a misaligned model, moved to where it fits its map."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def curate_repair(
    model: Annotated[Path, typer.Argument(help="The model that was measured, mmCIF or PDB.")],
    measurement: Annotated[Path, typer.Option(help="Measurement of `curate measure` (JSON).")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The moved model, .cif.gz.")],
) -> None:
    """Move a model by the rigid motion that its measurement found.

    All atoms move, with their symmetry operators; the file says that it was moved and how, in the
    category `_cryosamu_repair`.

    Example: `cryosamu curate repair 5NI1.cif.gz --measurement EMD-3488.json -o 5NI1_moved.cif.gz`
    """
    from cryosamu.curation.repair import write_repaired_model

    write_repaired_model(model, measurement, output)
