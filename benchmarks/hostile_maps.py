"""Map files for `fuzz_maps.py`: small sound ones, damaged in a way that their number decides."""

from __future__ import annotations

import bz2
import gzip
import math
from collections.abc import Callable

import mrcfile.dtypes
import numpy as np

_TYPES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
_LONG = (0, 1, -1, 2, 3, 4, 7, 65536, 2**31 - 1, -(2**31), 2**30, 1000, 30000, -5, 10**6, 230, 401)
_NUMBERS = (0.0, -0.0, 1.0, -1.0, 1e-45, 1e38, 8.0, 500.0, 0.01, 90.0, 120.0, 3.4e38)
_FLOATS = (*_NUMBERS, math.nan, math.inf, -math.inf)
_FIELDS = (
    *("nx", "ny", "nz", "mode", "nxstart", "nystart", "nzstart", "mx", "my", "mz"),
    *("cella", "cellb", "mapc", "mapr", "maps", "ispg", "nsymbt", "origin", "nlabl", "exttyp"),
    *("machst", "map", "nversion", "dmin", "rms", "label"),
)


def sound_file(random: np.random.Generator, mode: int | None = None) -> bytes:
    """Return a small map of any mode, byte order and axis order, at times with symmetry."""
    order = str(random.choice(["<", ">"]))
    mode = int(random.choice(list(_TYPES))) if mode is None else mode
    shape = random.integers(3, 14, 3)
    header = np.zeros((), mrcfile.dtypes.HEADER_DTYPE.newbyteorder(order)).view(np.recarray)
    axes = random.permutation([1, 2, 3])
    counts = dict(zip(axes.tolist(), shape.tolist()[::-1], strict=True))
    header.nz, header.ny, header.nx = shape
    header.mapc, header.mapr, header.maps = axes
    header.mode, header.ispg, header.nversion, header.nlabl = mode, 1, 20140, 2
    header.mx, header.my, header.mz = counts[1], counts[2], counts[3]
    header.cella = tuple(counts[axis] * random.uniform(0.6, 2.0) for axis in (1, 2, 3))
    header.cellb = (90, 90, 90)
    header.map = b"MAP "
    header.machst = (0x44, 0x44, 0, 0) if order == "<" else (0x11, 0x11, 0, 0)
    header.label[:2] = [b"a map", b"for a test"]
    extended = b"X,Y,Z".ljust(80) * int(random.integers(0, 3))
    header.nsymbt = len(extended)
    voxels = np.rint(random.normal(20, 30, shape).clip(-100, 100))
    return header.tobytes() + extended + voxels.astype(order + _TYPES[mode]).tobytes()


def _flipped(random: np.random.Generator, raw: bytes, end: int | None = None) -> bytes:
    changed = np.frombuffer(raw, np.uint8).copy()
    places = random.integers(0, end or len(raw), random.integers(1, 9))
    changed[places] = random.integers(0, 256, len(places))
    return changed.tobytes()


def _byte_order(raw: bytes) -> str:
    return ">" if raw[212] == 0x11 else "<"


def _word(value: int, raw: bytes) -> bytes:
    return value.to_bytes(4, "big" if _byte_order(raw) == ">" else "little")


def _header_bytes(random: np.random.Generator, raw: bytes) -> bytes:
    return _flipped(random, raw, 224)


def _extreme_fields(random: np.random.Generator, raw: bytes) -> bytes:
    dtype = mrcfile.dtypes.HEADER_DTYPE.newbyteorder(_byte_order(raw))
    header = np.frombuffer(raw[:1024], dtype).copy().reshape(()).view(np.recarray)
    for name in random.choice(_FIELDS, random.integers(1, 4)):
        kind = dtype[str(name)]
        if kind.names:
            header[name] = tuple(float(random.choice(_FLOATS)) for _ in kind.names)
        elif kind.kind == "i" and not kind.shape:
            header[name] = int(random.choice(_LONG))
        elif kind.kind == "f":
            header[name] = float(random.choice(_FLOATS))
        else:
            noise = np.frombuffer(random.bytes(kind.itemsize), kind.base)
            header[name] = noise.reshape(kind.shape) if kind.shape else noise[0]
    return header.tobytes() + raw[1024:]


def _cut(random: np.random.Generator, raw: bytes) -> bytes:
    return raw[: random.integers(0, len(raw))]


def _extended(random: np.random.Generator, raw: bytes) -> bytes:
    there = random.bytes(int(random.integers(0, 400)))
    claimed = int(random.choice([len(there), 80, 160, 15360, 15440, 2**31 - 1, len(there) + 1]))
    return raw[:92] + _word(claimed, raw) + raw[96:1024] + there + raw[1024:]


def _voxels(random: np.random.Generator, _: bytes) -> bytes:
    """Mode 2 with a voxel, or all, that no map holds."""
    raw = sound_file(random, 2)
    dtype = _byte_order(raw) + "f4"
    start = len(raw) - 4 * int(np.prod(np.frombuffer(raw[:12], dtype[0] + "i4")))
    values = np.frombuffer(raw[start:], dtype) * np.float64(
        random.choice([1, 1e-42, 1e25, 3e36, 0])
    )
    if random.random() < 0.6:
        values[random.integers(0, len(values))] = random.choice(_FLOATS)
    elif random.random() < 0.3:
        values[:] = random.choice(_NUMBERS)
    return raw[:start] + values.astype(dtype).tobytes()


def _packed(random: np.random.Generator, raw: bytes) -> bytes:
    """Packed, then damaged, cut, doubled or lengthened; or the damage lies within."""
    pack = gzip.compress if random.random() < 0.7 else bz2.compress
    change = random.choice(np.array([_flipped, _cut, _header_bytes, _extreme_fields], object))
    if random.random() < 0.4:
        return pack(change(random, raw))
    packed = pack(raw)
    ways = (_flipped(random, packed), _cut(random, packed), packed * 2, packed + random.bytes(99))
    return ways[int(random.integers(len(ways)))]


def _bomb(random: np.random.Generator, raw: bytes) -> bytes:
    """Megabytes of zeros behind a header that claims few, exactly these or far more voxels."""
    edge = int(random.choice([4, 96, 128, 1100]))
    head = 3 * _word(edge, raw) + bytes(4) + raw[16:1024]
    pack = gzip.compress if random.random() < 0.7 else bz2.compress
    return pack(head[:92] + bytes(4) + head[96:] + bytes(int(random.choice([96**3, 3_000_000]))))


def _no_map(random: np.random.Generator, _: bytes) -> bytes:
    noise = random.bytes(int(random.integers(0, 3000)))
    return noise[:208] + b"MAP " + noise[212:] if random.random() < 0.7 else noise


KINDS: dict[str, tuple[float, Callable[[np.random.Generator, bytes], bytes]]] = {
    "header bytes": (0.24, _header_bytes),
    "extreme fields": (0.32, _extreme_fields),
    "cut short": (0.08, _cut),
    "any bytes": (0.06, _flipped),
    "extended header": (0.07, _extended),
    "voxels": (0.07, _voxels),
    "packed": (0.11, _packed),
    "bomb": (0.02, _bomb),
    "no map": (0.03, _no_map),
}


def hostile_file(number: int) -> tuple[str, bytes]:
    """Return the kind and the bytes of file `number`; the same for the same number."""
    random = np.random.default_rng([20261122, number])
    kind = str(random.choice(list(KINDS), p=[share for share, _ in KINDS.values()]))
    raw = KINDS[kind][1](random, sound_file(random))
    return kind, raw
