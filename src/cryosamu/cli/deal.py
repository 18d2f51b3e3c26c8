"""`cryosamu deal`: the pairs of a split, dealt to the jobs that work on them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cryosamu.cli.options import ConfigOption
from cryosamu.cli.records import FetchesOption


def register(root: typer.Typer) -> None:
    """Add the command to the application."""
    root.command()(deal)


def deal(
    split: Annotated[Path, typer.Argument(help="Table of pairs with their split (Parquet).")],
    fetches: FetchesOption,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the work lists.")],
    repaired: Annotated[
        Path | None, typer.Option(help="Table of the models that were moved (Parquet).")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Write the work lists: a JSON line a pair with its files and their checksums.

    `training/` holds the pairs of train and validation, `test/` those of test, each in as many
    lists as `shards.pairs` says. A pair's list depends on its id alone. `--work` of the commands
    that prepare, embed, enhance and evaluate takes one list.

        cryosamu deal results/split/split.parquet --fetches results/fetch/maps
        --fetches results/fetch/models -o results/split
    """
    from cryosamu.cli.records import read_fetched
    from cryosamu.config import read_config
    from cryosamu.curation.dealing import deal_pairs
    from cryosamu.tables import REPAIRED, SPLIT, read_table

    maps, models = read_fetched(fetches, "map"), read_fetched(fetches, "model")
    shards = read_config(config).shards.pairs
    moved = None if repaired is None else read_table(repaired, REPAIRED)
    deal_pairs(read_table(split, SPLIT), maps, models, moved, output, shards)
