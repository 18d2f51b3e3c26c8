"""The MRC2014/CCP4 header: what it says of the frame, checked, and how it is written back.

Words are those of https://www.ccpem.ac.uk/mrc_format/mrc2014.php (Cheng et al. 2015, J. Struct.
Biol. 192, 146). The place of voxel (0, 0, 0) follows ChimeraX's reader of MRC files
(`src/bundles/map_data/src/mrc/mrc_format.py` in https://github.com/RBVI/ChimeraX);
`docs/geometry.md` says where other programs differ.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import mrcfile.dtypes
import numpy as np

from cryosamu.errors import MapError
from cryosamu.volume.volume import FileFrame, FloatArray, Volume

HEADER_BYTES = 1024
VOXEL_TYPES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}

_AXES = {1, 2, 3}
_LABELS, _LABEL_BYTES = 10, 80
_OPERATOR_BYTES = 80
_LONGEST_SYMMETRY = 192 * _OPERATOR_BYTES
"""No space group has more operators."""

_SYMMETRY_TYPES = (b"CCP4", bytes(4), b"    ")


class NewHeader(NamedTuple):
    """The bytes before the voxels, and the label that found no room among ten, if one did not."""

    raw: bytes
    dropped: str | None


def parse_header(raw: bytes) -> np.recarray | None:
    """Return the words of a 1024-byte header in their byte order, None where it is no map's."""
    if len(raw) < HEADER_BYTES or raw[208:211] != b"MAP":
        return None
    # Files with a wrong machine stamp exist; then the other byte order makes sense of the mode.
    stamped, other = (">", "<") if raw[212:214] == b"\x11\x11" else ("<", ">")
    header = _as_header(raw, stamped)
    if int(header.mode) not in VOXEL_TYPES and int(_as_header(raw, other).mode) in VOXEL_TYPES:
        return _as_header(raw, other)
    return header


def _as_header(raw: bytes, byte_order: str) -> np.recarray:
    dtype = mrcfile.dtypes.HEADER_DTYPE.newbyteorder(byte_order)
    header: np.recarray = np.frombuffer(raw, dtype=dtype).reshape(()).view(np.recarray)
    return header


def checked_frame(path: Path, header: np.recarray, maximum_voxels: int) -> FileFrame:
    """Return the frame that a header describes, but for its symmetry operators.

    Raises
    ------
    MapError
        When the header describes no map of a volume on an orthogonal grid that can be read.
    """
    mode = int(header.mode)
    if mode not in VOXEL_TYPES:
        raise MapError(f"{path}: has mode {mode}; modes 0, 1, 2, 6 and 12 are read.")
    counts = (int(header.nx), int(header.ny), int(header.nz))
    if min(counts) < 1 or math.prod(counts) > maximum_voxels:
        raise MapError(
            f"{path}: its header claims {counts[0]} x {counts[1]} x {counts[2]} voxels; "
            f"between 1 and {maximum_voxels:,} are read."
        )
    frame = FileFrame(
        axis_order=(int(header.mapc), int(header.mapr), int(header.maps)),
        nstart=(int(header.nxstart), int(header.nystart), int(header.nzstart)),
        origin=(float(header.origin.x), float(header.origin.y), float(header.origin.z)),
        sampling=(int(header.mx), int(header.my), int(header.mz)),
        cell=(float(header.cella.x), float(header.cella.y), float(header.cella.z)),
        space_group=int(header.ispg),
        labels=_labels(header),
    )
    if set(frame.axis_order) != _AXES:
        raise MapError(f"{path}: its axis order {frame.axis_order} is not an order of 1, 2, 3.")
    if frame.space_group > 400:
        raise MapError(f"{path}: is a stack of volumes (space group {frame.space_group}), no map.")
    if frame.space_group == 0 and frame.sampling[2] == 1:
        raise MapError(f"{path}: is an image or a stack of images (space group 0, mz 1), no map.")
    angles = [float(header.cellb[name]) for name in ("alpha", "beta", "gamma")]
    # Three zeros are what programs leave that never set the angles.
    if any(angles) and any(not abs(angle - 90.0) <= 1e-3 for angle in angles):
        raise MapError(
            f"{path}: its cell has angles {angles}; only orthogonal cells (90°) are handled."
        )
    if min(frame.sampling) < 1 or not all(0 < edge < math.inf for edge in frame.cell):
        raise MapError(
            f"{path}: its voxel size is zero or not a number (cell {frame.cell} Å over "
            f"{frame.sampling} intervals); set the right voxel size in the header first."
        )
    return frame


def _labels(header: np.recarray) -> tuple[str, ...]:
    """Return the labels in use with their trailing blanks: as many as said, or as hold a text."""
    texts = [bytes(text).decode("latin-1").rstrip("\x00") for text in header.label]
    written = max((place + 1 for place, text in enumerate(texts) if text.strip()), default=0)
    return tuple(texts[: max(written, min(int(header.nlabl), _LABELS))])


def symmetry_operators(header: np.recarray, extended: bytes) -> bytes:
    """Return the extended header where it holds symmetry operators as text, else nothing.

    Other extended headers describe how images were taken, in the byte order of the file.
    """
    kind = bytes(header.exttyp).ljust(4, b"\x00")
    whole = 0 < len(extended) <= _LONGEST_SYMMETRY and len(extended) % _OPERATOR_BYTES == 0
    printed = all(32 <= byte < 127 or byte == 0 for byte in extended)
    return extended if kind in _SYMMETRY_TYPES and whole and printed else b""


def extended_bytes(header: np.recarray) -> int:
    """Return how many bytes lie between header and voxels."""
    return max(int(header.nsymbt), 0)


def may_hold_symmetry(header: np.recarray) -> bool:
    """Return whether the extended header is short enough to be symmetry operators."""
    return 0 < int(header.nsymbt) <= _LONGEST_SYMMETRY


def voxel_size_of(frame: FileFrame) -> tuple[float, float, float]:
    """Return cell over intervals, (x, y, z) in Å."""
    x, y, z = (length / count for length, count in zip(frame.cell, frame.sampling, strict=True))
    return x, y, z


def place_of(frame: FileFrame, shape: tuple[int, int, int]) -> tuple[float, float, float]:
    """Return where voxel (0, 0, 0) of a map of `shape` lies, (x, y, z) in Å, as ChimeraX does.

    The origin words where any is non-zero, else nstart times the voxel size. Words that were never
    set do not count: an origin that is no number or beside which a voxel vanishes, and starts more
    than ten boxes away.
    """
    size = voxel_size_of(frame)
    set_words = all(math.isfinite(word) for word in frame.origin) and all(
        word + step != word for word, step in zip(frame.origin, size, strict=True)
    )
    if any(frame.origin) and set_words:
        return frame.origin
    if max(map(abs, frame.nstart)) > 10 * max(*frame.sampling, *shape):
        return (0.0, 0.0, 0.0)
    start = dict(zip(frame.axis_order, frame.nstart, strict=True))
    return start[1] * size[0], start[2] * size[1], start[3] * size[2]


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


def new_header(frame: FileFrame, stored: FloatArray, label: str) -> NewHeader:
    """Return an MRC2014 header in `frame` for voxels in the file's own order, mode 2.

    Parameters
    ----------
    stored
        float32 [sections, rows, columns].
    label
        Added after the frame's; of more than ten a blank one goes first, else the oldest.
    """
    header = np.zeros((), mrcfile.dtypes.HEADER_DTYPE.newbyteorder("<")).view(np.recarray)
    header.nz, header.ny, header.nx = stored.shape
    header.mode = 2
    header.nxstart, header.nystart, header.nzstart = frame.nstart
    header.mx, header.my, header.mz = frame.sampling
    header.cella = frame.cell
    header.cellb = (90.0, 90.0, 90.0)
    header.mapc, header.mapr, header.maps = frame.axis_order
    header.dmin, header.dmax, header.dmean, header.rms = _statistics(stored)
    header.ispg = frame.space_group
    header.nsymbt = len(frame.symmetry)
    header.exttyp = b"CCP4" if frame.symmetry else b""
    header.nversion = 20140
    header.origin = frame.origin
    header.map = b"MAP "
    header.machst = (0x44, 0x44, 0, 0)
    texts, dropped = _with_label(frame.labels, label)
    header.nlabl = len(texts)
    header.label[: len(texts)] = [text.encode("latin-1", "replace") for text in texts]
    return NewHeader(header.tobytes() + frame.symmetry, dropped)


def _with_label(labels: tuple[str, ...], label: str) -> tuple[list[str], str | None]:
    texts = list(labels)
    if len(texts) < _LABELS:
        return [*texts, label[:_LABEL_BYTES]], None
    blank = next((place for place, text in enumerate(texts) if not text.strip()), None)
    dropped = texts.pop(blank or 0)
    return [*texts, label[:_LABEL_BYTES]], dropped.rstrip() or None


def _statistics(stored: FloatArray) -> tuple[float, float, float, float]:
    """Return lowest and highest voxel, mean and RMS deviation in one pass, a section at a time.

    Sums are of what lies above the first section's mean, in double precision: that section is part
    of the map, so that its mean squared is no more than their number times the variance, and little
    cancels.
    """
    about = np.float64(stored[0].mean(dtype=np.float64))
    off = np.empty(stored[0].shape)
    lows, highs = [], []
    total = squares = 0.0
    for section in stored:
        lows.append(section.min())
        highs.append(section.max())
        np.subtract(section, about, out=off)
        total += float(off.sum())
        squares += float(np.vdot(off, off))
    mean = total / stored.size
    variance = max(squares / stored.size - mean**2, 0.0)
    # numpy's, for which a number that is none is the least and the largest wherever it stands.
    return float(np.min(lows)), float(np.max(highs)), float(about + mean), math.sqrt(variance)
