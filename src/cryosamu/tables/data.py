"""The tables of the data set: candidates, files, decisions, clusters, pairs and split."""

from __future__ import annotations

from cryosamu.tables.columns import COUNT, NUMBER, TEXT, TRUTH, schema

CATALOGUE = schema(
    emdb_id=TEXT,
    pdb_id=TEXT,
    pdb_ids=TEXT,
    model_choice=TEXT,
    built_from_map=TRUTH,
    exclusion=TEXT,
    title=TEXT,
    method=TEXT,
    resolution=NUMBER,
    resolution_method=TEXT,
    release_date=TEXT,
    revision_date=TEXT,
    model_revision_date=TEXT,
    polymer_types=TEXT,
    protein_entities=COUNT,
    nucleic_entities=COUNT,
    other_entities=COUNT,
    deposited_residues=COUNT,
    modelled_residues=COUNT,
    sequences=TEXT,
    map_file=TEXT,
    map_kilobytes=NUMBER,
    map_columns=COUNT,
    map_rows=COUNT,
    map_sections=COUNT,
    voxel_size=NUMBER,
    contour_level=NUMBER,
    half_maps=COUNT,
    half_map_files=TEXT,
    half_map_kilobytes=NUMBER,
    simulated=TRUTH,
)
"""One row a candidate; `resolution` and `voxel_size` in Å; absent values are null.

Lists (`pdb_ids`, `polymer_types`, `sequences`, `half_map_files`) are joined by semicolons.
`exclusion` says why an entry is none to use, such as an obsolete one; it is null for all others.
"""

FETCHES = schema(
    id=TEXT,
    kind=TEXT,
    status=TEXT,
    path=TEXT,
    bytes=COUNT,
    sha256=TEXT,
    url=TEXT,
    error=TEXT,
)
"""One row a file asked of the archive; `status` is ok or failed, then `error` says why."""

MEASUREMENTS = schema(
    emdb_id=TEXT,
    pdb_id=TEXT,
    error=TEXT,
    resolution=NUMBER,
    cc_box=NUMBER,
    cc_mask=NUMBER,
    cc_volume=NUMBER,
    cc_peaks=NUMBER,
    inside=NUMBER,
    repaired_cc_box=NUMBER,
    repaired_cc_mask=NUMBER,
    repaired_cc_volume=NUMBER,
    repaired_cc_peaks=NUMBER,
    repaired_inside=NUMBER,
    rotation_xx=NUMBER,
    rotation_xy=NUMBER,
    rotation_xz=NUMBER,
    rotation_yx=NUMBER,
    rotation_yy=NUMBER,
    rotation_yz=NUMBER,
    rotation_zx=NUMBER,
    rotation_zy=NUMBER,
    rotation_zz=NUMBER,
    translation_x=NUMBER,
    translation_y=NUMBER,
    translation_z=NUMBER,
    shift_x=NUMBER,
    shift_y=NUMBER,
    shift_z=NUMBER,
    rotation_angle=NUMBER,
    displacement=NUMBER,
    correlation_deposited=NUMBER,
    correlation_best=NUMBER,
    resolved_volumes=NUMBER,
    header_offset=TEXT,
    map_sha256=TEXT,
    model_sha256=TEXT,
)
"""One row a pair whose map was measured against its model; `error` says why where it could not be.

`repaired_…` are the numbers of the pose that fits best, null where that is the deposited one;
`rotation_…` (row, column) and `translation_…` (Å) lead there. `shift_…`, `displacement` and
`resolution` in Å, `rotation_angle` in degrees.
"""

REPAIRED = schema(emdb_id=TEXT, pdb_id=TEXT, path=TEXT, sha256=TEXT)
"""One row a pair whose model was moved to where it fits its map: the moved model's file."""

DECISIONS = schema(
    emdb_id=TEXT,
    pdb_id=TEXT,
    filter=TEXT,
    verdict=TEXT,
    value=NUMBER,
    threshold=NUMBER,
    reason=TEXT,
)
"""One row a filter that saw the entry; `verdict` is keep, drop or fail."""

CLUSTERS = schema(
    emdb_id=TEXT,
    cluster=TEXT,
    size=COUNT,
    representative=TEXT,
    representative_resolution=NUMBER,
    identity=NUMBER,
)
"""One row an entry whose model was kept: the connected component over similar protein chains."""

PAIRS = schema(
    emdb_id=TEXT,
    pdb_id=TEXT,
    resolution=NUMBER,
    contour_level=NUMBER,
    cluster=TEXT,
    correlation=NUMBER,
    simulated=TRUTH,
    repaired=TRUTH,
)
"""The curated map-model pairs; `cluster` is the connected component over shared chain clusters.

Where `repaired`, the model is to be moved to where it fits, and `correlation` is that pose's.
"""

SPLIT = schema(**{field.name: field.type for field in PAIRS}, split=TEXT)
"""PAIRS with `split`: train, validation or test."""

LEDGER = schema(emdb_id=TEXT, cluster=TEXT, split=TEXT)
"""Every entry that was ever given a split for one seed and shares, with its last component."""
