"""Many models at once: folders, tar archives and single files, none of them trusted.

Members of an archive are read in memory, one at a time; nothing is ever written under a name that
an archive gives.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from cryosamu.errors import ModelError

MODEL_SUFFIXES = (".cif.gz", ".cif", ".mmcif", ".pdb.gz", ".pdb", ".ent.gz", ".ent")
LARGEST_MEMBER = 500_000_000
"""Bytes of one model in an archive."""

LARGEST_ARCHIVE = 50_000_000_000
"""Bytes of all models of an archive, unpacked."""


def model_files(sources: Iterable[Path | str]) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the content of every model, in the order of the sources.

    Parameters
    ----------
    sources
        Folders (their models by name, not those of folders within), tar archives, packed or not
        (in their order), and single models.

    Raises
    ------
    ModelError
        When a source is not there, is no archive and no model, or is larger than the limits.
    """
    for source in map(Path, sources):
        if source.is_dir():
            for path in sorted(source.iterdir()):
                if path.is_file() and path.name.lower().endswith(MODEL_SUFFIXES):
                    yield path.name, path.read_bytes()
        elif not source.is_file():
            raise ModelError(f"{source}: there is no such folder, archive or model.")
        elif source.name.lower().endswith(MODEL_SUFFIXES):
            yield source.name, source.read_bytes()
        else:
            yield from _members(source)


def _members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the regular files of a tar archive that are named as models are."""
    total = 0
    try:
        with tarfile.open(archive, "r|*") as opened:
            for member in opened:
                name = PurePosixPath(member.name).name
                if not member.isreg() or not name.lower().endswith(MODEL_SUFFIXES):
                    continue
                total += member.size
                if member.size > LARGEST_MEMBER or total > LARGEST_ARCHIVE:
                    raise ModelError(f"{archive}: its models are too large to be read ({name}).")
                file = opened.extractfile(member)
                if file is not None:
                    yield name, file.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ModelError(
            f"{archive}: is no folder, model or whole tar archive of models ({error})."
        ) from error
