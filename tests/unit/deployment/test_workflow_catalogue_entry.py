"""What the workflow catalogue asks for, and the workflow as a module of another."""

from __future__ import annotations

import re
import subprocess
import sys

import yaml

from cryosamu.config import Config, read_config

MODULE = """
configfile: "config/config.yaml"

module cryosamu:
    snakefile: "{door}"
    config: config

use rule * from cryosamu as cryosamu_*
"""


def test_the_files_of_standardised_usage_are_there(repository):
    for name in (
        "workflow/Snakefile",
        "config/README.md",
        ".snakemake-workflow-catalog.yml",
        "LICENSE",
    ):
        assert (repository / name).is_file()
    readme = (repository / "README.md").read_text().lower()
    assert "snakemake" in readme
    assert "workflow" in readme
    assert {path.suffix for path in (repository / "workflow" / "rules").iterdir()} == {".smk"}
    entry = yaml.safe_load((repository / ".snakemake-workflow-catalog.yml").read_text())
    assert entry["usage"]["report"]
    assert entry["usage"]["software-stack-deployment"]["conda"]


def test_the_configuration_is_there_under_the_name_that_is_copied(repository):
    copied = repository / "config" / "config.yaml"
    assert copied.is_symlink()
    assert read_config(copied) == Config()


def test_the_page_of_the_configuration_is_that_of_the_configuration(repository, tool):
    page = tool("write_config_readme").page((repository / "config.yaml").read_text())
    on_disk = (repository / "config" / "README.md").read_text()
    assert on_disk == page, "run tools/write_config_readme.py"


def test_the_page_names_every_key_with_its_default(repository, tool):
    page = (repository / "config" / "README.md").read_text()
    stated = yaml.safe_load((repository / "config.yaml").read_text())

    def leaves(value, prefix):
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                yield from leaves(inner, f"{prefix}.{key}" if prefix else key)
        else:
            yield prefix, value

    for key, value in leaves(stated, ""):
        _, _, rest = page.partition(f"`{key}: ")
        assert rest, f"{key} is missing"
        assert yaml.safe_load(rest.partition("`")[0].replace("\\|", "|")) == value


def test_it_is_a_module_of_another_workflow(repository, tmp_path):
    (tmp_path / "workflow").mkdir()
    (tmp_path / "config").mkdir()
    door = repository / "workflow" / "Snakefile"
    (tmp_path / "workflow" / "Snakefile").write_text(MODULE.format(door=door))
    text = (repository / "config" / "config.yaml").read_text()
    (tmp_path / "config" / "config.yaml").write_text(text)
    run = subprocess.run(
        [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "rule cryosamu_default:" in run.stdout
    assert re.search(r"cryosamu_query_catalogue\s+1", run.stdout)
