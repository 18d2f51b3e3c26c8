"""Reading and writing MRC/CCP4 maps with their frame kept to the bit.

The place of voxel (0, 0, 0) follows ChimeraX and the MRC2014 note: the header's `origin` words
where any is non-zero, else nstart times the voxel size.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import BinaryIO

import mrcfile.dtypes
import numpy as np

from cryosamu.errors import MapError
from cryosamu.files import atomic_path, require_file
from cryosamu.volume.volume import FileFrame, Volume

MAXIMUM_VOXELS = 1_500_000_000
"""Largest map that is read: 1145³, 6 GB as float32."""

_VOXEL_TYPES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
_HEADER_BYTES = 1024
_AXES = {1, 2, 3}
_DEFLATE_LIMIT = 1032
"""No deflate stream grows by more than this factor: what claims more is cut short."""

_PIECE_BYTES = 1 << 24
_TRAILING_BYTES = 1 << 20
"""Bytes after the voxels that are read to check a gzip stream to its end."""


def read_map(path: Path | str, maximum_voxels: int = MAXIMUM_VOXELS) -> Volume:
    """Read an MRC/CCP4 map, gzipped or not, modes 0, 1, 2, 6 and 12.

    Returns
    -------
    Volume
        float32 voxels in z, y, x order whatever the file's axis order; the header is kept in
        `Volume.frame`.

    Raises
    ------
    MapError
        When the file is not a map, is cut short, claims more than `maximum_voxels`, has NaN or
        infinite voxels, no voxel size, or a cell that is not orthogonal.
    """
    path = require_file(path, "map")
    compressed = _is_gzip(path)
    header = _read_header(path, compressed)
    frame = _checked_frame(path, header, maximum_voxels)
    _check_length(path, header, compressed)
    data = _read_voxels(path, header, compressed)
    order = [2 - frame.axis_order.index(axis) for axis in (3, 2, 1)]
    data = np.ascontiguousarray(data.transpose(order), dtype=np.float32)
    if not np.isfinite(data).all():
        raise MapError(f"{path}: has NaN or infinite voxels; replace them before using this map.")
    voxel_size = _voxel_size(frame)
    return Volume(data, voxel_size, _origin(frame, voxel_size), frame)


def write_map(path: Path | str, volume: Volume, label: str) -> None:
    """Write a float32 map in the frame that it came with, the file's axis order included.

    Parameters
    ----------
    path
        Destination; a name that ends in .gz is compressed. Written under a temporary name.
    label
        One line added to the header's labels; the oldest is dropped when there are ten.

    Raises
    ------
    CryosamuError
        When the file cannot be written.
    """
    frame = volume.frame or computed_frame(volume)
    order = [3 - axis for axis in reversed(frame.axis_order)]
    stored = np.ascontiguousarray(volume.data.transpose(order), dtype="<f4")
    header = _new_header(frame, stored, label)
    with atomic_path(path) as temporary, open(temporary, "wb") as handle:
        if Path(path).suffix == ".gz":
            # Neither name nor time: the same map gives the same bytes.
            with gzip.GzipFile("", "wb", compresslevel=6, fileobj=handle, mtime=0) as stream:
                _write_stream(stream, header, stored)
        else:
            _write_stream(handle, header, stored)


def _write_stream(
    stream: BinaryIO | gzip.GzipFile, header: np.recarray, stored: np.ndarray
) -> None:
    stream.write(header.tobytes())
    stream.write(stored.data)


def _new_header(frame: FileFrame, stored: np.ndarray, label: str) -> np.recarray:
    """Return an MRC2014 header in `frame` for voxels in the file's own order, mode 2."""
    header = np.zeros((), mrcfile.dtypes.HEADER_DTYPE.newbyteorder("<")).view(np.recarray)
    header.nz, header.ny, header.nx = stored.shape
    header.mode = 2
    header.nxstart, header.nystart, header.nzstart = frame.nstart
    header.mx, header.my, header.mz = frame.sampling
    header.cella = frame.cell
    header.cellb = (90.0, 90.0, 90.0)
    header.mapc, header.mapr, header.maps = frame.axis_order
    header.dmin, header.dmax = stored.min(), stored.max()
    header.dmean, header.rms = stored.mean(dtype=np.float64), stored.std(dtype=np.float64)
    header.ispg = frame.space_group
    header.nversion = 20140
    header.origin = frame.origin
    header.map = b"MAP "
    header.machst = (0x44, 0x44, 0, 0)
    labels = [text.encode("latin-1", "replace")[:80] for text in (*frame.labels, label)][-10:]
    header.nlabl = len(labels)
    header.label[: len(labels)] = labels
    return header


def computed_frame(volume: Volume) -> FileFrame:
    """Return the plain header of a map that was computed: x fastest, nstart 0, origin in Å."""
    nz, ny, nx = volume.shape
    return FileFrame(
        axis_order=(1, 2, 3),
        nstart=(0, 0, 0),
        origin=volume.origin,
        sampling=(nx, ny, nz),
        cell=volume.box,
    )


def _is_gzip(path: Path) -> bool:
    with open(path, "rb") as handle:
        return handle.read(2) == b"\x1f\x8b"


def _read_header(path: Path, compressed: bool) -> np.recarray:
    """Return the 1024-byte header alone, so that its claims are checked before memory is taken."""
    try:
        with gzip.open(path) if compressed else open(path, "rb") as handle:
            raw = handle.read(_HEADER_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        raise MapError(f"{path}: cannot be read ({error}); fetch it again.") from error
    if len(raw) < _HEADER_BYTES or raw[208:211] != b"MAP":
        raise MapError(f"{path}: is not an MRC/CCP4 map (no 'MAP ' in its header).")
    # Files with a wrong machine stamp exist; then the other byte order makes sense of the mode.
    stamped, other = (">", "<") if raw[212:214] == b"\x11\x11" else ("<", ">")
    header = _as_header(raw, stamped)
    if int(header.mode) not in _VOXEL_TYPES and int(_as_header(raw, other).mode) in _VOXEL_TYPES:
        return _as_header(raw, other)
    return header


def _as_header(raw: bytes, byte_order: str) -> np.recarray:
    dtype = mrcfile.dtypes.HEADER_DTYPE.newbyteorder(byte_order)
    header: np.recarray = np.frombuffer(raw, dtype=dtype).reshape(()).view(np.recarray)
    return header


def _checked_frame(path: Path, header: np.recarray, maximum_voxels: int) -> FileFrame:
    mode = int(header.mode)
    if mode not in _VOXEL_TYPES:
        raise MapError(f"{path}: has mode {mode}; modes 0, 1, 2, 6 and 12 are read.")
    counts = (int(header.nx), int(header.ny), int(header.nz))
    if min(counts) < 1 or math.prod(counts) > maximum_voxels:
        raise MapError(
            f"{path}: its header claims {counts[0]} x {counts[1]} x {counts[2]} voxels; "
            f"between 1 and {maximum_voxels:,} are read."
        )
    axis_order = (int(header.mapc), int(header.mapr), int(header.maps))
    if set(axis_order) != _AXES:
        raise MapError(f"{path}: its axis order {axis_order} is not an order of 1, 2, 3.")
    if int(header.ispg) > 400:
        raise MapError(
            f"{path}: is a stack of volumes (space group {int(header.ispg)}), not a map."
        )
    angles = [float(header.cellb[name]) for name in ("alpha", "beta", "gamma")]
    # Three zeros are what programs leave that never set the angles.
    if any(angles) and any(not abs(angle - 90.0) <= 1e-3 for angle in angles):
        raise MapError(
            f"{path}: its cell has angles {angles}; only orthogonal cells (90°) are handled."
        )
    frame = FileFrame(
        axis_order=axis_order,
        nstart=(int(header.nxstart), int(header.nystart), int(header.nzstart)),
        origin=(float(header.origin.x), float(header.origin.y), float(header.origin.z)),
        sampling=(int(header.mx), int(header.my), int(header.mz)),
        cell=(float(header.cella.x), float(header.cella.y), float(header.cella.z)),
        space_group=int(header.ispg),
        labels=tuple(
            bytes(text).decode("latin-1").rstrip("\x00 ")
            for text in header.label[: min(max(int(header.nlabl), 0), 10)]
        ),
    )
    lengths = (*frame.cell, *frame.origin)
    if min(frame.sampling) < 1 or not all(map(math.isfinite, lengths)) or min(frame.cell) <= 0:
        raise MapError(
            f"{path}: its voxel size is zero or not a number (cell {frame.cell} Å over "
            f"{frame.sampling} intervals); set the right voxel size in the header first."
        )
    return frame


def _check_length(path: Path, header: np.recarray, compressed: bool) -> None:
    """Refuse a file that cannot hold what its header claims, before memory is taken for it."""
    voxels = int(header.nx) * int(header.ny) * int(header.nz)
    size = voxels * np.dtype(_VOXEL_TYPES[int(header.mode)]).itemsize
    expected = _HEADER_BYTES + max(int(header.nsymbt), 0) + size
    found = path.stat().st_size
    if found * (_DEFLATE_LIMIT if compressed else 1) < expected:
        raise MapError(f"{path}: is cut short ({found:,} bytes of {expected:,}); fetch it again.")


def _read_voxels(path: Path, header: np.recarray, compressed: bool) -> np.ndarray:
    """Return the voxels [sections, rows, columns] in the file's own order and type."""
    dtype = np.dtype(_VOXEL_TYPES[int(header.mode)]).newbyteorder(header.dtype["mode"].byteorder)
    voxels = np.empty((int(header.nz), int(header.ny), int(header.nx)), dtype)
    unread = voxels.reshape(-1).view(np.uint8).data
    try:
        with gzip.open(path) if compressed else open(path, "rb") as handle:
            handle.seek(_HEADER_BYTES + max(int(header.nsymbt), 0))
            while unread and (count := handle.readinto(unread[:_PIECE_BYTES])):
                unread = unread[count:]
            trailing = len(handle.read(_TRAILING_BYTES)) if compressed else 0
    except (OSError, EOFError, zlib.error) as error:
        raise MapError(f"{path}: is cut short or damaged ({error}); fetch it again.") from error
    if unread:
        raise MapError(f"{path}: ends {len(unread):,} bytes before its last voxel; fetch it again.")
    if trailing == _TRAILING_BYTES:
        raise MapError(f"{path}: holds far more than the map that its header describes.")
    return voxels


def _voxel_size(frame: FileFrame) -> tuple[float, float, float]:
    x, y, z = (length / count for length, count in zip(frame.cell, frame.sampling, strict=True))
    return x, y, z


def _origin(frame: FileFrame, voxel_size: tuple[float, float, float]) -> tuple[float, float, float]:
    if any(frame.origin):
        return frame.origin
    start = dict(zip(frame.axis_order, frame.nstart, strict=True))
    return start[1] * voxel_size[0], start[2] * voxel_size[1], start[3] * voxel_size[2]
