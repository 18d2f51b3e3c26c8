"""What all tests need of the process that they run in."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from cryosamu.files import sha256_of
from cryosamu.pairs import Pair

# A shell that starts the tests in the background has them ignore Ctrl-C, and what they start too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their parameter: as they are, a time in them would differ between workers."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture
def pair_of() -> Callable[..., Pair]:
    """Return a function that makes a pair of a work list of a map's file and a model's."""

    def make(map_path: Path, model_path: Path, **changes: object) -> Pair:
        values: dict[str, object] = {
            "emdb_id": "EMD-1234",
            "pdb_id": "9TST",
            "split": "test",
            "resolution": 5.0,
            "contour_level": None,
            "simulated": False,
            "repaired": False,
            "map": str(map_path),
            "map_sha256": sha256_of(map_path),
            "model": str(model_path),
            "model_sha256": sha256_of(model_path),
            "deposited_model": str(model_path),
            "deposited_sha256": sha256_of(model_path),
        }
        return Pair(**(values | changes))  # type: ignore[arg-type]

    return make
