"""The checkpoint that is installed with the software."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from cryosamu.errors import CheckpointError


def released_checkpoint() -> Path:
    """Return the path of the packaged checkpoint.

    Raises
    ------
    CheckpointError
        When this installation has none.
    """
    path = Path(str(files("cryosamu.enhancement"))) / "weights" / "released.safetensors"
    if not path.is_file():
        raise CheckpointError(
            "no checkpoint is packaged with this installation; name one with --checkpoint."
        )
    return path
