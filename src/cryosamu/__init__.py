"""CryoSAMU: structure-aware multimodal enhancement of cryo-EM maps at 4–8 Å.

`cryosamu.enhance` enhances a map in memory; `read_map` and `write_map` keep its frame.
"""

from importlib import import_module
from typing import Any

_OFFERED = {
    "enhance": "cryosamu.enhancement.api",
    "Enhanced": "cryosamu.enhancement.api",
    "Volume": "cryosamu.volume.volume",
    "read_map": "cryosamu.volume.io",
    "write_map": "cryosamu.volume.io",
}


def __getattr__(name: str) -> Any:
    """Import what is offered when it is first asked for: torch alone takes seconds."""
    if name in _OFFERED:
        return getattr(import_module(_OFFERED[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_OFFERED})
