"""A run that is killed and started again loses nothing and ends in the same outputs."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import Pipeline

pytestmark = pytest.mark.workflow


def test_sigkill_in_fetch_embed_and_train_ends_in_the_same_outputs(
    finished: Pipeline, tmp_path: Path
) -> None:
    pipeline = Pipeline(tmp_path / "run", finished.archive)
    folder = pipeline.folder

    def fetching() -> bool:
        return len(list(folder.glob("store/archive/maps/*/*.gz"))) >= 2

    def measuring() -> bool:
        return len(list(folder.glob("results/curate/measurements/*/*.made"))) >= 2

    def preparing() -> bool:
        return any(folder.glob("results/prepare/pairs/*/*.made"))

    def embedding() -> bool:
        return any(folder.glob("store/embeddings/**/*.npz"))

    def training() -> bool:
        return any(folder.glob("results/train/main/state/*/state.safetensors"))

    kept: dict[Path, int] = {}
    members: dict[Path, int] = {}
    for moment in (fetching, measuring, preparing, embedding, training):
        pipeline.kill_when(moment)
        store = [path for path in folder.glob("store/archive/*/*/*.gz") if path.is_file()]
        for path in store:
            kept.setdefault(path, path.stat().st_mtime_ns)
        stamps = (f"results/{stage}/*/*.made" for stage in ("curate/measurements", "prepare/pairs"))
        for path in (path for pattern in stamps for path in folder.glob(pattern)):
            members.setdefault(path, path.stat().st_mtime_ns)
        unlocked = pipeline.run(None, "--unlock")
        assert unlocked.status == 0, unlocked.text
    run = pipeline.run()
    assert run.status == 0, run.text
    assert "resuming at step" in pipeline.logs("train/*.log")
    assert {path: path.stat().st_mtime_ns for path in kept} == kept, "downloaded again"
    assert {path: path.stat().st_mtime_ns for path in members} == members, "made again"
    assert pipeline.checksums() == finished.checksums()
