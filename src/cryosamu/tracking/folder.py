"""The files of one run of the training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunFolder:
    """Where a run keeps what it needs and what it made."""

    path: Path

    @property
    def about(self) -> Path:
        """What the run is: its settings and data; written when it begins or is resumed."""
        return self.path / "about.json"

    @property
    def state(self) -> Path:
        """The state of an unfinished run."""
        return self.path / "state.safetensors"

    @property
    def page(self) -> Path:
        """Curves and example slices, drawn again at each validation."""
        return self.path / "progress.html"

    @property
    def checkpoint(self) -> Path:
        """The finished network."""
        return self.path / "checkpoint.safetensors"

    @property
    def history(self) -> Path:
        """The finished training curves."""
        return self.path / "history.parquet"

    @property
    def pace(self) -> Path:
        """Seconds and crops a second, which unlike the history differ from call to call."""
        return self.path / "pace.parquet"

    @property
    def record(self) -> Path:
        """What the run was; written last, so that a run with a record is a finished one."""
        return self.path / "run.json"

    def clear_leftovers(self) -> None:
        """Remove what a kill in the middle of writing left behind under temporary names."""
        for leftover in self.path.glob(".part-*"):
            leftover.unlink()
