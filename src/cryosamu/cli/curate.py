"""`cryosamu curate`: which map-model pairs are fit to learn from, and why the others are not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryosamu.cli.curate_lock import curate_lock, curate_unlock, curate_update, curate_verify
from cryosamu.cli.curate_story import curate, curate_funnel
from cryosamu.cli.options import ConfigOption, application
from cryosamu.cli.records import FetchesOption, MeasurementsOption, MembersOption, WorkersOption
from cryosamu.cli.repair import curate_repair

if TYPE_CHECKING:
    import pandas as pd

WorkOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Write work lists for the next step here: 00.jsonl, 01.jsonl …, as many as "
        "`shards.candidates` says.",
    ),
]
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
    work: WorkOption = None,
    config: ConfigOption = None,
) -> None:
    """Judge what the archive says: method, resolution, polymers, fitted model, map size.

    The work lists name the models to fetch.

    Example: `cryosamu curate metadata catalogue.parquet -o metadata.parquet --work work`
    """
    from cryosamu.config import read_config
    from cryosamu.curation.entry import entries_of
    from cryosamu.curation.stages import judge_metadata, survivors
    from cryosamu.shards import write_work
    from cryosamu.tables import CATALOGUE, DECISIONS, read_table, write_table

    settings = read_config(config)
    entries = entries_of(read_table(catalogue, CATALOGUE))
    limit = settings.archive.maximum_map_gigabytes
    decisions = judge_metadata(entries, settings.curation, limit)
    if work is not None:
        models = {entry.pdb_id for entry in survivors(entries, decisions).values()} - {None}
        members = ({"pdb_id": model} for model in models)
        write_work(work, members, settings.shards.candidates, by="pdb_id")
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
    work: WorkOption = None,
    threads: Annotated[
        int,
        typer.Option(help="Models read at a time; threads of the clustering.", min=1),
    ] = 1,
    config: ConfigOption = None,
) -> None:
    """Judge the models: composition, completeness; then keep the best of similar entries.

    The work lists name the entries whose maps are to be fetched and measured, with resolution,
    model and checksum. The number of threads does not change the result. Temporary files go
    beside the output.

    Example: `cryosamu curate models catalogue.parquet --decisions metadata.parquet
    --fetches fetches -o models.parquet --clusters clusters.parquet`
    """
    from dataclasses import asdict

    from cryosamu.cli.records import read_fetched
    from cryosamu.config import read_config
    from cryosamu.curation.entry import entries_of
    from cryosamu.curation.measuring import candidates_of
    from cryosamu.curation.stages import judge_models, survivors
    from cryosamu.errors import CryosamuError
    from cryosamu.shards import write_work
    from cryosamu.tables import CATALOGUE, CLUSTERS, DECISIONS, read_table, write_table

    settings = read_config(config)
    entries = entries_of(read_table(catalogue, CATALOGUE))
    passed = survivors(entries, read_table(decisions, DECISIONS))
    fetched = read_fetched(fetches, "model")
    if passed and not fetched:
        raise CryosamuError(
            f"{fetches[0]}: holds no fetch of a model; run `cryosamu fetch models`."
        )
    judged, components = judge_models(passed, fetched, settings.curation, threads, output.parent)
    if work is not None:
        candidates = candidates_of(survivors(passed, judged).values(), fetched)
        write_work(work, map(asdict, candidates), settings.shards.candidates)
    write_table(clusters, components, CLUSTERS)
    write_table(output, judged, DECISIONS)
    _show_funnel(judged)


def curate_measure(
    work: Annotated[
        Path, typer.Argument(metavar="LIST", help="A work list of `curate models --work`.")
    ],
    maps: Annotated[list[Path], typer.Option(help="Tables of `fetch maps`; may be repeated.")],
    members: MembersOption,
    output: OutputOption,
    workers: WorkersOption = 1,
) -> None:
    """Measure maps against their models: correlations, share inside the box, best pose.

    Numbers alone, no thresholds. A download that failed is carried on as such. What was measured
    before, from the same files, is kept.

    Example: `cryosamu curate measure work/00.jsonl --maps fetched.parquet --members measured
    -o measurements.parquet`
    """
    from cryosamu.cli.records import read_fetched
    from cryosamu.curation.measurement_table import write_measurements
    from cryosamu.curation.measuring import measure_candidates, read_candidates

    fetched = read_fetched(maps, "map")
    made, measured = measure_candidates(read_candidates(work), fetched, members, workers)
    write_measurements(output, measured)
    typer.echo(f"{output}: {made.summary('pairs measured')}", err=True)


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
