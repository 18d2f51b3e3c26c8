"""`cryosamu curate`: which map-model pairs are fit to learn from, and why the others are not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryosamu.cli.curate_lock import curate_lock, curate_unlock, curate_update, curate_verify
from cryosamu.cli.curate_story import curate, curate_funnel
from cryosamu.cli.options import ConfigOption, application
from cryosamu.cli.records import FetchesOption, MeasurementsOption
from cryosamu.cli.repair import curate_repair

if TYPE_CHECKING:
    import pandas as pd

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
        ("repair", curate_repair),
        ("funnel", curate_funnel),
        ("lock", curate_lock),
        ("unlock", curate_unlock),
        ("verify", curate_verify),
        ("update", curate_update),
    ):
        group.command(name)(command)
    root.add_typer(group, name="curate")


def curate_metadata(
    catalogue: CatalogueArgument,
    output: OutputOption,
    model_lists: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Write lists of the models to fetch here: 0.txt, 1.txt …"
        ),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Judge what the archive says: method, resolution, polymers, fitted model, map size.

    Example: `cryosamu curate metadata catalogue.parquet -o metadata.parquet --model-lists lists`
    """
    from cryosamu.archive.lists import write_lists
    from cryosamu.config import read_config
    from cryosamu.curation.entry import entries_of
    from cryosamu.curation.stages import judge_metadata, survivors
    from cryosamu.tables import CATALOGUE, DECISIONS, read_table, write_table

    settings = read_config(config)
    entries = entries_of(read_table(catalogue, CATALOGUE))
    limit = settings.archive.maximum_map_gigabytes
    decisions = judge_metadata(entries, settings.curation, limit)
    if model_lists is not None:
        models = [entry.pdb_id for entry in survivors(entries, decisions).values() if entry.pdb_id]
        write_lists(model_lists, models, settings.archive.model_lists)
    write_table(output, decisions, DECISIONS)
    _show_funnel(decisions)


def curate_models(
    catalogue: CatalogueArgument,
    decisions: Annotated[Path, typer.Option(help="Decisions of `curate metadata`.")],
    fetches: FetchesOption,
    clusters: Annotated[
        Path, typer.Option(help="Where the components of similar entries go (Parquet).")
    ],
    output: OutputOption,
    threads: Annotated[int, typer.Option(help="Threads of the clustering.", min=1)] = 1,
    config: ConfigOption = None,
) -> None:
    """Judge the models: composition, completeness; then keep the best of similar entries.

    The number of threads does not change the result. Temporary files go beside the output.

    Example: `cryosamu curate models catalogue.parquet --decisions metadata.parquet
    --fetches fetches -o models.parquet --clusters clusters.parquet`
    """
    from cryosamu.cli.records import read_fetched
    from cryosamu.config import read_config
    from cryosamu.curation.entry import entries_of
    from cryosamu.curation.stages import judge_models, survivors
    from cryosamu.errors import CryosamuError
    from cryosamu.tables import CATALOGUE, CLUSTERS, DECISIONS, read_table, write_table

    settings = read_config(config).curation
    entries = entries_of(read_table(catalogue, CATALOGUE))
    passed = survivors(entries, read_table(decisions, DECISIONS))
    fetched = read_fetched(fetches, "model")
    if passed and not fetched:
        raise CryosamuError(
            f"{fetches[0]}: holds no fetch of a model; run `cryosamu fetch models`."
        )
    judged, components = judge_models(passed, fetched, settings, threads, output.parent)
    write_table(clusters, components, CLUSTERS)
    write_table(output, judged, DECISIONS)
    _show_funnel(judged)


def curate_measure(
    map_record: Annotated[Path, typer.Option(help="Fetch record of the map.")],
    fetches: FetchesOption,
    pdb_id: Annotated[str, typer.Option(help="The model, such as 5NI1.")],
    resolution: Annotated[float, typer.Option(help="Reported resolution, Å.", min=0.1, max=1000)],
    output: OutputOption,
) -> None:
    """Measure a map against its model: correlations, share inside the box, best pose.

    Numbers alone, no thresholds. A download that failed is carried on as such, with exit status 0.

    Example: `cryosamu curate measure --map-record EMD-3488.json --fetches fetches.parquet
    --pdb-id 5NI1 --resolution 3.2 -o measurement.json`
    """
    from cryosamu.archive.record import read_record
    from cryosamu.archive.urls import pdb_id as full_pdb_id
    from cryosamu.cli.records import read_fetched
    from cryosamu.curation.measurement import measure_pair, write_measurement
    from cryosamu.errors import CryosamuError

    model = read_fetched(fetches, "model").get(full_pdb_id(pdb_id))
    if model is None:
        raise CryosamuError(f"{fetches[0]}: has no fetch of the model {pdb_id}; fetch it first.")
    measurement = measure_pair(read_record(map_record), model, resolution)
    write_measurement(output, measurement)


def curate_maps(
    catalogue: CatalogueArgument,
    decisions: Annotated[
        list[Path], typer.Option(help="Decisions of the stages before; repeat for each.")
    ],
    clusters: Annotated[Path, typer.Option(help="Components, from `curate models`.")],
    measurements: MeasurementsOption,
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

    from cryosamu.cli.records import read_measurements
    from cryosamu.config import read_config
    from cryosamu.curation.entry import entries_of
    from cryosamu.curation.stages import judge_maps, survivors
    from cryosamu.errors import CryosamuError
    from cryosamu.tables import CATALOGUE, CLUSTERS, DECISIONS, PAIRS, read_table, write_table

    settings = read_config(config).curation
    entries = entries_of(read_table(catalogue, CATALOGUE))
    earlier = [read_table(path, DECISIONS) for path in decisions]
    components = read_table(clusters, CLUSTERS)
    names = dict(zip(components["emdb_id"], components["cluster"], strict=True))
    passed = survivors(entries, pd.concat(earlier))
    if strange := sorted(set(passed) - set(names)):
        raise CryosamuError(
            f"{clusters}: has no component of {strange[0]}, which the decisions let through; give "
            "the decisions of `curate metadata` and `curate models`, and the components of that."
        )
    measured = read_measurements(measurements)
    if passed and not measured:
        raise CryosamuError(
            f"{measurements[0]}: holds no measurement; run `cryosamu curate measure`."
        )
    judged, left = judge_maps(passed, measured, names, settings)
    everything = pd.concat([*earlier, judged], ignore_index=True)
    write_table(pairs, left, PAIRS)
    write_table(output, everything, DECISIONS)
    _show_funnel(everything)


def _show_funnel(decisions: pd.DataFrame) -> None:
    from cryosamu.curation.funnel import funnel_lines

    for line in funnel_lines(decisions):
        typer.echo(line, err=True)
