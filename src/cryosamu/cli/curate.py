"""`cryosamu curate`: which map-model pairs are fit to learn from, and why the others are not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from cryosamu.cli.curate_story import curate, curate_funnel
from cryosamu.cli.options import ConfigOption, application

if TYPE_CHECKING:
    import pandas as pd

Read = TypeVar("Read")

CatalogueArgument = Annotated[Path, typer.Argument(help="Table of candidates (Parquet).")]
OutputOption = Annotated[Path, typer.Option("-o", "--output", help="Where the result goes.")]


def register(root: typer.Typer) -> None:
    """Add the commands to the application."""
    group = application()
    group.callback(invoke_without_command=True)(curate)
    for name, command in (
        ("metadata", curate_metadata),
        ("models", curate_models),
        ("measure", curate_measure),
        ("maps", curate_maps),
        ("funnel", curate_funnel),
    ):
        group.command(name)(command)
    root.add_typer(group, name="curate")


def curate_metadata(
    catalogue: CatalogueArgument, output: OutputOption, config: ConfigOption = None
) -> None:
    """Judge what the archive says: method, resolution, polymers, fitted model, map size.

    Example: `cryosamu curate metadata catalogue.parquet -o metadata.parquet`
    """
    from cryosamu.config import read_config
    from cryosamu.curation.entry import entries_of
    from cryosamu.curation.stages import judge_metadata
    from cryosamu.tables import CATALOGUE, DECISIONS, read_table, write_table

    settings = read_config(config)
    entries = entries_of(read_table(catalogue, CATALOGUE))
    limit = settings.archive.maximum_map_gigabytes
    decisions = judge_metadata(entries, settings.curation, limit)
    write_table(output, decisions, DECISIONS)
    _show_funnel(decisions)


def curate_models(
    catalogue: CatalogueArgument,
    decisions: Annotated[Path, typer.Option(help="Decisions of `curate metadata`.")],
    records: Annotated[
        list[Path],
        typer.Option(help="Fetch records of the models: files or folders; may be repeated."),
    ],
    clusters: Annotated[
        Path, typer.Option(help="Where the components of similar entries go (Parquet).")
    ],
    output: OutputOption,
    config: ConfigOption = None,
) -> None:
    """Judge the models: composition, completeness; then keep the best of similar entries.

    Example: `cryosamu curate models catalogue.parquet --decisions metadata.parquet
    --records records/models -o models.parquet --clusters clusters.parquet`
    """
    from cryosamu.archive.record import read_record
    from cryosamu.config import read_config
    from cryosamu.curation.entry import entries_of
    from cryosamu.curation.stages import judge_models, survivors
    from cryosamu.tables import CATALOGUE, CLUSTERS, DECISIONS, read_table, write_table

    settings = read_config(config).curation
    entries = entries_of(read_table(catalogue, CATALOGUE))
    passed = survivors(entries, read_table(decisions, DECISIONS))
    fetched = {record.id: record for record in _read_all(records, read_record)}
    judged, components = judge_models(passed, fetched, settings)
    write_table(clusters, components, CLUSTERS)
    write_table(output, judged, DECISIONS)
    _show_funnel(judged)


def curate_measure(
    map_record: Annotated[Path, typer.Option(help="Fetch record of the map.")],
    model_record: Annotated[Path, typer.Option(help="Fetch record of the model.")],
    resolution: Annotated[float, typer.Option(help="Reported resolution, Å.", min=0.1, max=1000)],
    output: OutputOption,
) -> None:
    """Measure a map against its model: correlations, share inside the box, best shift.

    Numbers alone, no thresholds. A download that failed is carried on as such, with exit status 0.

    Example: `cryosamu curate measure --map-record EMD-3488.json --model-record 5NI1.json
    --resolution 3.2 -o measurement.json`
    """
    from cryosamu.archive.record import read_record
    from cryosamu.curation.measurement import measure_pair, write_measurement

    measurement = measure_pair(read_record(map_record), read_record(model_record), resolution)
    write_measurement(output, measurement)


def curate_maps(
    catalogue: CatalogueArgument,
    decisions: Annotated[
        list[Path], typer.Option(help="Decisions of the stages before; repeat for each.")
    ],
    clusters: Annotated[Path, typer.Option(help="Components, from `curate models`.")],
    measurements: Annotated[
        list[Path], typer.Option(help="Measurements: files or folders; may be repeated.")
    ],
    pairs: Annotated[Path, typer.Option(help="Where the pairs that are left go (Parquet).")],
    output: OutputOption,
    config: ConfigOption = None,
) -> None:
    """Judge the measurements: alignment, model inside the map, correlation.

    Writes the decisions of all stages as one table, and the pairs that are left; shows how many
    entries each filter took.

    Example: `cryosamu curate maps catalogue.parquet --decisions metadata.parquet
    --decisions models.parquet --clusters clusters.parquet --measurements measurements
    -o decisions.parquet --pairs pairs.parquet`
    """
    import pandas as pd

    from cryosamu.config import read_config
    from cryosamu.curation.entry import entries_of
    from cryosamu.curation.measurement import read_measurement
    from cryosamu.curation.stages import judge_maps, survivors
    from cryosamu.tables import CATALOGUE, CLUSTERS, DECISIONS, PAIRS, read_table, write_table

    settings = read_config(config).curation
    entries = entries_of(read_table(catalogue, CATALOGUE))
    earlier = [read_table(path, DECISIONS) for path in decisions]
    components = read_table(clusters, CLUSTERS)
    names = dict(zip(components["emdb_id"], components["cluster"], strict=True))
    passed = {
        key: entry for key, entry in survivors(entries, pd.concat(earlier)).items() if key in names
    }
    measured = {one.emdb_id: one for one in _read_all(measurements, read_measurement)}
    judged, left = judge_maps(passed, measured, names, settings)
    everything = pd.concat([*earlier, judged], ignore_index=True)
    write_table(pairs, left, PAIRS)
    write_table(output, everything, DECISIONS)
    _show_funnel(everything)


def _read_all(paths: Iterable[Path], read: Callable[[Path], Read]) -> list[Read]:
    """Read JSON files and all those in folders."""
    files = (sorted(path.glob("*.json")) if path.is_dir() else [path] for path in paths)
    return [read(file) for group in files for file in group]


def _show_funnel(decisions: pd.DataFrame) -> None:
    from cryosamu.curation.funnel import funnel_lines

    for line in funnel_lines(decisions):
        typer.echo(line, err=True)
