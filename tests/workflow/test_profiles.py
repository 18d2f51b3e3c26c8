"""What profiles say fits the rules, and the executors that they name fit the environment."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from shutil import which

import pytest
import yaml
from harness import REPOSITORY
from packaging.requirements import Requirement

PROFILES = sorted((REPOSITORY / "workflow/profiles").glob("*/config*.yaml"))
RULES = "\n".join(path.read_text() for path in (REPOSITORY / "workflow/rules").glob("*.smk"))
EXECUTORS = Path(sys.prefix) / "executors"


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.parent.name)
def test_rules_that_a_profile_names_exist(profile: Path) -> None:
    """Snakemake says nothing of others."""
    said = yaml.safe_load(profile.read_text())
    named = {
        rule for key in ("set-resources", "set-threads", "groups") for rule in said.get(key, {})
    }
    assert named <= set(re.findall(r"^(?:rule|checkpoint) (\w+):", RULES, re.MULTILINE))


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.parent.name)
def test_no_profile_asks_for_a_gpu_that_the_configuration_does_not_want(profile: Path) -> None:
    """Rules ask by `device`; what a profile says would win over them."""
    said = yaml.safe_load(profile.read_text())
    asked = (said.get("default-resources", {}), *said.get("set-resources", {}).values())
    assert not any("gpu" in resources for resources in asked)


@pytest.mark.parametrize(
    ("device", "asked"),
    [("cpu", None), ("cuda", "1"), ("auto", "0" if which("nvidia-smi") is None else "1")],
)
def test_one_job_at_a_time_is_on_this_machines_gpu(
    tmp_path: Path, device: str, asked: str | None
) -> None:
    profile = REPOSITORY / "workflow/profiles/default"
    assert "gpu=1" in yaml.safe_load((profile / "config.yaml").read_text())["resources"]
    (tmp_path / "overlay.yaml").write_text(f"training: {{device: {device}}}\n")
    run = subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "--dry-run", "--workflow-profile", str(profile)),
            *("--snakefile", str(REPOSITORY / "Snakefile"), "--directory", str(tmp_path)),
            *("--configfile", str(tmp_path / "overlay.yaml"), "--", "model"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    job = run.stdout.partition("rule train_network:")[2].partition("\n\n")[0]
    found = re.search(r"\bgpu=(\d)", job)
    assert (found and found[1]) == asked


def test_no_rule_repeats_inside_its_own_job() -> None:
    assert not re.search(r"^\s*retries:", RULES, re.MULTILINE)


def test_every_rule_asks_for_enough_memory_to_hold_snakemake_itself() -> None:
    asked = [int(number) for number in re.findall(r"mem_mb=\D*?(\d+)", RULES)]
    assert len(asked) > 10
    assert min(asked) >= 1000


def test_the_executors_need_nothing_that_the_environment_lacks() -> None:
    lines = (REPOSITORY / "envs/executors.txt").read_text().splitlines()
    pins = {line.split("==")[0]: line.split("==")[1] for line in lines if "==" in line}
    found = {plugin.name: plugin for plugin in metadata.distributions(path=[str(EXECUTORS)])}
    if not found:
        pytest.skip(f"Snakemake's executor plugins are not in {EXECUTORS}: `make executors`")
    assert {name: plugin.version for name, plugin in found.items()} == pins
    for plugin in found.values():
        for requirement in map(Requirement, plugin.requires or []):
            version = pins.get(requirement.name) or metadata.version(requirement.name)
            assert requirement.specifier.contains(version), f"{plugin.name}: {requirement}"
