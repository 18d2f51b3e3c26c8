"""What the workflow declares agrees with what the software means."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from harness import REPOSITORY
from packaging.requirements import Requirement

from cryosamu.config import Config, read_config


def test_the_commented_configuration_states_the_defaults() -> None:
    assert read_config(REPOSITORY / "config.yaml") == Config()


def test_every_key_of_the_configuration_is_stated() -> None:
    stated = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    assert keys_of(stated) == keys_of(Config().model_dump())


def keys_of(value: object, prefix: str = "") -> set[str]:
    if not isinstance(value, dict) or not value:
        return {prefix}
    return set().union(*(keys_of(inner, f"{prefix}.{key}") for key, inner in value.items()))


def test_the_demo_configuration_is_valid() -> None:
    assert read_config(REPOSITORY / "workflow" / "demo.yaml").network.name == "compact"


def test_schemas_on_disk_are_those_of_the_code() -> None:
    path = REPOSITORY / "tools" / "write_schemas.py"
    spec = importlib.util.spec_from_file_location("write_schemas", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    on_disk = {path.name: path.read_text() for path in module.FOLDER.glob("*.yaml")}
    assert on_disk == module.schemas()


def test_pins_cover_the_dependencies_and_fit_them() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    files = [REPOSITORY / "envs" / name for name in ("constraints.txt", "torch-cpu.txt")]
    lines = [line for file in files for line in file.read_text().splitlines()]
    pins = dict(line.lower().replace("_", "-").split("==") for line in lines if "==" in line)
    for requirement in map(Requirement, asked):
        assert requirement.name.lower() in pins, f"{requirement.name} has no pin"
        assert requirement.specifier.contains(pins[requirement.name.lower()]), str(requirement)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("trainig: {}\n", "'trainig' is not a known key; did you mean 'training'?"),
        ("training: {steps: -1}\n", "'training.steps' is -1"),
    ],
)
def test_a_wrong_configuration_stops_snakemake_with_the_sentence(
    tmp_path: Path, text: str, expected: str
) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(text)
    run = subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1"),
            *("--snakefile", str(REPOSITORY / "Snakefile"), "--directory", str(tmp_path)),
            *("--configfile", str(overlay)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0
    assert expected in run.stdout + run.stderr
    assert "Traceback" not in run.stdout + run.stderr
    assert not (tmp_path / "results").exists()


DAMAGED = {
    "results/fetch/models/00.parquet": "is damaged, or no table of fetches; delete it",
    "results/fetch/asked_again.json": "is damaged; delete it, and all counts begin anew",
}


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize("content", [b"", b"PAR1 but no more \xff PAR1", b"[1, 2]"])
def test_a_damaged_record_of_fetches_is_one_sentence(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_bytes(content)
    (tmp_path / "overlay.yaml").write_text("shards: {pairs: 11, candidates: 11}\n")
    run = subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1"),
            *("--snakefile", str(REPOSITORY / "Snakefile"), "--directory", str(tmp_path)),
            *("--configfile", str(tmp_path / "overlay.yaml")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    said = run.stdout + run.stderr
    assert run.returncode != 0
    assert f"{name}: {DAMAGED[name]}" in said
    assert "Traceback" not in said


def test_the_door_for_the_workflow_catalogue_has_a_default_target(tmp_path: Path) -> None:
    run = subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1"),
            *("--snakefile", str(REPOSITORY / "workflow" / "Snakefile")),
            *("--directory", str(tmp_path)),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.search(r"query_catalogue\s+1", run.stdout)


def test_the_default_profile_is_really_loaded(tmp_path: Path) -> None:
    profile = REPOSITORY / "workflow" / "profiles" / "default"
    run = subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "--dry-run", "--workflow-profile", str(profile)),
            *("--snakefile", str(REPOSITORY / "Snakefile"), "--directory", str(tmp_path)),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Using workflow specific profile" in run.stderr + run.stdout


def test_a_command_names_the_tables_of_all_shards_however_many_there_are(tmp_path: Path) -> None:
    """No command line may be longer than 128 KB; bash writes the names out."""
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("shards: {pairs: 11, candidates: 1}\n")
    run = subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "--dry-run", "--printshellcmds", "--cores", "1"),
            *("--snakefile", str(REPOSITORY / "Snakefile"), "--directory", str(tmp_path)),
            *("--configfile", str(overlay), "--", "report"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    (command,) = re.findall(r"^Shell command: cryosamu (report .*)$", run.stdout, re.MULTILINE)
    assert command.count("results/evaluate/") == 6
    words = subprocess.run(
        ["bash", "-c", f"printf '%s\\n' {command.partition(' 2> ')[0]}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    shards = [f"{number:02d}" for number in range(11)]
    for option, suffix in (("evaluation", ".parquet"), ("curves", ".curves.parquet")):
        given = [word for word in words if word.startswith(f"--{option}=")]
        assert given == [f"--{option}=results/evaluate/{shard}{suffix}" for shard in shards]
