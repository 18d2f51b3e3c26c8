"""The real commands against an archive that misbehaves: the same data set, or each loss named."""

from __future__ import annotations

import gzip
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hostile_archive import ANY, LASTING, PASSING, hostile_archive
from hostile_server import HostileServer, give, running
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_archive import incompressible

from cryosamu.archive.client import ArchiveClient
from cryosamu.archive.fetch import fetch, wanted_map
from cryosamu.archive.record import read_fetches, read_record
from cryosamu.archive.server import EMBEDDED, ArchiveServer
from cryosamu.config import ArchiveSettings
from cryosamu.tables import DECISIONS, read_table

PROGRAM = (
    "from cryosamu.cli import main; main.COMMANDS = ('catalogue', 'fetch', 'curate'); main.main()"
)
TABLES = ("catalogue", "metadata", "fetches", "models", "clusters")
MAPS = ("EMD-3488", "EMD-900001")


class Run:
    """One user's folder, and the commands that rebuild the data set in it."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.point_to(url)

    def point_to(self, url: str) -> None:
        (self.folder / "config.yaml").write_text(
            f"archive: {{mirror_root: '{url}', retries: 4, seconds_between_requests: 0,"
            " timeout_seconds: 1, maximum_map_gigabytes: 0.02}\n"
            "shards: {candidates: 1}\n"
            "curation: {resolution: {minimum: 3, maximum: 8}}\n"
        )

    def __call__(self, *arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *arguments, "--config", "config.yaml"],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stderr

    def ask(self) -> tuple[int, str]:
        return self("catalogue", "-o", "catalogue.parquet")

    def fetch_models(self) -> tuple[int, str]:
        return self("fetch", "models", "lists/0.jsonl", "-o", "fetches.parquet")

    def judge_metadata(self) -> tuple[int, str]:
        options = ("-o", "metadata.parquet", "--work", "lists")
        return self("curate", "metadata", "catalogue.parquet", *options)

    def judge_models(self) -> tuple[int, str]:
        options = ("--decisions", "metadata.parquet", "--fetches", "fetches.parquet")
        outputs = ("--clusters", "clusters.parquet", "-o", "models.parquet")
        return self("curate", "models", "catalogue.parquet", *options, *outputs)

    def rebuild(self) -> None:
        for step in (self.ask, self.judge_metadata, self.fetch_models, self.judge_models):
            code, err = step()
            assert code == 0, err

    def contents(self) -> dict[str, bytes]:
        """Return the tables, which hold the checksums of all that was fetched."""
        return {name: (self.folder / f"{name}.parquet").read_bytes() for name in TABLES}


@pytest.fixture(scope="module")
def healthy():
    with ArchiveServer(EMBEDDED).running() as server:
        yield server.url


@pytest.fixture(scope="module")
def expected(healthy, tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("healthy"), healthy)
    run.rebuild()
    return run


def two_each(address, turn):
    """Give each question two faults, so that questions in a row go through all of them."""
    names = list(PASSING if address.partition(" ")[0].endswith(".gz") else ANY)
    return names[2 * turn % len(names)], names[(2 * turn + 5) % len(names)]


def map_file(emdb_id):
    name = f"{emdb_id.lower().replace('-', '_')}.map.gz"
    folder = EMBEDDED / "ftp.ebi.ac.uk/pub/databases/emdb/structures" / emdb_id / "map"
    return folder / name


def test_what_passes_changes_nothing(healthy, expected, tmp_path):
    with hostile_archive(healthy, two_each) as archive:
        run = Run(tmp_path / "hostile", archive.url)
        run.rebuild()
        for emdb_id in MAPS:
            code, err = run("fetch", "map", emdb_id, "--record", f"{emdb_id}.json")
            assert code == 0, err
    assert run.contents() == expected.contents()
    for emdb_id in MAPS:
        record = read_record(run.folder / f"{emdb_id}.json")
        data = map_file(emdb_id).read_bytes()
        assert record.sha256 == hashlib.sha256(data).hexdigest()
        assert (run.folder / record.path).read_bytes() == data
    assert set(archive.injected) == set(PASSING)
    assert sum(archive.injected.values()) > 90


def test_what_does_not_pass_is_lost_by_name_and_comes_back(healthy, expected, tmp_path):
    sound = {one.id: one for one in read_fetches(expected.folder / "fetches.parquet")}
    lost = dict(zip(sorted(sound), LASTING, strict=False))
    assert set(lost.values()) == set(LASTING)
    with hostile_archive(healthy, lambda *_: ()) as archive:
        archive.lasting = {f"/{name}.cif.gz": fault for name, fault in lost.items()}
        run = Run(tmp_path / "hostile", archive.url)
        for name in ("catalogue.parquet", "metadata.parquet", "lists"):
            (run.folder / name).symlink_to(expected.folder / name)
        _, told = run.fetch_models()
        run.judge_models()

        counts = f"{len(sound) - len(lost)} fetched, 0 already in the store, {len(lost)} failed"
        assert counts in told
        for one in read_fetches(run.folder / "fetches.parquet"):
            if one.id in lost:
                assert one.status == "failed"
                assert one.error.startswith(f"https://files.rcsb.org/download/{one.id}.cif.gz: ")
            else:
                assert one == sound[one.id]
        decisions = read_table(run.folder / "models.parquet", DECISIONS)
        fails = decisions[decisions.verdict == "fail"]
        assert set(fails.pdb_id) == set(lost)
        for pdb_id, reason in zip(fails.pdb_id, fails.reason, strict=True):
            assert f"download/{pdb_id}.cif.gz: " in reason

        archive.lasting.clear()
        _, told = run.fetch_models()
        assert f"{len(lost)} fetched, {len(sound) - len(lost)} already in the store" in told
        run.judge_models()
    assert run.contents() == expected.contents()


@settings(max_examples=15, deadline=None)
@given(
    size=st.integers(1, 60_000),
    faults=st.lists(st.sampled_from(sorted(PASSING)), max_size=3),
)
def test_whatever_passes_the_bytes_are_the_archives(size, faults):
    data = gzip.compress(incompressible(size), mtime=0)
    with running(HostileServer()) as server, tempfile.TemporaryDirectory() as folder:
        haste = {"retries": 3, "seconds_between_requests": 0, "timeout_seconds": 0.4}
        known = ArchiveSettings(mirror_root=server.url, emdb_files=("https://host",), **haste)
        wanted = wanted_map("EMD-93", known, Path(folder))
        server.behaviours["host/EMD-0093/map/emd_0093.map.gz"] = [
            *(PASSING[name](data) for name in faults), give(data)
        ]  # fmt: skip
        with ArchiveClient(known) as client:
            assert fetch(client, wanted).record.sha256 == hashlib.sha256(data).hexdigest()
        assert wanted.path.read_bytes() == data
