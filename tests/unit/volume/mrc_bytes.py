"""An MRC2014 writer of forty lines, word by word, that owes nothing to the one under test."""

import struct

import numpy as np

VOXEL_TYPES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}


def mrc_bytes(
    voxels,
    mode=2,
    *,
    shape=None,
    nstart=(0, 0, 0),
    sampling=None,
    cell=None,
    angles=(90.0, 90.0, 90.0),
    axes=(1, 2, 3),
    space_group=1,
    origin=(0.0, 0.0, 0.0),
    labels=(),
    label_count=None,
    extended=b"",
    extended_type=bytes(4),
    big_endian=False,
    stamp=None,
    identity=b"MAP ",
):
    """Return a file's bytes; `voxels` are [sections, rows, columns] in the file's own order."""
    order = ">" if big_endian else "<"
    sections, rows, columns = shape or voxels.shape
    counts = dict(zip(axes, (columns, rows, sections), strict=True))
    sampling = sampling or tuple(counts.get(axis, 1) for axis in (1, 2, 3))
    cell = cell or tuple(float(n) for n in sampling)
    stamp = stamp or (b"\x11\x11\x00\x00" if big_endian else b"\x44\x44\x00\x00")
    words = struct.pack(order + "10i", columns, rows, sections, mode, *nstart, *sampling)
    words += struct.pack(order + "6f", *cell, *angles)
    words += struct.pack(order + "3i3f2i", *axes, 0.0, 0.0, 0.0, space_group, len(extended))
    words += bytes(8) + extended_type + bytes(88) + struct.pack(order + "3f", *origin)
    words += identity + stamp + struct.pack(order + "f", 0.0)
    words += struct.pack(order + "i", len(labels) if label_count is None else label_count)
    words += b"".join(label.ljust(80)[:80] for label in labels).ljust(800, b"\x00")
    assert len(words) == 1024
    return (
        words + extended + np.asarray(voxels).astype(order + VOXEL_TYPES.get(mode, "f4")).tobytes()
    )
