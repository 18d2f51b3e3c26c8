"""What profiles say fits the rules, and the executors that they name fit the environment."""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

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
