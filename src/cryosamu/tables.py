"""The tables that cross from one stage to the next: their columns, checked on both sides."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cryosamu.errors import CryosamuError
from cryosamu.files import atomic_path, require_file


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema([pa.field(name, kind) for name, kind in columns.items()])


_TEXT, _NUMBER, _COUNT, _TRUTH = pa.string(), pa.float64(), pa.int64(), pa.bool_()

CATALOGUE = _schema(
    emdb_id=_TEXT,
    pdb_id=_TEXT,
    pdb_ids=_TEXT,
    model_choice=_TEXT,
    built_from_map=_TRUTH,
    exclusion=_TEXT,
    title=_TEXT,
    method=_TEXT,
    resolution=_NUMBER,
    resolution_method=_TEXT,
    release_date=_TEXT,
    revision_date=_TEXT,
    model_revision_date=_TEXT,
    polymer_types=_TEXT,
    protein_entities=_COUNT,
    nucleic_entities=_COUNT,
    other_entities=_COUNT,
    deposited_residues=_COUNT,
    modelled_residues=_COUNT,
    sequences=_TEXT,
    map_file=_TEXT,
    map_kilobytes=_NUMBER,
    map_columns=_COUNT,
    map_rows=_COUNT,
    map_sections=_COUNT,
    voxel_size=_NUMBER,
    contour_level=_NUMBER,
    half_maps=_COUNT,
    half_map_files=_TEXT,
    half_map_kilobytes=_NUMBER,
    simulated=_TRUTH,
)
"""One row a candidate; `resolution` and `voxel_size` in Å; absent values are null.

Lists (`pdb_ids`, `polymer_types`, `sequences`, `half_map_files`) are joined by semicolons.
`exclusion` says why an entry is none to use, such as an obsolete one; it is null for all others.
"""

FETCHES = _schema(
    id=_TEXT,
    kind=_TEXT,
    status=_TEXT,
    path=_TEXT,
    bytes=_COUNT,
    sha256=_TEXT,
    url=_TEXT,
    error=_TEXT,
)
"""One row a file asked of the archive; `status` is ok or failed, then `error` says why."""

DECISIONS = _schema(
    emdb_id=_TEXT,
    pdb_id=_TEXT,
    filter=_TEXT,
    verdict=_TEXT,
    value=_NUMBER,
    threshold=_NUMBER,
    reason=_TEXT,
)
"""One row a filter that saw the entry; `verdict` is keep, drop or fail."""

CLUSTERS = _schema(
    emdb_id=_TEXT,
    cluster=_TEXT,
    size=_COUNT,
    representative=_TEXT,
    representative_resolution=_NUMBER,
    identity=_NUMBER,
)
"""One row an entry whose model was kept: the connected component over similar protein chains."""

PAIRS = _schema(
    emdb_id=_TEXT,
    pdb_id=_TEXT,
    resolution=_NUMBER,
    contour_level=_NUMBER,
    cluster=_TEXT,
    correlation=_NUMBER,
    simulated=_TRUTH,
    repaired=_TRUTH,
)
"""The curated map-model pairs; `cluster` is the connected component over shared chain clusters.

Where `repaired`, the model is to be moved to where it fits, and `correlation` is that pose's.
"""

SPLIT = _schema(**{field.name: field.type for field in PAIRS}, split=_TEXT)
"""PAIRS with `split`: train, validation or test."""

LEDGER = _schema(emdb_id=_TEXT, cluster=_TEXT, split=_TEXT)
"""Every entry that was ever given a split for one seed and shares, with its last component."""

HISTORY = _schema(step=_COUNT, split=_TEXT, metric=_TEXT, value=_NUMBER, learning_rate=_NUMBER)
"""Training curves in long form."""

EVALUATION = _schema(
    emdb_id=_TEXT,
    pdb_id=_TEXT,
    method=_TEXT,
    metric=_TEXT,
    value=_NUMBER,
    definition=_TEXT,
    mask=_TEXT,
    low_passed=_TRUTH,
    floor=_NUMBER,
    baseline=_NUMBER,
    settings=_TEXT,
)
"""One row a method and metric; `low_passed`: the map was low-passed to the reported resolution.

`floor` is the best that any floor reaches and `baseline` what the deposited map low-passed to the
reported resolution reaches, of the same map, metric and filter.
"""

CURVES = _schema(emdb_id=_TEXT, method=_TEXT, curve=_TEXT, spatial_frequency=_NUMBER, fsc=_NUMBER)
"""Map-model FSC curves; `spatial_frequency` in 1/Å, `curve` is masked or unmasked."""

RESIDUES = _schema(
    emdb_id=_TEXT,
    pdb_id=_TEXT,
    method=_TEXT,
    chain=_TEXT,
    residue=_TEXT,
    name=_TEXT,
    cc=_NUMBER,
    cc_chain=_NUMBER,
    q_score=_NUMBER,
    d_local_fsc_05=_NUMBER,
    d_local_half_maps=_NUMBER,
)
"""One row a method and residue of the model; `cc_chain` is that of its whole chain; d in Å."""

SUMMARY = _schema(
    method=_TEXT,
    reference=_TEXT,
    metric=_TEXT,
    low_passed=_TRUTH,
    bin=_TEXT,
    maps=_COUNT,
    failures=_COUNT,
    undefined=_COUNT,
    mean=_NUMBER,
    median=_NUMBER,
    reference_mean=_NUMBER,
    mean_gain=_NUMBER,
    median_gain=_NUMBER,
    gain_low=_NUMBER,
    gain_high=_NUMBER,
    wins=_COUNT,
    ties=_COUNT,
    losses=_COUNT,
    p=_NUMBER,
    p_holm=_NUMBER,
)
"""One row a method, metric, filter and resolution bin, over many maps; a positive gain is better.

`p` and the 95 % interval of the mean gain are given over all maps alone; failures are losses.
"""

SCATTER = _schema(
    emdb_id=_TEXT,
    pdb_id=_TEXT,
    cluster=_TEXT,
    resolution=_NUMBER,
    method=_TEXT,
    metric=_TEXT,
    low_passed=_TRUTH,
    x=_NUMBER,
    y=_NUMBER,
    gain=_NUMBER,
    failed=_TRUTH,
)
"""One row a map, method, metric and filter: x is the reference's value and y the method's."""

MEDIAN_CURVES = _schema(
    method=_TEXT,
    curve=_TEXT,
    spatial_frequency=_NUMBER,
    median=_NUMBER,
    lower=_NUMBER,
    upper=_NUMBER,
    maps=_COUNT,
)
"""The median FSC over maps between its quartiles; `spatial_frequency` in 1/Å."""

METHODS = _schema(
    emdb_id=_TEXT,
    method=_TEXT,
    status=_TEXT,
    error=_TEXT,
    seconds=_NUMBER,
    peak_megabytes=_NUMBER,
    program=_TEXT,
    version=_TEXT,
    resampled=_TRUTH,
)
"""One row a method and map: `status` is ok or failed, then `error` says why.

Wall time and the largest resident memory of the process that made the map; null where a finished
map was taken.
"""

CONTROLS = _schema(
    emdb_id=_TEXT,
    pdb_id=_TEXT,
    number=_COUNT,
    control=_TEXT,
    verdict=_TEXT,
    value=_NUMBER,
    limit=_NUMBER,
    expectation=_TEXT,
    reason=_TEXT,
    detail=_TEXT,
)
"""One row a control of a map; number 0 is the hallucination score, 0 (nothing invented) to 1.

`verdict` is pass, fail or not_applicable; `reason` says what was found or why it does not apply;
`detail` holds further figures as JSON.
"""

LEAKAGE = _schema(
    emdb_id=_TEXT,
    pdb_id=_TEXT,
    chain=_TEXT,
    residues=_COUNT,
    nearest_emdb_id=_TEXT,
    nearest_pdb_id=_TEXT,
    nearest_chain=_TEXT,
    identity=_NUMBER,
    shares_cluster=_TRUTH,
)
"""One row an evaluated chain: its closest chain that was trained or validated on.

`identity`, 0 to 1, is null where no such chain aligns; `shares_cluster`: a trained chain is in the
same cluster, perhaps by way of others.
"""


def write_table(path: Path | str, frame: pd.DataFrame, schema: pa.Schema) -> None:
    """Write a table as Parquet with exactly the columns of `schema`, in its order.

    Raises
    ------
    CryosamuError
        When a column is missing, is not of the schema, or has values of another type.
    """
    columns = [str(name) for name in frame.columns]
    if sorted(columns) != sorted(schema.names):
        wrong = (Counter(columns) - Counter(schema.names)) + (
            Counter(schema.names) - Counter(columns)
        )
        raise CryosamuError(f"{path}: missing or unexpected columns {', '.join(sorted(wrong))}.")
    try:
        table = pa.Table.from_pandas(frame[schema.names], schema=schema, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise CryosamuError(f"{path}: a column has values of a wrong type ({error}).") from error
    with atomic_path(path) as temporary:
        pq.write_table(table.replace_schema_metadata(None), temporary)


def read_table(path: Path | str, schema: pa.Schema) -> pd.DataFrame:
    """Read a table and check that it has the columns and types of `schema`.

    Raises
    ------
    CryosamuError
        When the file is not a Parquet table of this kind.
    """
    path = require_file(path, "table")
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        reason = " ".join(str(error).split())
        raise CryosamuError(f"{path}: is not a Parquet table ({reason}).") from error
    found = table.schema.remove_metadata()
    if not found.equals(schema):
        raise CryosamuError(
            f"{path}: is another table, or of an earlier version ({_differences(found, schema)}); "
            "make it anew with the command that writes it."
        )
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _differences(found: pa.Schema, wanted: pa.Schema) -> str:
    """Return in words how the columns of two tables differ."""
    lacking = [name for name in wanted.names if name not in found.names]
    extra = [name for name in found.names if name not in wanted.names]
    mistyped = [
        name
        for name in wanted.names
        if name in found.names and found.field(name) != wanted.field(name)
    ]
    kinds = {"lacks": lacking, "has beside": extra, "has of another type": mistyped}
    named = [f"it {kind} {', '.join(names)}" for kind, names in kinds.items() if names]
    return ", ".join(named) or "its columns stand in another order"
