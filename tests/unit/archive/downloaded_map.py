"""The map that the tests of downloads ask for: EMD-0093, its addresses and its content."""

from __future__ import annotations

import gzip

from tiny_archive import incompressible

FIRST = "ftp.ebi.ac.uk/pub/databases/emdb/structures/EMD-0093/map/emd_0093.map.gz"
SECOND = "files.rcsb.org/pub/emdb/structures/EMD-0093/map/emd_0093.map.gz"
DATA = gzip.compress(incompressible(300_000), mtime=0)


def left_behind(place):
    return sorted(file.name for file in place.parent.iterdir())
