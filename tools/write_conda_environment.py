"""Write envs/cryosamu.yaml: the packages of a run, without those of development, as pinned for pip.

Snakemake copies an environment's file before it makes the environment, so the file names no other.
A test fails when it is out of date.

    python tools/write_conda_environment.py
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from cryosamu.files import write_text

FOLDER = Path(__file__).parents[1] / "envs"
HEAD = """\
# For `snakemake --sdm conda`. Where the package itself is taken from is yours to say before the
# first run, as a path or an address that pip understands:
#   export CRYOSAMU_SOURCE=/path/to/a/checkout
# Made from constraints.txt and torch-cpu.txt by tools/write_conda_environment.py.
name: cryosamu
channels:
  - conda-forge
  - nodefaults
dependencies:
  - python =3.11
  - pip =25
  - pip:
      - ${CRYOSAMU_SOURCE}
"""


def normalised(name: str) -> str:
    """Return a distribution's name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(requirements: Iterable[str]) -> set[str]:
    """Return the names of all distributions that these need on this machine, and their own."""
    found: set[str] = set()
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [(text, frozenset[str]()) for text in requirements]
    while waiting:
        text, asked = waiting.pop()
        requirement = Requirement(text)
        marker = requirement.marker
        if marker and not any(marker.evaluate({"extra": extra}) for extra in asked | {""}):
            continue
        extras = frozenset(requirement.extras)
        found.add(normalised(requirement.name))
        if (requirement.name, extras) not in seen:
            seen.add((requirement.name, extras))
            needed = distribution(requirement.name).requires or ()
            waiting += [(one, extras) for one in needed]
    return found


def project() -> dict[str, Any]:
    """Return what pyproject.toml says of the package."""
    text = (FOLDER.parent / "pyproject.toml").read_text(encoding="utf-8")
    return dict(tomllib.loads(text)["project"])


def pins() -> dict[str, str]:
    """Return the lines of the lock by normalised name."""
    texts = [(FOLDER / name).read_text() for name in ("constraints.txt", "torch-cpu.txt")]
    lines = [line for text in texts for line in text.splitlines() if "==" in line]
    return {normalised(line.split("==")[0]): line for line in lines}


def environment() -> str:
    """Return the text of the environment's file."""
    locked = pins()
    lines = [locked[name] for name in sorted(closure(project()["dependencies"]))]
    return HEAD + "".join(f"      - {line}\n" for line in lines)


if __name__ == "__main__":
    write_text(FOLDER / "cryosamu.yaml", environment())
