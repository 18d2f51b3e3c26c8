"""The part of RCSB's search that our client uses, answered from a folder of model descriptions.

One text terminal: an attribute that is any of some values (operator `in`), sorted by id, in pages.
Whatever else the search understands is refused rather than misread.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryosamu.archive.search import QueryError, values_at


def search_models(folder: Path, question: Any) -> dict[str, Any] | None:
    """Return one page of the models in `folder` that a question finds; None where there is none.

    Parameters
    ----------
    folder
        Where the models' descriptions are: 5NI1.json and so on.
    question
        The JSON that was posted.

    Raises
    ------
    QueryError
        Where the question is not understood.
    """
    try:
        parameters = question["query"]["parameters"]
        path = tuple(parameters["attribute"].split("."))
        wanted = frozenset(parameters["value"])
        page = question["request_options"]["paginate"]
        start, rows = int(page["start"]), int(page["rows"])
        understood = (question["query"]["service"], parameters["operator"], question["return_type"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise QueryError(f"the question lacks a part ({error})") from error
    if understood != ("text", "in", "entry"):
        raise QueryError("only entries whose text attribute is in a list are found")
    found = [
        file.stem
        for file in sorted(folder.glob("*.json"))
        if wanted.intersection(values_at(_description(file), path))
    ]
    if not found:
        return None
    return {
        "query_id": "embedded",
        "result_type": "entry",
        "total_count": len(found),
        "result_set": [{"identifier": one, "score": 1.0} for one in found[start : start + rows]],
    }


def _description(file: Path) -> Mapping[str, Any]:
    try:
        description = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return description if isinstance(description, dict) else {}
