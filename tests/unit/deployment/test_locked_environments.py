"""The lock is whole, what is installed is what it says, and every recipe takes it."""

from __future__ import annotations

from importlib.metadata import version

import pytest
import yaml
from packaging.version import Version


@pytest.fixture(scope="module")
def writer(tool):
    return tool("write_conda_environment")


@pytest.fixture(scope="module")
def needed(writer):
    """Names of all that the package and its development need on this machine."""
    project = writer.project()
    return writer.closure(project["dependencies"] + project["optional-dependencies"]["dev"])


def pinned(line):
    return Version(line.split("==")[1])


def test_the_lock_holds_all_that_is_needed_and_nothing_else(writer, needed):
    assert set(writer.pins()) == needed


def test_what_is_installed_is_what_the_lock_says(writer, needed):
    installed = {name: Version(version(name)) for name in needed}
    # A local version, such as 2.13.0+cpu, is a build of the same.
    assert {name: Version(one.public) for name, one in installed.items()} == {
        name: pinned(line) for name, line in writer.pins().items()
    }


def test_the_conda_environment_is_made_from_the_lock(writer, repository):
    text = (repository / "envs" / "cryosamu.yaml").read_text()
    assert text == writer.environment(), "run tools/write_conda_environment.py"
    *packages, pip = yaml.safe_load(text)["dependencies"]
    assert packages == ["python =3.11", "pip =25"]
    source, *lines = pip["pip"]
    assert source == "${CRYOSAMU_SOURCE}"
    assert {"torch", "snakemake", "gemmi", "numpy"} <= {line.split("==")[0] for line in lines}
    assert all("==" in line for line in lines)
    assert not {"pytest", "mypy"} & {line.split("==")[0] for line in lines}


def test_what_a_cluster_needs_more_is_pinned_and_does_not_contradict_the_lock(writer, repository):
    locked = writer.pins()
    for name in ("kubernetes.txt", "kubernetes-test.txt"):
        lines = (repository / "envs" / name).read_text().splitlines()
        for line in (line for line in lines if not line.startswith("#")):
            assert pinned(line)
            assert writer.normalised(line.split("==")[0]) not in locked
