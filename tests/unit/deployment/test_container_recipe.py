"""The container recipe takes the lock, runs as nobody in particular and copies what is there."""

from __future__ import annotations

import re
import shlex

import pytest


@pytest.fixture(scope="module")
def instructions(repository):
    """(instruction, the rest), continued lines joined."""
    text = (repository / "envs" / "Containerfile").read_text()
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines()]


def test_what_is_copied_is_there_and_sent_to_the_engine(repository, instructions):
    sent = (repository / ".dockerignore").read_text().splitlines()
    copied = [rest for name, rest in instructions if name == "COPY" and "--from" not in rest]
    assert copied
    for rest in copied:
        *sources, _ = shlex.split(rest)
        for source in sources:
            assert (repository / source).exists()
            assert f"!{source.split('/')[0]}" in sent


def test_every_installation_is_held_to_the_lock(instructions):
    commands = [
        command
        for name, rest in instructions
        if name == "RUN"
        for command in rest.split("&&")
        if "pip install" in command
    ]
    assert len(commands) == 3
    assert all("--constraint envs/constraints.txt" in command for command in commands)


def test_the_image_is_pinned_and_runs_as_an_unprivileged_user(instructions):
    arguments = dict(rest.split("=", 1) for name, rest in instructions if name == "ARG")
    assert re.search(r":3\.11\.\d+-slim-\w+$", arguments["BASE"])
    assert {rest.split()[0] for name, rest in instructions if name == "FROM"} == {"${BASE}"}
    assert [rest for name, rest in instructions if name == "USER"] == ["1000:1000"]


def test_the_image_bears_the_packages_version(tool, instructions):
    version = tool("write_conda_environment").project()["version"]
    (labels,) = (rest for name, rest in instructions if name == "LABEL")
    assert f'org.opencontainers.image.version="{version}"' in labels
