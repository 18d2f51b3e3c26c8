"""A view as a block of text within the page: numbers as JSON, arrays deflated, in base64."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from cryosamu.report.drawing.entry import CHAIN_COLOURS, DEPOSITED_COLOUR, ENHANCED_COLOUR
from cryosamu.report.viewer.view import SmallMap, View

_MISSING = 65535
"""Stands for a coordinate that is not there."""


def view_block(view: View) -> str:
    """Return the JSON text of a view; it holds no character that ends a script element.

    The arrays follow one another in `arrays`: deposited and enhanced map (uint8, z y x), then, as
    little-endian uint16 in units of `unit` from `corner`, the backbone [residues, 4, 3] and other
    atoms [atoms, 3], then the chain of each residue.
    """
    corner, unit = _frame(view)
    trace = view.trace
    parts = [
        view.deposited.levels.tobytes(),
        view.enhanced.levels.tobytes(),
        _packed(trace.backbone, corner, unit),
        _packed(trace.others, corner, unit),
        trace.chains.astype("<u2").tobytes(),
    ]
    nz, ny, nx = view.deposited.levels.shape
    values: dict[str, Any] = {
        "size": [nx, ny, nz],
        "voxel": _rounded(view.voxel),
        "origin": _rounded(view.origin),
        "maps": [
            _numbers(view.deposited, DEPOSITED_COLOUR),
            _numbers(view.enhanced, ENHANCED_COLOUR),
        ],
        "shares": list(view.shares),
        "start": view.start,
        "molecule": round(view.molecule),
        "centre": _rounded(view.camera.centre),
        "quaternion": _rounded(Rotation.from_matrix(view.camera.rotation).as_quat(), 6),
        "extent": round(view.camera.extent, 2),
        "residues": len(trace.backbone),
        "elements": list(trace.elements),
        "corner": _rounded(corner),
        "unit": unit,
        "chainColours": [_hex(colour) for colour in CHAIN_COLOURS],
        "arrays": base64.b64encode(zlib.compress(b"".join(parts), 9)).decode("ascii"),
    }
    return json.dumps(values, separators=(",", ":")).replace("<", "\\u003c")


def _frame(view: View) -> tuple[NDArray[np.float64], float]:
    """Return the corner and the step of the coordinates' own grid, Å."""
    places = np.concatenate([view.trace.backbone.reshape(-1, 3), view.trace.others])
    finite = places[np.isfinite(places).all(axis=1)].astype(np.float64)
    if not len(finite):
        return np.zeros(3), 0.001
    corner = np.floor(finite.min(axis=0))
    return corner, float(max(0.001, np.ceil((finite - corner).max() / (_MISSING - 1) * 1e4) / 1e4))


def _packed(places: NDArray[np.float32], corner: NDArray[np.float64], unit: float) -> bytes:
    steps = np.rint((places.astype(np.float64) - corner) / unit)
    return np.where(np.isfinite(steps), steps, _MISSING).astype("<u2").tobytes()


def _numbers(small: SmallMap, colour: tuple[float, float, float]) -> dict[str, Any]:
    return {
        "black": float(f"{small.black:.6g}"),
        "step": float(f"{small.step:.6g}"),
        "white": round(small.white, 2),
        "contours": _rounded(small.contours, 3),
        "colour": _hex(colour),
    }


def _rounded(values: Any, digits: int = 4) -> list[float]:
    return [round(float(value), digits) for value in values]


def _hex(colour: tuple[float, float, float]) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in colour)
