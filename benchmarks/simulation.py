"""How near simulated maps are to real ones: radial power, values, and whether a classifier can tell.

For every part of the collected real maps at 3.2 Å and coarser, crops of the real map are held
against crops of maps simulated from the same model at the reported resolution, zero outside a mask
where the real one is: by `cryosamu.training.simulated` ("scenes"), and by the simulator of the
demonstration's archive ("archive"), which knows neither solvent, neighbours nor the noise of a
resolution. A small perceptron on 24 figures a crop (power in shells, quantiles of the values) is
trained to tell real from simulated, and judged on the entry that it has not seen: area under the
ROC curve, 0.5 for maps that cannot be told apart.

The ranges of the simulation were set on the entries of TUNED; the others are only reported.

    OMP_NUM_THREADS=1 python benchmarks/simulation.py ../shared/data --output benchmarks/results/simulation.json
"""  # noqa: E501

from __future__ import annotations

import argparse
import json
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from cryosamu.config import PreparationSettings, SimulationSettings
from cryosamu.files import write_text
from cryosamu.preparation import prepare_input, target_sigma
from cryosamu.provenance import software_versions, source_commit
from cryosamu.structure.density import simulate_density
from cryosamu.structure.model import heavy_atoms, read_model
from cryosamu.structure.simulation import draw_parameters, simulate_map
from cryosamu.training.simulated.maps import box_edge, make_maps
from cryosamu.training.simulated.packing import packed
from cryosamu.training.simulated.scene import draw_scene
from cryosamu.volume.io import read_map
from cryosamu.volume.normalise import normalise
from cryosamu.volume.volume import Volume

TUNED = (
    "EMD-35448", "EMD-6187", "EMD-5137", "EMD-1461", "EMD-5778", "EMD-8410", "EMD-0093", "EMD-6374",
)  # fmt: skip
UNMASKED = ("EMD-35448 crop", "EMD-1997 14mer_fit", "EMD-1461 fit", "EMD-4413 subunit")
FINEST = 3.2
"""Å: finer maps are not what is simulated."""

EDGE, VIEW = 32, 64
SHELLS = 1 / np.array([16, 12, 10, 8, 7, 6, 5.4, 4.8, 4.3, 3.9, 3.5, 3.1, 2.7, 2.3])
QUANTILES = (0.02, 0.05, 0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.995)
CROPS, SCENES = 10, 5


@dataclass(frozen=True)
class Part:
    """Figures of a real map's crops and of those simulated for it, [crops, figures] each."""

    name: str
    resolution: float
    masked: bool
    real: np.ndarray
    simulated: dict[str, np.ndarray]

    @property
    def entry(self) -> str:
        """The EMDB id; parts of an entry are no independent maps."""
        return self.name.split()[0]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with maps/index.json")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    index = given.folder / "maps" / "index.json"
    if not index.is_file():
        sys.exit(f"{index}: is not there; these real maps are not part of the repository.")
    torch.set_num_threads(1)
    parts = []
    for entry in json.loads(index.read_text()):
        if entry["resolution"] >= FINEST:
            parts.append(measured(entry, given.folder))
            print(f"{parts[-1].name}: {time.process_time():.0f} CPU s", file=sys.stderr)
    record = {
        "date": time.strftime("%Y-%m-%d"),
        "commit": source_commit(),
        "software": software_versions(),
        "tuned on": [part.name for part in parts if part.entry in TUNED],
        "reported alone": [part.name for part in parts if part.entry not in TUNED],
        "simulations": {kind: compared(parts, kind) for kind in ("archive", "scenes")},
    }
    text = json.dumps(record, indent=2) + "\n"
    print(text)
    if given.output:
        write_text(given.output, text)


def measured(entry: dict, folder: Path) -> Part:
    """Return the figures of one part of a real map."""
    name = f"{entry['emdb']} {entry['part']}"
    random = np.random.default_rng(zlib.crc32(name.encode()))
    structure = read_model(folder / entry["model"])
    atoms = heavy_atoms(structure)
    settings = PreparationSettings()
    volume = around(read_map(folder / entry["map"]), atoms.positions)
    prepared = prepare_input(volume, settings)
    resolution, masked = float(entry["resolution"]), name not in UNMASKED
    target = normalise(simulate_density(atoms, prepared.grid, 0.85)).data
    real = crops_of(prepared.data, target, CROPS, random)
    scenes: list[np.ndarray] = []
    drawn = SimulationSettings(
        finest_resolution=resolution, coarsest_resolution=resolution, masked=float(masked)
    )
    model = packed(structure, name)
    for _ in range(SCENES):
        scene = draw_scene([model], 0, drawn, box_edge(VIEW), 1.0, random)
        maps = make_maps(
            [scene], VIEW, 1.0, settings.percentile,
            lambda value: target_sigma(value, settings.target), torch.device("cpu"),
        )  # fmt: skip
        scenes += crops_of(maps.density[0].numpy(), maps.target[0].numpy(), 2, random)
    return Part(
        name, resolution, masked, np.array([figures(crop) for crop in real]),
        {
            "scenes": np.array([figures(crop) for crop in scenes]),
            "archive": np.array(
                [figures(crop) for crop in from_archive(atoms, prepared.grid, target, resolution,
                                                        masked, random)]
            ),
        },
    )  # fmt: skip


def from_archive(
    atoms: object,
    grid: Volume,
    target: np.ndarray,
    resolution: float,
    masked: bool,
    random: np.random.Generator,
) -> Iterator[np.ndarray]:
    """Yield crops of maps from the simulator that made the demonstration's archive."""
    done = 0
    while done < CROPS:
        parameters = draw_parameters(resolution, random)
        if (parameters.mask_radius is not None) == masked:
            made = normalise(simulate_map(atoms, grid, parameters, random)).data
            yield from crops_of(made, target, CROPS // 2, random)
            done += CROPS // 2


def around(volume: Volume, positions: np.ndarray) -> Volume:
    """Return the part of a map within 16 Å of its model's box."""
    places = volume.to_grid(positions)
    reach = 16 / np.array(volume.voxel_size)
    low = np.maximum(np.floor(places.min(axis=0) - reach).astype(int), 0)
    high = np.minimum(np.ceil(places.max(axis=0) + reach).astype(int), volume.shape[::-1])
    data = volume.data[low[2] : high[2], low[1] : high[1], low[0] : high[0]]
    origin = tuple(volume.to_model_frame(low).tolist())
    return Volume(np.ascontiguousarray(data), volume.voxel_size, origin)


def crops_of(
    density: np.ndarray, target: np.ndarray, count: int, random: np.random.Generator
) -> list[np.ndarray]:
    """Return crops in which there is protein, zero where they reach beyond the map."""
    found: list[np.ndarray] = []
    for _ in range(60 * count):
        corner = [int(random.integers(max(length - EDGE, 0) + 1)) for length in density.shape]
        window = tuple(slice(start, start + EDGE) for start in corner)
        if (target[window] > 0.1).mean() > 0.05 and len(found) < count:
            crop = density[window]
            found.append(np.pad(crop, [(0, EDGE - length) for length in crop.shape]))
    return found


def figures(crop: np.ndarray) -> np.ndarray:
    """Return log power in shells, relative to the crop's total, and quantiles of the values."""
    window = np.hanning(EDGE + 2)[1:-1]
    shaped = (crop - crop.mean()) * window[:, None, None] * window[:, None] * window
    power = np.abs(np.fft.rfftn(shaped)) ** 2
    whole, half = np.fft.fftfreq(EDGE), np.fft.rfftfreq(EDGE)
    s = np.sqrt(whole[:, None, None] ** 2 + whole[:, None] ** 2 + half**2)
    shell = np.digitize(s, SHELLS)
    means = [power[shell == number].mean() for number in range(1, len(SHELLS))]
    return np.array([*np.log10(np.array(means) / power.sum() + 1e-12), *quantiles(crop)])


def quantiles(crop: np.ndarray) -> np.ndarray:
    """Return quantiles of the values."""
    return np.quantile(crop, QUANTILES)


def compared(parts: list[Part], kind: str) -> dict:
    """Return how far one kind of simulation is from the real maps, in all and by group."""
    scores = {part.name: part_scores for part, part_scores in judged(parts, kind)}
    groups = {
        "all": parts,
        "masked": [part for part in parts if part.masked],
        "unmasked": [part for part in parts if not part.masked],
        "tuned on": [part for part in parts if part.entry in TUNED],
        "reported alone": [part for part in parts if part.entry not in TUNED],
        "3.8 to 8 Å": [part for part in parts if 3.8 <= part.resolution <= 8],
    }
    return {name: group_figures(group, kind, scores) for name, group in groups.items() if group}


def group_figures(
    parts: list[Part], kind: str, scores: dict[str, tuple[np.ndarray, np.ndarray]]
) -> dict:
    """Return means over parts: power and quantiles beside the real ones', and the classifier's."""
    shells = len(SHELLS) - 1
    off = [part.simulated[kind].mean(axis=0) - part.real.mean(axis=0) for part in parts]
    apart = np.abs(np.array(off))
    real = np.concatenate([scores[part.name][0] for part in parts])
    made = np.concatenate([scores[part.name][1] for part in parts])
    return {
        "parts": len(parts),
        "auc": round(area(real, made), 3),
        "accuracy": round(float((np.mean(real > 0) + np.mean(made <= 0)) / 2), 3),
        "log10 power off, mean over shells and parts": round(float(apart[:, :shells].mean()), 3),
        "log10 power off by shell": np.mean(off, axis=0)[:shells].round(2).tolist(),
        "quantiles off, mean": round(float(apart[:, shells:].mean()), 4),
        "quantiles off": np.mean(off, axis=0)[shells:].round(3).tolist(),
    }


def judged(parts: list[Part], kind: str) -> Iterator[tuple[Part, tuple[np.ndarray, np.ndarray]]]:
    """Yield each part with the scores of its real and simulated crops: above 0 is called real.

    The classifier has seen all entries but the part's own.
    """
    for entry in dict.fromkeys(part.entry for part in parts):
        known = [part for part in parts if part.entry != entry]
        classify = trained(known, kind)
        for part in parts:
            if part.entry == entry:
                yield part, (classify(part.real), classify(part.simulated[kind]))


def trained(parts: list[Part], kind: str):
    """Return a function from figures [crops, figures] to scores [crops]."""
    torch.manual_seed(0)
    rows = [row for part in parts for row in (part.real, part.simulated[kind])]
    labels = [np.full(len(row), float(place % 2 == 0)) for place, row in enumerate(rows)]
    x = torch.from_numpy(np.concatenate(rows)).float()
    y = torch.from_numpy(np.concatenate(labels)).float()
    middle, spread = x.mean(0), x.std(0) + 1e-6
    network = nn.Sequential(nn.Linear(x.shape[1], 24), nn.SiLU(), nn.Dropout(0.2), nn.Linear(24, 1))
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2, weight_decay=0.1)
    weight = torch.where(y > 0, 0.5 / y.mean(), 0.5 / (1 - y.mean()))
    for _ in range(300):
        optimizer.zero_grad()
        answer = network((x - middle) / spread)[:, 0]
        nn.functional.binary_cross_entropy_with_logits(answer, y, weight).backward()
        optimizer.step()
    network.eval()

    def classify(values: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return network((torch.from_numpy(values).float() - middle) / spread)[:, 0].numpy()

    return classify


def area(real: np.ndarray, made: np.ndarray) -> float:
    """Return the share of pairs, real and simulated, in which the real crop scores more."""
    higher = (real[:, None] > made[None]).mean() + 0.5 * (real[:, None] == made[None]).mean()
    return float(higher)


if __name__ == "__main__":
    main()
