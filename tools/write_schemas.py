"""Write the JSON schemas of the configuration and of the tables into workflow/schemas.

They are for editors and for people; the software checks with the same definitions in
`cryosamu.config` and `cryosamu.tables`. A test fails when they differ. Config/README.md, which
changes with the same keys, is written too.

    python tools/write_schemas.py
"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import yaml

from cryosamu import tables
from cryosamu.config import Config
from cryosamu.files import write_text

FOLDER = Path(__file__).parents[1] / "workflow" / "schemas"
_TYPES = {
    pa.string(): "string",
    pa.float64(): "number",
    pa.int64(): "integer",
    pa.bool_(): "boolean",
}


def schemas() -> dict[str, str]:
    """Return the text of every schema by file name."""
    texts = {"config.schema.yaml": Config.model_json_schema()}
    for name, schema in vars(tables).items():
        if isinstance(schema, pa.Schema):
            columns = {field.name: {"type": [_TYPES[field.type], "null"]} for field in schema}
            texts[f"{name.lower()}.schema.yaml"] = {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "description": f"One row of the {name.lower()} table.",
                "type": "object",
                "properties": columns,
                "required": list(columns),
                "additionalProperties": False,
            }
    # Through JSON, so that tuples and the like become plain YAML.
    return {
        name: yaml.safe_dump(json.loads(json.dumps(value)), sort_keys=False)
        for name, value in texts.items()
    }


if __name__ == "__main__":
    for file_name, text in schemas().items():
        write_text(FOLDER / file_name, text)
    import write_config_readme

    write_config_readme.main()
