r"""What windows cost against one pass, in passes a voxel, and by how much they miss its answer.

    python benchmarks/windows_against_one_pass.py 120 200 300 MAP... \
        --output benchmarks/results/windows_against_one_pass.json

An edge stands for a made-up particle. In float32, nothing left out, with the packaged checkpoint;
windows may have a half, a quarter or an eighth of the map's voxels.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from enhancement_speed import synthetic
from numpy.typing import NDArray

from cryosamu.config import EnhancementSettings
from cryosamu.enhancement.released import released_checkpoint
from cryosamu.enhancement.whole_map import Enhanced, enhance
from cryosamu.files import write_text
from cryosamu.network.checkpoint import load_checkpoint
from cryosamu.provenance import source_commit
from cryosamu.volume.grid import resample
from cryosamu.volume.io import read_map
from cryosamu.volume.volume import Volume

SHARES = (2, 4, 8)
"""A window may have one in so many of the map's voxels."""

MARGINS = (8, 12, 16)


def enhanced(volume: Volume, most: float | None = None, **settings: Any) -> Enhanced:
    """Return the network's answer, all of it computed, in windows of at most so many voxels."""
    network, header = load_checkpoint(released_checkpoint())
    if most is not None:
        fixed, each = network.memory(torch.float32)
        settings["memory"] = (fixed + each * most) / 1e9
    chosen = EnhancementSettings(
        device="cpu", precision="float32", skip_solvent=False, **settings
    )  # fmt: skip
    return enhance(volume, network, header, progress=False, settings=chosen)


def particle(edge: int) -> tuple[Volume, NDArray[np.bool_]]:
    """Return a made-up particle, and where it is."""
    line = (np.arange(edge) - edge / 2) ** 2
    inside = line[:, None, None] + line[:, None] + line < (edge / 2.5) ** 2
    return Volume(synthetic(edge, edge / 2.5), (1.0, 1.0, 1.0)), inside


def compared(source: str) -> dict[str, Any]:
    """Return passes and error in the molecule for every share and margin.

    Parameters
    ----------
    source
        A made-up particle's edge in voxels, or a map's file: of that, the tenth of the voxels with
        most density are taken for the molecule.
    """
    if source.isdecimal():
        volume, inside = particle(int(source))
        whole = enhanced(volume).working.data
    else:
        volume = read_map(source)
        whole = enhanced(volume).working.data
        density = resample(volume, (len(whole), *whole.shape[1:])).data
        inside = density > np.percentile(density, 90)
    results = {}
    for share, margin in itertools.product(SHARES, MARGINS):
        found = enhanced(volume, whole.size / share, margin=margin)
        off = (found.working.data - whole)[inside] / whole[inside].std()
        windows = found.record["windows"]
        name = f"1/{share} of the voxels, margin {margin}"
        results[name] = {
            "passes_per_voxel": windows["passes_per_voxel"],
            "windows": windows["count"],
            "window": windows["shape"],
            "rms_over_std": round(float(np.sqrt(np.mean(off**2))), 6),
            "largest_over_std": round(float(np.abs(off).max()), 5),
        }
        print(
            Path(source).name, share, margin, results[f"1/{share} of the voxels, margin {margin}"]
        )
    return {"shape": list(whole.shape), "windows": results}


def main() -> None:
    """Compare and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", nargs="+", help="edges in voxels, or files of maps")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    result = {
        "commit": source_commit(),
        "torch": torch.__version__,
        "maps": {Path(source).name: compared(source) for source in arguments.sources},
    }
    write_text(arguments.output, json.dumps(result, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
