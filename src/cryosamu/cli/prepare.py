"""`cryosamu prepare`: one map and its model become a training pair."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryosamu.cli.options import ConfigOption


def register(root: typer.Typer) -> None:
    """Add the command to the application."""
    root.command()(prepare)


def prepare(
    map_path: Annotated[Path, typer.Argument(metavar="MAP", help="Map, MRC/CCP4, .gz or not.")],
    model_path: Annotated[Path, typer.Argument(metavar="MODEL", help="Model, mmCIF or PDB.")],
    resolution: Annotated[float, typer.Option(help="Reported resolution of the map, Å.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The pair, .npy.")],
    config: ConfigOption = None,
) -> None:
    """Bring a map to the network's grid and scale, and simulate its target from the model.

    Writes float16 [2, z, y, x] (the map, the target), and a record beside it under the same name
    with .json: voxel size, origin, scales, widths, checksums.

    Example: `cryosamu prepare emd_1234.map.gz 1abc.cif.gz --resolution 5.2 -o EMD-1234.npy`
    """
    from cryosamu.config import read_config
    from cryosamu.preparation import prepare_pair

    prepare_pair(map_path, model_path, resolution, read_config(config).preparation, output)
