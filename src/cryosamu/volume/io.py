"""Reading and writing MRC/CCP4 maps with their frame kept to the bit."""

from __future__ import annotations

import bz2
import gzip
import zlib
from dataclasses import replace
from io import BufferedReader
from pathlib import Path
from typing import IO

import numpy as np

from cryosamu.errors import MapError
from cryosamu.files import atomic_path, require_file
from cryosamu.volume.header import (
    HEADER_BYTES,
    VOXEL_TYPES,
    checked_frame,
    computed_frame,
    extended_bytes,
    may_hold_symmetry,
    new_header,
    parse_header,
    place_of,
    symmetry_operators,
    voxel_size_of,
)
from cryosamu.volume.volume import FileFrame, FloatArray, Volume

MAXIMUM_VOXELS = 1_500_000_000
"""Largest map that is read: 1145³, 6 GB as float32."""

LARGEST_VALUE = 1e28
"""Sums over the largest map of larger voxels, as in a Fourier transform, overflow float32."""

_LONGEST_GROWTH = 1032
"""No deflate stream grows by more than this factor; of bzip2's no real map does."""

_PIECE_BYTES = 1 << 24
_TRAILING_BYTES = 1 << 20
"""Bytes after the voxels that are read to check a compressed stream to its end."""

_DAMAGE = (OSError, EOFError, zlib.error)


def read_map(path: Path | str, maximum_voxels: int = MAXIMUM_VOXELS) -> Volume:
    """Read an MRC/CCP4 map, plain or packed by gzip or bzip2, modes 0, 1, 2, 6 and 12.

    Memory: at most five times the unpacked file (eight-bit voxels become float32), and nothing
    before the file's length, times 1032 for a packed one, allows for what its header claims.

    Returns
    -------
    Volume
        float32 voxels in z, y, x order whatever the file's axis order; the header is kept in
        `Volume.frame`, symmetry operators included; other extended headers are not.

    Raises
    ------
    MapError
        When the file is not a map, is cut short, claims more than `maximum_voxels`, has NaN,
        infinite or absurdly large voxels, no voxel size, or a cell that is not orthogonal.
    """
    path = require_file(path, "map")
    try:
        with _opened(path) as handle:
            raw = handle.read(HEADER_BYTES)
    except _DAMAGE as error:
        raise MapError(f"{path}: cannot be read ({error}); fetch it again.") from error
    header = parse_header(raw)
    if header is None:
        raise MapError(f"{path}: is not an MRC/CCP4 map (no 'MAP ' in its header).")
    frame = checked_frame(path, header, maximum_voxels)
    _check_length(path, header)
    stored, symmetry = _read_body(path, header)
    data = _in_model_frame(stored, frame)
    _check_values(path, data)
    frame = replace(frame, symmetry=symmetry)
    nz, ny, nx = data.shape
    return Volume(data, voxel_size_of(frame), place_of(frame, (nz, ny, nx)), frame)


def write_map(path: Path | str, volume: Volume, label: str) -> str | None:
    """Write a float32 map in the frame that it came with, the file's axis order included.

    Parameters
    ----------
    path
        Destination; a name that ends in .gz is compressed. Written under a temporary name.
    label
        One line of at most 80 characters, added to the header's labels.

    Returns
    -------
    str or None
        The oldest label where the header had ten already and it had to give way, to be told.

    Raises
    ------
    CryosamuError
        When the file cannot be written.
    """
    frame = volume.frame or computed_frame(volume)
    order = [3 - axis for axis in reversed(frame.axis_order)]
    stored = np.ascontiguousarray(volume.data.transpose(order), dtype="<f4")
    header = new_header(frame, stored, label)
    with atomic_path(path) as temporary, open(temporary, "wb") as handle:
        if Path(path).suffix == ".gz":
            # Neither name nor time: the same map gives the same bytes.
            with gzip.GzipFile("", "wb", compresslevel=6, fileobj=handle, mtime=0) as stream:
                _write_stream(stream, header.raw, stored)
        else:
            _write_stream(handle, header.raw, stored)
    return header.dropped


def _write_stream(stream: IO[bytes] | gzip.GzipFile, header: bytes, stored: FloatArray) -> None:
    stream.write(header)
    voxels = stored.reshape(-1).view(np.uint8).data
    for start in range(0, len(voxels), _PIECE_BYTES):
        stream.write(voxels[start : start + _PIECE_BYTES])


def _opened(path: Path) -> BufferedReader | gzip.GzipFile | bz2.BZ2File:
    """Open a file for reading what it holds, unpacked where its first bytes say that it is."""
    kind = _packed(path)
    if kind == "gzip":
        return gzip.open(path)
    return bz2.open(path) if kind == "bzip2" else open(path, "rb")


def _packed(path: Path) -> str | None:
    with open(path, "rb") as handle:
        first = handle.read(3)
    if first[:2] == b"\x1f\x8b":
        return "gzip"
    return "bzip2" if first == b"BZh" else None


def _check_length(path: Path, header: np.recarray) -> None:
    """Refuse a file that cannot hold what its header claims, before memory is taken for it."""
    voxels = int(header.nx) * int(header.ny) * int(header.nz)
    size = voxels * np.dtype(VOXEL_TYPES[int(header.mode)]).itemsize
    expected = HEADER_BYTES + extended_bytes(header) + size
    found = path.stat().st_size
    if found * (_LONGEST_GROWTH if _packed(path) else 1) < expected:
        raise MapError(f"{path}: is cut short ({found:,} bytes of {expected:,}); fetch it again.")


def _read_body(path: Path, header: np.recarray) -> tuple[np.ndarray, bytes]:
    """Return the voxels [sections, rows, columns] in the file's order and type, and symmetry."""
    dtype = np.dtype(VOXEL_TYPES[int(header.mode)]).newbyteorder(header.dtype["mode"].byteorder)
    voxels = np.empty((int(header.nz), int(header.ny), int(header.nx)), dtype)
    unread = voxels.reshape(-1).view(np.uint8).data
    symmetry = b""
    try:
        with _opened(path) as handle:
            handle.seek(HEADER_BYTES)
            if may_hold_symmetry(header):
                symmetry = symmetry_operators(header, handle.read(extended_bytes(header)))
            handle.seek(HEADER_BYTES + extended_bytes(header))
            while unread and (count := handle.readinto(unread[:_PIECE_BYTES])):
                unread = unread[count:]
            trailing = len(handle.read(_TRAILING_BYTES)) if _packed(path) else 0
    except _DAMAGE as error:
        raise MapError(f"{path}: is cut short or damaged ({error}); fetch it again.") from error
    if unread:
        raise MapError(f"{path}: ends {len(unread):,} bytes before its last voxel; fetch it again.")
    if trailing == _TRAILING_BYTES:
        raise MapError(f"{path}: holds far more than the map that its header describes.")
    return voxels, symmetry


def _in_model_frame(stored: np.ndarray, frame: FileFrame) -> FloatArray:
    """Return stored voxels as float32 in z, y, x order."""
    order = [2 - frame.axis_order.index(axis) for axis in (3, 2, 1)]
    return np.ascontiguousarray(stored.transpose(order), dtype=np.float32)


def _check_values(path: Path, data: FloatArray) -> None:
    # A NaN is the smallest and the largest: no array of truth values is needed.
    ends = [(section.min(), section.max()) for section in data]
    low, high = float(np.min(ends)), float(np.max(ends))
    if not (np.isfinite(low) and np.isfinite(high)):
        raise MapError(f"{path}: has NaN or infinite voxels; replace them before using this map.")
    if max(-low, high) > LARGEST_VALUE:
        raise MapError(
            f"{path}: has voxels of up to {max(-low, high):.3g}, which no density is; "
            "rescale the map, or fetch it again."
        )
