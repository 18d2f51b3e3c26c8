"""Checkpoints side by side on the real maps that the simulation's ranges were set on.

CC_mask and masked FSC-0.5 at 3.8-8 Å, no structure told, both sides low-passed to the reported
resolution: the deposited map, every checkpoint, and on request both sharpened, or the checkpoint's
answer blended with its input (scaled to one standard deviation).

    OMP_NUM_THREADS=1 python benchmarks/tuned_maps.py ../shared/data/maps A.safetensors \
        --sharpen 0 -40 --blend 0.5
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from real_maps import MEANT_FOR, TUNED, cropped

from cryosamu.config import EnhancementSettings
from cryosamu.enhancement.released import released_checkpoint
from cryosamu.enhancement.whole_map import enhance
from cryosamu.evaluation.correlation import correlations
from cryosamu.evaluation.fsc import model_fsc
from cryosamu.evaluation.reference import ModelReference
from cryosamu.network.checkpoint import load_checkpoint
from cryosamu.structure.model import read_model
from cryosamu.volume.fourier import low_pass, sharpen
from cryosamu.volume.io import read_map
from cryosamu.volume.volume import Volume

EXACT = EnhancementSettings(device="cpu", precision="float32")


def main() -> None:
    """Measure every map and print the means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("checkpoints", nargs="*", type=Path, default=[released_checkpoint()])
    parser.add_argument("--sharpen", type=float, nargs="+", default=[0.0], help="B factors, Å²")
    parser.add_argument("--blend", type=float, nargs="+", default=[], help="shares of the answer")
    given = parser.parse_args()
    torch.set_num_threads(1)
    networks = {str(path): load_checkpoint(path) for path in given.checkpoints}
    rows: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for entry in json.loads((given.folder / "index.json").read_text()):
        resolution = float(entry["resolution"])
        number = str(entry["emdb"]).removeprefix("EMD-")
        if number not in TUNED or not MEANT_FOR[0] <= resolution <= MEANT_FOR[1]:
            continue
        structure = read_model(given.folder.parent / entry["model"])
        deposited = cropped(read_map(given.folder.parent / entry["map"]), structure)
        reference = ModelReference(deposited, structure, resolution)
        maps = {"deposited": deposited}
        for name, (network, header) in networks.items():
            made = enhance(deposited, network, header, settings=EXACT, progress=False).volume
            maps[name] = made
            for share in given.blend:
                maps[f"{name}, {share:g} of it"] = blended(deposited, made, share)
        for name, volume in maps.items():
            for b_factor in given.sharpen:
                shown = low_pass(sharpen(volume, b_factor), resolution)
                fsc = model_fsc(shown.data, reference).masked.d_fsc_05
                rows[f"{name}, B {b_factor:g}"].append(
                    (correlations(shown.data, reference).cc_mask, np.nan if fsc is None else fsc)
                )
        print(f"{entry['emdb']} {entry['part']}", flush=True)
    print_means(rows, f"deposited, B {given.sharpen[0]:g}")


def blended(deposited: Volume, made: Volume, share: float) -> Volume:
    """Return a share of the enhanced map, at the deposited one's spread, and the rest of that."""
    scale = share * deposited.data.std() / made.data.std()
    return deposited.with_data(np.float32(scale) * made.data + (1 - share) * deposited.data)


def print_means(rows: dict[str, list[tuple[float, float]]], reference: str) -> None:
    """Print the means over the maps, and on how many CC_mask is above the reference's."""
    print("| map | CC_mask | higher | masked FSC-0.5, Å |\n| --- | --- | --- | --- |")
    base = np.array(rows[reference])
    for name, values in rows.items():
        found = np.array(values)
        higher = int((found[:, 0] > base[:, 0]).sum())
        cc, fsc = found.mean(axis=0)
        print(f"| {name} | {cc:.4f} | {higher} of {len(found)} | {fsc:.3f} |")


if __name__ == "__main__":
    main()
