"""The real Snakemake on the embedded archive, with few training steps."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).parents[2]
EMBEDDED = REPOSITORY / "src" / "cryosamu" / "archive" / "embedded"
LATE_ENTRY = "EMD-900003"
"""Absent from the archive until a test adds it; then trained on."""

FEW_STEPS = {
    "training": {"steps": 12, "update_steps": 4, "validate_every": 4, "batch_size": 2, "crop": 16},
    "network": {"base_channels": 4},
    "embedding": {"pooling": {"tokens": 16}},
    "split": {"pinned": {LATE_ENTRY: "train"}},
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def merged(first: dict, second: dict) -> dict:
    result = dict(first)
    for key, value in second.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


@dataclass
class Run:
    """What one call of Snakemake said and did."""

    status: int
    text: str

    @property
    def jobs(self) -> Counter[str]:
        """Rule names to the number of jobs that were started."""
        started = re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):$", self.text, re.MULTILINE)
        return Counter(started)

    @property
    def nothing_to_do(self) -> bool:
        return "Nothing to be done" in self.text


@dataclass
class Pipeline:
    """A working directory of the workflow and the archive that it asks."""

    folder: Path
    archive: Path
    settings: dict = field(default_factory=lambda: dict(FEW_STEPS))
    profile: str = "default"
    options: tuple[str, ...] = ("--cores", "2")
    environment: dict[str, str] = field(default_factory=dict)

    def command(self, settings: dict | None = None, *extra: str) -> list[str]:
        port = free_port()
        here = {"archive": {"mirror_root": f"http://127.0.0.1:{port}"}}
        overlay = merged(merged(self.settings, settings or {}), here)
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "overlay.yaml"
        path.write_text(yaml.safe_dump(overlay))
        demo = REPOSITORY / "workflow" / "demo.yaml"
        return [
            *("cryosamu", "archive", "serve", "--port", str(port), "--root", str(self.archive)),
            *("--", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile")),
            *("--workflow-profile", str(REPOSITORY / "workflow" / "profiles" / self.profile)),
            *("--directory", str(self.folder), *self.options),
            *("--configfile", str(demo), str(path), *extra),
        ]

    def start(self, settings: dict | None = None, *extra: str) -> subprocess.Popen[str]:
        environment = {**os.environ, **self.environment}
        return subprocess.Popen(
            self.command(settings, *extra),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={**environment, "PATH": f"{Path(sys.executable).parent}:{environment['PATH']}"},
        )

    def run(self, settings: dict | None = None, *extra: str) -> Run:
        process = self.start(settings, *extra)
        text, _ = process.communicate(timeout=1800)
        return Run(process.returncode, text)

    def kill_when(self, condition, settings: dict | None = None) -> None:
        """Start a run, kill the whole process group with SIGKILL once `condition()` holds."""
        process = self.start(settings)
        deadline = time.monotonic() + 1800
        while process.poll() is None and time.monotonic() < deadline and not condition():
            time.sleep(0.01)
        assert process.poll() is None, f"the run ended before it could be killed: {process.stdout}"
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    def logs(self, pattern: str) -> str:
        return "".join(path.read_text() for path in sorted(self.folder.glob(f"logs/{pattern}")))

    def checksums(self) -> dict[str, str]:
        """SHA-256 of every result, left out what names a port or holds seconds and memory."""
        root = self.folder / "results"
        return {
            str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(root.rglob("*"))
            if path.is_file()
            and path.name != "config.json"
            and "state" not in path.parts
            and not (path.suffix != ".mrc" and "enhance" in path.parts)
            and path.name != "report.html"
        }

    def copy(self, folder: Path, archive: Path | None = None) -> Pipeline:
        shutil.copytree(self.folder, folder, symlinks=True)
        return Pipeline(folder, archive or self.archive, self.settings)


def without_entry(archive: Path, emdb_id: str) -> Path:
    (archive / f"www.ebi.ac.uk/emdb/api/entry/{emdb_id}.json").unlink()
    return archive
