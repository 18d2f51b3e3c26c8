"""The reference network in blended windows against one pass over the whole map.

Its norms and its attention see all that is in a window, so that no overlap makes windows equal the
whole. Random weights (a trained reference is not packaged) and 8 instead of 32 base channels: the
error is of the design, not of what was learnt. The compact network beside it, likewise.

    python benchmarks/blended_windows.py --edge 80 --window 56 --seeds 1 2
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from cryosamu.config import EnhancementSettings, NetworkSettings
from cryosamu.enhancement.inference.planning import Limits, planned
from cryosamu.enhancement.inference.predictor import DevicePredictor
from cryosamu.network import EnhancementNetwork, build_network
from cryosamu.volume.windowed import predict_in_windows

FORMS = {
    "reference 8": NetworkSettings(name="reference", base_channels=8, dropout=0),
    "compact 8": NetworkSettings(name="compact", base_channels=8, multipliers=(1, 4, 8), dropout=0),
}


def main() -> None:
    """Print the error of every form and seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--edge", type=int, default=80)
    parser.add_argument("--window", type=int, default=56)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    given = parser.parse_args()
    print("| network | seed | windows | passes a voxel | error, rms / std |\n" + "| --- " * 5 + "|")
    for name, form in FORMS.items():
        for seed in given.seeds:
            torch.manual_seed(seed)
            network = build_network(form, 128)
            for parameter in network.parameters():
                # Some layers begin at zero: an untrained network would be its input.
                if parameter.ndim > 1 and not parameter.any():
                    torch.nn.init.kaiming_normal_(parameter)
            print(
                f"| {name} | {seed} | {measured(network.eval(), given.edge, given.window, seed)} |"
            )


def measured(network: EnhancementNetwork, edge: int, window: int, seed: int) -> str:
    """Return the row of one network on a blob in noise of `edge`³ voxels."""
    random = np.random.default_rng(seed)
    density = gaussian_filter(random.random((edge,) * 3), 2).astype(np.float32)
    z, y, x = np.indices(density.shape) - edge / 2
    inside = z**2 + y**2 + x**2 < (edge / 3) ** 2
    density = np.where(inside, (density - density.min()) / np.ptp(density), 0).astype(np.float32)
    settings = EnhancementSettings(device="cpu", margin=16)
    predictor = DevicePredictor(network, torch.device("cpu"), torch.float32)
    plan = planned(density.shape, network, settings, Limits(window**3, 1, 1))
    smooth = not network.tile_consistent
    tiled = predict_in_windows(density, [predictor], plan, smooth=smooth)
    whole = predictor(density[None])[0]
    error = np.sqrt(np.mean((tiled - whole)[inside] ** 2)) / whole[inside].std()
    shape = " × ".join(map(str, plan.window))
    return f"{plan.count} of {shape} | {plan.passes_per_voxel:.2f} | {error:.3g}"


if __name__ == "__main__":
    main()
