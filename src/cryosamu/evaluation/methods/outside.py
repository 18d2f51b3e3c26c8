"""Other people's enhancement programs, as their documentation says that they are called.

EMReady (J. He et al. 2023, Nat. Commun. 14, 3217; `emready IN OUT` of version 2, `EMReady.sh IN
OUT` of version 1), DeepEMhancer (R. Sanchez-Garcia et al. 2021, Commun. Biol. 4, 874;
`deepemhancer -i IN -o OUT`, half maps as `-i HALF1 -i2 HALF2`), CryoTEN (J. Selvaraj et al. 2024;
`python eval.py IN OUT` in its own folder) and `phenix.resolve_cryo_em` (T. C. Terwilliger et al.
2020, Nat. Methods 17, 923; half maps and sequences). They are looked for on PATH, or where the
configuration says; tests run stand-ins that take the same arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryosamu.config import OutsideSettings
from cryosamu.errors import CryosamuError
from cryosamu.evaluation.building.builders import fasta
from cryosamu.evaluation.programs import find_program, version_of
from cryosamu.files import write_text
from cryosamu.structure.model import read_model

PROGRAMS = {
    "emready": "emready",
    "deepemhancer": "deepemhancer",
    "cryoten": "cryoten",
    "resolve_cryo_em": "phenix.resolve_cryo_em",
}
"""Method to the program that is looked for on PATH."""


@dataclass(frozen=True)
class Inputs:
    """What a method may use; plain MRC files of its own, which it may spoil.

    Attributes
    ----------
    resolution
        Reported resolution, Å.
    model
        Gives sequences alone, never coordinates.
    """

    map: Path
    resolution: float
    halves: tuple[Path, Path] | None = None
    model: Path | None = None


@dataclass(frozen=True)
class Call:
    """A program's call.

    Attributes
    ----------
    arguments
        Program and arguments; there is no shell.
    folder
        Where it must be run; None for anywhere.
    output
        The map that it writes.
    version
        What it says of itself.
    """

    arguments: list[str]
    output: Path
    folder: Path | None = None
    version: str = "unknown"


def call_of(method: str, inputs: Inputs, settings: OutsideSettings, folder: Path) -> Call:
    """Return the call of an outside method that works in `folder`.

    Raises
    ------
    CryosamuError
        When the program is not there, or lacks an input that it needs.
    """
    output = folder / f"{method}.mrc"
    return _CALLS[method](inputs, settings, output)


def _program(method: str, settings: OutsideSettings) -> list[str]:
    if settings.program:
        first, *others = settings.program
        return [find_program(method, first), *others]
    try:
        return [find_program(PROGRAMS[method])]
    except CryosamuError as error:
        raise CryosamuError(
            f"{PROGRAMS[method]} was not found on PATH; install it, name its call in "
            f"'evaluation.outside.{method}.program', or its finished maps in '.finished'."
        ) from error


def _emready(inputs: Inputs, settings: OutsideSettings, output: Path) -> Call:
    program = _program("emready", settings)
    return Call([*program, str(inputs.map), str(output), *settings.options], output)


def _deepemhancer(inputs: Inputs, settings: OutsideSettings, output: Path) -> Call:
    program = _program("deepemhancer", settings)
    given = ["-i", str(inputs.map)]
    if inputs.halves is not None:
        first, second = inputs.halves
        given = ["-i", str(first), "-i2", str(second)]
    arguments = [*program, *given, "-o", str(output), *settings.options]
    return Call(arguments, output, version=version_of([*program, "--version"]))


def _cryoten(inputs: Inputs, settings: OutsideSettings, output: Path) -> Call:
    program = _program("cryoten", settings)
    # It finds its configuration, checkpoint and main.py in the folder that it is run in.
    scripts = [Path(word) for word in program if word.endswith(".py")]
    for script in scripts:
        if not script.is_file():
            raise CryosamuError(f"{script}: is not there; check 'evaluation.outside.cryoten'.")
    arguments = [*program, str(inputs.map), str(output), *settings.options]
    return Call(arguments, output, folder=scripts[0].resolve().parent if scripts else None)


def _resolve_cryo_em(inputs: Inputs, settings: OutsideSettings, output: Path) -> Call:
    program = _program("resolve_cryo_em", settings)
    if inputs.halves is None or inputs.model is None:
        raise CryosamuError(
            "phenix.resolve_cryo_em needs the two half maps and a model for its sequences; give "
            "--half-map twice and the MODEL."
        )
    sequences = output.with_name("sequences.fasta")
    write_text(sequences, fasta(read_model(inputs.model), every_copy=True, where=inputs.model))
    first, second = inputs.halves
    arguments = [
        *program,
        f"input_files.half_map_file_name_1={first}",
        f"input_files.half_map_file_name_2={second}",
        f"input_files.seq_file={sequences}",
        f"crystal_info.resolution={inputs.resolution:g}",
        f"output_files.denmod_map_file_name={output}",
        "output_files.restore_full_size=True",
        *settings.options,
    ]
    sibling = Path(program[0]).with_name("phenix.version")
    version = version_of([str(sibling)]) if sibling.is_file() else "unknown"
    return Call(arguments, output, version=version)


_CALLS: dict[str, Callable[[Inputs, OutsideSettings, Path], Call]] = {
    "emready": _emready,
    "deepemhancer": _deepemhancer,
    "cryoten": _cryoten,
    "resolve_cryo_em": _resolve_cryo_em,
}
