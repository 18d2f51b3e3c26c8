"""The tables of the evaluation: metrics, curves, statistics, methods, controls and leakage."""

from __future__ import annotations

from cryosamu.tables.columns import COUNT, NUMBER, TEXT, TRUTH, schema

EVALUATION = schema(
    emdb_id=TEXT,
    pdb_id=TEXT,
    method=TEXT,
    metric=TEXT,
    value=NUMBER,
    definition=TEXT,
    mask=TEXT,
    low_passed=TRUTH,
    floor=NUMBER,
    baseline=NUMBER,
    settings=TEXT,
)
"""One row a method and metric; `low_passed`: the map was low-passed to the reported resolution.

`floor` is the best that any floor reaches and `baseline` what the deposited map low-passed to the
reported resolution reaches, of the same map, metric and filter.
"""

CURVES = schema(emdb_id=TEXT, method=TEXT, curve=TEXT, spatial_frequency=NUMBER, fsc=NUMBER)
"""Map-model FSC curves; `spatial_frequency` in 1/Å, `curve` is masked or unmasked."""

RESIDUES = schema(
    emdb_id=TEXT,
    pdb_id=TEXT,
    method=TEXT,
    chain=TEXT,
    residue=TEXT,
    name=TEXT,
    cc=NUMBER,
    cc_chain=NUMBER,
    q_score=NUMBER,
    d_local_fsc_05=NUMBER,
    d_local_half_maps=NUMBER,
)
"""One row a method and residue of the model; `cc_chain` is that of its whole chain; d in Å."""

SUMMARY = schema(
    method=TEXT,
    reference=TEXT,
    metric=TEXT,
    low_passed=TRUTH,
    bin=TEXT,
    maps=COUNT,
    failures=COUNT,
    undefined=COUNT,
    mean=NUMBER,
    median=NUMBER,
    reference_mean=NUMBER,
    mean_gain=NUMBER,
    median_gain=NUMBER,
    gain_low=NUMBER,
    gain_high=NUMBER,
    wins=COUNT,
    ties=COUNT,
    losses=COUNT,
    p=NUMBER,
    p_holm=NUMBER,
)
"""One row a method, metric, filter and resolution bin, over many maps; a positive gain is better.

`p` and the 95 % interval of the mean gain are given over all maps alone; failures are losses.
"""

SCATTER = schema(
    emdb_id=TEXT,
    pdb_id=TEXT,
    cluster=TEXT,
    resolution=NUMBER,
    method=TEXT,
    metric=TEXT,
    low_passed=TRUTH,
    x=NUMBER,
    y=NUMBER,
    gain=NUMBER,
    failed=TRUTH,
)
"""One row a map, method, metric and filter: x is the reference's value and y the method's."""

MEDIAN_CURVES = schema(
    method=TEXT,
    curve=TEXT,
    spatial_frequency=NUMBER,
    median=NUMBER,
    lower=NUMBER,
    upper=NUMBER,
    maps=COUNT,
)
"""The median FSC over maps between its quartiles; `spatial_frequency` in 1/Å."""

METHODS = schema(
    emdb_id=TEXT,
    method=TEXT,
    status=TEXT,
    error=TEXT,
    seconds=NUMBER,
    peak_megabytes=NUMBER,
    program=TEXT,
    version=TEXT,
    resampled=TRUTH,
    sha256=TEXT,
)
"""One row a method and map: `status` is ok or failed, then `error` says why; else `sha256` of it.

Wall time and the largest resident memory of the process that made the map; null where a finished
map was taken.
"""

CONTROLS = schema(
    emdb_id=TEXT,
    pdb_id=TEXT,
    number=COUNT,
    control=TEXT,
    verdict=TEXT,
    value=NUMBER,
    limit=NUMBER,
    expectation=TEXT,
    reason=TEXT,
    detail=TEXT,
)
"""One row a control of a map; number 0 is the hallucination score, 0 (nothing invented) to 1.

`verdict` is pass, fail or not_applicable; `reason` says what was found or why it does not apply;
`detail` holds further figures as JSON.
"""

LEAKAGE = schema(
    emdb_id=TEXT,
    pdb_id=TEXT,
    chain=TEXT,
    residues=COUNT,
    nearest_emdb_id=TEXT,
    nearest_pdb_id=TEXT,
    nearest_chain=TEXT,
    identity=NUMBER,
    shares_cluster=TRUTH,
)
"""One row an evaluated chain: its closest chain that was trained or validated on.

`identity`, 0 to 1, is null where no such chain aligns; `shares_cluster`: a trained chain is in the
same cluster, perhaps by way of others.
"""
