"""Write config/README.md: every key of config.yaml with its default and what its comment says.

The workflow catalogue shows that page, and `snakedeploy` copies the folder. A test fails when it
is out of date.

    python tools/write_config_readme.py
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from cryosamu.files import write_text

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "config"
INTRODUCTION = """\
# Configuration

`config.yaml` here is the paper's recipe, with every key at its default. A run needs none of it:
give a file with only your changes, `snakemake --configfile mine.yaml`. An unknown key, or a value
out of range, stops the run at once with a sentence.

The workflow needs no sample sheet: it asks EMDB and the PDB for candidates. `archive.mirror_root`
points it at a mirror, `catalogue.locked` at a data set to be had again exactly.

The commands of the rules come with the Python package `cryosamu`. Install it beside Snakemake (see
the README), or let `--sdm conda` do it, after
`export CRYOSAMU_SOURCE=` followed by a checkout's path or an address that pip understands.

As a module of another workflow, rules may be renamed (`use rule * from cryosamu as cryosamu_*`).
The module's `prefix:` cannot be used: commands are also given folders, by their paths below
`results/`.

This page is made from the comments of `config.yaml` by `tools/write_config_readme.py`.
"""


@dataclass
class Row:
    """Keys that one comment explains."""

    comment: str
    keys: list[str] = field(default_factory=list)


def page(text: str) -> str:
    """Return the page for a configuration file, a table a section."""
    lines = text.splitlines()
    parts = [INTRODUCTION]
    root = yaml.compose(text)
    assert isinstance(root, yaml.MappingNode)
    for key, section in root.value:
        rows: list[Row] = []
        _collect(key.value, section, lines, rows)
        parts.append(f"## {key.value}\n\n| key and default | meaning |\n| --- | --- |")
        parts += [f"| {'<br>'.join(row.keys)} | {row.comment} |" for row in rows if row.keys]
        parts.append("")
    return "\n".join(parts)


def _collect(prefix: str, section: yaml.MappingNode, lines: list[str], rows: list[Row]) -> None:
    """Append the rows of a section; a key without a comment belongs to the row before it."""
    for key, value in section.value:
        name = f"{prefix}.{key.value}"
        if (comment := " ".join(_above(key.start_mark.line, lines))) or not rows:
            rows.append(Row(comment.replace("|", "\\|")))
        if isinstance(value, yaml.MappingNode) and value.value:
            _collect(name, value, lines, rows)
        else:
            rows[-1].keys.append(f"`{name}: {_default(value)}`")


def _above(line: int, lines: list[str]) -> Iterator[str]:
    first = line
    while lines[first - 1].lstrip().startswith("#"):
        first -= 1
    for text in lines[first:line]:
        yield text.lstrip().removeprefix("#").strip()


def _default(value: yaml.Node) -> str:
    text = yaml.serialize(_flow(value), width=1000).removesuffix("\n...\n").strip()
    return text.replace("|", "\\|")


def _flow(value: yaml.Node) -> yaml.Node:
    if isinstance(value, yaml.CollectionNode):
        value.flow_style = True
    return value


def main() -> None:
    """Write the page of the configuration as it is."""
    write_text(FOLDER / "README.md", page((ROOT / "config.yaml").read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
