"""A baseline made in a process of its own, so that its time and memory are measured like others'.

    python -m cryosamu.evaluation.methods.process NAME MAP OUTPUT SETTINGS

SETTINGS is JSON: resolution (Å), contour (or null) and the `evaluation` section.
"""

from __future__ import annotations

import json
import sys

from cryosamu.config import EvaluationSettings
from cryosamu.errors import CryosamuError
from cryosamu.evaluation.methods.baselines import make_baseline
from cryosamu.volume.io import read_map, write_map


def main(arguments: list[str]) -> None:
    """Read a map, make the baseline, write it in the map's own frame."""
    name, map_path, output, text = arguments
    given = json.loads(text)
    settings = EvaluationSettings.model_validate(given["evaluation"])
    deposited = read_map(map_path)
    made = make_baseline(name, deposited, given["resolution"], settings, given["contour"])
    write_map(output, deposited.with_data(made.data), f"CryoSAMU: baseline {name}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except CryosamuError as error:
        sys.exit(f"cryosamu: {error}")
