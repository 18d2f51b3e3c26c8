"""One method's map of an entry: made in a process of its own, measured, on the deposited grid."""

from __future__ import annotations

import gzip
import json
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryosamu.config import EvaluationSettings
from cryosamu.errors import CryosamuError
from cryosamu.evaluation.frame import check_resolution
from cryosamu.evaluation.methods.baselines import BASELINES
from cryosamu.evaluation.methods.finished import onto_grid, read_finished
from cryosamu.evaluation.methods.outside import PROGRAMS, Call, Inputs, call_of
from cryosamu.evaluation.programs import KilledError, Usage, find_program, run_program
from cryosamu.files import require_file, sha256_of
from cryosamu.volume.io import read_map, write_map
from cryosamu.volume.volume import Volume

ENHANCED: dict[str, tuple[str, ...]] = {
    "enhanced": (),
    "enhanced_no_structure": (),
    "enhanced_predicted": (),
    "enhanced_permuted": ("--control", "permuted"),
    "enhanced_another": ("--control", "another"),
}
"""Conditions of `cryosamu enhance` to the options that they add."""

METHODS = (*BASELINES, *ENHANCED, *PROGRAMS)

_NETWORK_ALONE = ("--no-keeping", "--no-confidence", "--no-chimerax", "--force")
"""What is judged is the network's answer, whatever the model is that it is told."""

_WITH_MODEL = ("enhanced", "enhanced_permuted")
_SAME_VOXEL = 1e-3


@dataclass(frozen=True)
class Request:
    """What a method's map is made from.

    Attributes
    ----------
    resolution
        Reported resolution, Å.
    model
        The deposited model: for its embedding and, to outside programs, its sequences.
    contour
        The depositors' contour level.
    enhance_options
        Further arguments of `cryosamu enhance`, such as --checkpoint and --config.
    """

    map: Path
    resolution: float
    emdb_id: str = ""
    model: Path | None = None
    halves: tuple[Path, Path] | None = None
    contour: float | None = None
    enhance_options: tuple[str, ...] = ()


@dataclass(frozen=True)
class MethodRun:
    """What became of it.

    Attributes
    ----------
    status
        ok or failed; then `error` says why in a sentence.
    seconds, peak_megabytes
        Wall time and the largest resident memory of the process that made it, start included; None
        where a finished map was taken.
    program, version
        What made it.
    resampled
        Whether the program answered on another grid.
    sha256
        Of the map; None where there is none.
    """

    method: str
    emdb_id: str
    status: str
    error: str | None = None
    seconds: float | None = None
    peak_megabytes: float | None = None
    program: str | None = None
    version: str | None = None
    resampled: bool = False
    sha256: str | None = None


def make_method(
    method: str, request: Request, settings: EvaluationSettings, output: Path
) -> MethodRun:
    """Write a method's map on the deposited map's grid; a failure is a result, and no map is left.

    Parameters
    ----------
    method
        One of `METHODS`.

    Raises
    ------
    CryosamuError
        When the deposited map itself cannot be read, or not hold the resolution, or an input would
        be written over.
    KilledError
        When the program was killed: it may do with more memory, which a cluster gives it then.
    """
    deposited = read_map(require_file(request.map, "map"))
    check_resolution(deposited, request.resolution)
    _require_elsewhere(output, request)
    output.unlink(missing_ok=True)
    outside = settings.outside_of(method)
    try:
        if outside.finished is not None:
            return _take_finished(method, request, outside.finished, deposited, output)
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".method-", dir=output.parent) as name:
            return _run(method, request, settings, deposited, output, Path(name).resolve())
    except KilledError:
        raise
    except CryosamuError as error:
        return MethodRun(method, request.emdb_id, "failed", str(error))


def _require_elsewhere(output: Path, request: Request) -> None:
    given = (request.map, request.model, *(request.halves or ()))
    if output.exists() and any(path and path.exists() and path.samefile(output) for path in given):
        raise CryosamuError(f"{output}: is an input; write the method's map under another name.")


def _take_finished(
    method: str, request: Request, pattern: str, deposited: Volume, output: Path
) -> MethodRun:
    path = Path(pattern.format(emdb_id=request.emdb_id))
    made = read_finished(path, deposited)
    write_map(output, deposited.with_data(made.data), f"CryoSAMU: {method}, as finished")
    resampled = "resampled_from" in made.settings
    return MethodRun(
        method,
        request.emdb_id,
        "ok",
        program=path.name,
        resampled=resampled,
        sha256=sha256_of(output),
    )


def _run(
    method: str,
    request: Request,
    settings: EvaluationSettings,
    deposited: Volume,
    output: Path,
    folder: Path,
) -> MethodRun:
    call = _call(method, request, settings, folder)
    usage = _measured(call, folder, output.with_suffix(".log"))
    if not call.output.is_file():
        raise CryosamuError(
            f"{Path(call.arguments[0]).name} ended without a map; see {output.with_suffix('.log')}."
        )
    made, resampled = _in_place(read_map(call.output), deposited)
    write_map(output, made, f"CryoSAMU: made by {method}")
    return MethodRun(
        method,
        request.emdb_id,
        "ok",
        seconds=round(usage.seconds, 2),
        peak_megabytes=round(usage.peak_megabytes),
        program=Path(call.arguments[0]).name,
        version=call.version,
        resampled=resampled,
        sha256=sha256_of(output),
    )


def _measured(call: Call, folder: Path, log: Path) -> Usage:
    return run_program(call.arguments, call.folder or folder, log.resolve())


def _call(method: str, request: Request, settings: EvaluationSettings, folder: Path) -> Call:
    if method in BASELINES:
        given = {
            "resolution": request.resolution,
            "contour": request.contour,
            "evaluation": settings.model_dump(mode="json"),
        }
        made = folder / f"{method}.mrc"
        words = [method, str(request.map.resolve()), str(made), json.dumps(given)]
        module = "cryosamu.evaluation.methods.process"
        return Call([sys.executable, "-m", module, *words], made)
    if method in ENHANCED:
        return _enhance_call(method, request, settings, folder)
    halves = request.halves
    inputs = Inputs(
        plain_copy(request.map, folder / "input.mrc"),
        request.resolution,
        None
        if halves is None
        else (
            plain_copy(halves[0], folder / "half_1.mrc"),
            plain_copy(halves[1], folder / "half_2.mrc"),
        ),
        request.model,
    )
    outside = settings.outside_of(method)
    return call_of(method, inputs, outside, folder)


def _enhance_call(
    method: str, request: Request, settings: EvaluationSettings, folder: Path
) -> Call:
    model = None
    if method in _WITH_MODEL:
        if request.model is None:
            raise CryosamuError(f"{method} needs the MODEL whose embedding it takes.")
        model = request.model
    elif method == "enhanced_predicted":
        if settings.predicted_models is None:
            raise CryosamuError("enhanced_predicted needs 'evaluation.predicted_models'.")
        path = Path(settings.predicted_models.format(emdb_id=request.emdb_id))
        model = require_file(path, "predicted model")
    # Beside the interpreter, where it is not on PATH.
    sibling = Path(sys.executable).with_name("cryosamu")
    program = find_program("cryosamu", sibling if sibling.is_file() else None)
    made = folder / f"{method}.mrc"
    words = [program, "enhance", str(request.map.resolve()), "-o", str(made)]
    if model is not None:
        words += ["--model", str(model.resolve())]
    return Call([*words, *_NETWORK_ALONE, *ENHANCED[method], *request.enhance_options], made)


def plain_copy(path: Path, copy: Path) -> Path:
    """Copy a map, unpacked: programs may read no gzip, and may write into what they read."""
    require_file(path, "map")
    with path.open("rb") as handle:
        packed = handle.read(2) == b"\x1f\x8b"
    with gzip.open(path) if packed else path.open("rb") as source, copy.open("wb") as target:
        shutil.copyfileobj(source, target)
    return copy


def _in_place(made: Volume, deposited: Volume) -> tuple[Volume, bool]:
    """Return a program's map on the deposited grid, and whether it had to be interpolated.

    Some programs lose the header's origin: as many voxels of the same size are the same voxels.
    """
    alike = made.shape == deposited.shape and all(
        abs(one / other - 1) < _SAME_VOXEL
        for one, other in zip(made.voxel_size, deposited.voxel_size, strict=True)
    )
    if alike:
        return deposited.with_data(made.data), False
    data, covered = onto_grid(made, deposited)
    if covered == 0:
        raise CryosamuError("the map that the program made lies elsewhere than the deposited one.")
    return deposited.with_data(data), True
