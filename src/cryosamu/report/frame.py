"""What all pages share: one file that asks nothing of a network and runs its own scripts only."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def render_template(name: str, *, with_views: bool, **values: Any) -> str:
    """Return a page's HTML; all text of `values` is escaped.

    Parameters
    ----------
    name
        A template that extends `frame.html`, which asks for `title`, `note` and `made`.
    with_views
        Whether it shows maps in 3D, whose scripts are large.
    """
    environment = Environment(
        loader=PackageLoader("cryosamu.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page: str = environment.get_template(name).render(
        style=Markup(_part("templates/style.css")), scripts=_scripts(with_views), **values
    )
    return page


def _scripts(with_views: bool) -> list[dict[str, str]]:
    """Return the page's scripts, each with the digest that alone lets it run."""
    names = ["templates/sort.js"]
    if with_views:
        names += ["vendor/3Dmol-min.js"]
        names += [f"templates/{name}.js" for name in ("surface", "view", "viewer", "cuts")]
    scripts = []
    for name in names:
        text = _part(name)
        # The digest covers all between the tags, the newline of the template included.
        digest = hashlib.sha256(f"\n{text}".encode()).digest()
        scripts.append({"text": Markup(text), "digest": base64.b64encode(digest).decode("ascii")})
    return scripts


def _part(name: str) -> str:
    return (files("cryosamu.report") / name).read_text(encoding="utf-8")


def short_commit(commit: str | None) -> str:
    """Return a commit as it is told in a line of text."""
    if commit is None:
        return "not known"
    name, changed, _ = commit.partition("+")
    return f"{name[:10]}{' with changes' if changed else ''}"
