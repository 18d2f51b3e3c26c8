"""What fast numbers change on real maps: bfloat16 and 8-bit products against float32.

Every map of a folder with an index.json, enhanced by the packaged checkpoint, no structure told:
correlation of the outputs over the map; in the molecule the root mean square of their difference,
over the standard deviation there and over that of what the network changed; CC_mask of each,
low-passed to the reported resolution.

    python benchmarks/precision.py ../shared/data/maps --output benchmarks/results/precision.json
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from real_maps import cropped

from cryosamu.config import EnhancementSettings
from cryosamu.device import has_bfloat16, has_int8
from cryosamu.enhancement.released import released_checkpoint
from cryosamu.enhancement.whole_map import enhance
from cryosamu.evaluation.correlation import correlations
from cryosamu.evaluation.reference import ModelReference
from cryosamu.files import write_text
from cryosamu.network.checkpoint import load_checkpoint
from cryosamu.provenance import source_commit
from cryosamu.structure.model import read_model
from cryosamu.volume.fourier import low_pass
from cryosamu.volume.io import read_map
from cryosamu.volume.volume import Volume

HERE = torch.device("cpu")
FAST = [
    name for name, there in (("bfloat16", has_bfloat16(HERE)), ("int8", has_int8(HERE))) if there
]
"""What this processor has instructions for."""


def compared(deposited: Volume, reference: ModelReference, resolution: float) -> dict[str, Any]:
    """Return the figures of one map."""
    network, header = load_checkpoint(released_checkpoint())

    def made(precision: str) -> Volume:
        settings = EnhancementSettings(device="cpu", precision=precision, skip_solvent=False)
        return enhance(deposited, network, header, settings=settings, progress=False).volume

    def cc_mask(volume: Volume) -> float:
        return correlations(low_pass(volume, resolution).data, reference).cc_mask

    exact = made("float32")
    inside = reference.inside
    spread = exact.data[inside].std()
    scale = np.vdot(deposited.data, exact.data) / np.vdot(deposited.data, deposited.data)
    changed = (exact.data - scale * deposited.data)[inside].std()
    figures: dict[str, Any] = {"float32": {"cc_mask": cc_mask(exact)}}
    for precision in FAST:
        close = made(precision)
        rms = float(np.sqrt(np.mean((close.data - exact.data)[inside] ** 2)))
        figures[precision] = {
            "correlation": float(np.corrcoef(close.data.ravel(), exact.data.ravel())[0, 1]),
            "rms_over_std": rms / float(spread),
            "rms_over_change": rms / float(changed),
            "cc_mask": cc_mask(close),
        }
    return figures


def main() -> None:
    """Measure every map, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    maps: dict[str, Any] = {}
    for entry in json.loads((given.folder / "index.json").read_text()):
        structure = read_model(given.folder.parent / entry["model"])
        resolution = float(entry["resolution"])
        deposited = cropped(read_map(given.folder.parent / entry["map"]), structure)
        reference = ModelReference(deposited, structure, resolution)
        name = f"{entry['emdb']} {entry['part']}"
        maps[name] = compared(deposited, reference, resolution)
        print(name, maps[name], file=sys.stderr, flush=True)
    worst = {
        precision: {
            "least_correlation": min(one[precision]["correlation"] for one in maps.values()),
            "most_rms_over_std": max(one[precision]["rms_over_std"] for one in maps.values()),
            "most_rms_over_change": max(one[precision]["rms_over_change"] for one in maps.values()),
            "most_cc_mask_off": max(
                abs(one[precision]["cc_mask"] - one["float32"]["cc_mask"]) for one in maps.values()
            ),
        }
        for precision in FAST
    }
    print(json.dumps(worst, indent=2))
    if given.output:
        result = {"commit": source_commit(), "worst": worst, "maps": maps}
        write_text(given.output, json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
