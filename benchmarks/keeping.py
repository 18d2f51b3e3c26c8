"""What the packaged checkpoint erases of real maps, and what is left after keeping.

Every map of a folder with an index.json is enhanced from density alone, and blended back with its
model, and without one. Of each: the share of clear density that vanished, in all and of each kind
of molecule (control 9, erased_density), CC_box and CC_mask as it is, and CC_mask low-passed.
Then a ligand is put where there was none: Ap5A of 1AKE, simulated into five of the maps beside
their protein; the model that is told lacks it. Its density counts against that of the protein
within 12 Å of it, 1 being as in the input.

    OMP_NUM_THREADS=1 python benchmarks/keeping.py ../shared/data/maps \
        --output benchmarks/results/keeping.json > keeping.md
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import gemmi
import numpy as np
import torch
from real_maps import cropped
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from cryosamu.config import EnhancementSettings
from cryosamu.enhancement.conditions import UNRELATED
from cryosamu.enhancement.released import released_checkpoint
from cryosamu.enhancement.trust.keeping import kept
from cryosamu.enhancement.whole_map import enhance
from cryosamu.evaluation.controls.fidelity import erased_density
from cryosamu.evaluation.controls.subject import Subject
from cryosamu.evaluation.correlation import correlations
from cryosamu.network.checkpoint import load_checkpoint
from cryosamu.structure.density import gaussian_sigma, simulate_density
from cryosamu.structure.model import Atoms, heavy_atoms, read_model
from cryosamu.volume.io import read_map
from cryosamu.volume.volume import Volume

WITH_LIGAND = ("3240 complex", "5137 chainA", "6187 A", "1997 14mer", "35448 crop")
CLEARANCE = 3.2
"""Å between the ligand's atoms and the protein's, at least: van der Waals contact."""
TRIES = 4000
ROUND_ABOUT = 12.0
CORRELATIONS = ("cc_box", "cc_mask", "cc_mask_low_passed")


def main() -> None:
    """Measure every part, write the results, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--only", default="", help="entries whose name contains this")
    given = parser.parse_args()
    index = given.folder / "index.json"
    if not index.is_file():
        sys.exit(f"{index}: is not there; these real maps are not part of the repository.")
    torch.set_num_threads(1)
    network, header = load_checkpoint(released_checkpoint())

    def through(volume: Volume, resolution: float) -> Volume:
        settings = EnhancementSettings(device="cpu")
        return enhance(
            volume, network, header, settings=settings, progress=False, resolution=resolution
        ).volume

    parts, ligands = [], []
    for entry in json.loads(index.read_text()):
        name = f"{entry['emdb']} {entry['part']}"
        if given.only not in name:
            continue
        structure = read_model(given.folder.parent / entry["model"])
        volume = cropped(read_map(given.folder.parent / entry["map"]), structure)
        resolution = float(entry["resolution"])
        parts.append(measured(name, volume, structure, resolution, through))
        if any(wanted in name for wanted in WITH_LIGAND):
            ligands.append(with_ligand(name, volume, structure, resolution, through))
        print(f"{name}: {time.process_time():.0f} CPU s so far", file=sys.stderr)
    given.output.write_text(json.dumps({"parts": parts, "ligands": ligands}, indent=1) + "\n")
    print(parts_table(parts), ligands_table(ligands), sep="\n\n")


def measured(name: str, volume: Volume, structure: gemmi.Structure, resolution: float, through):
    """Return what is erased of one map, before keeping and after it."""
    made = through(volume, resolution)
    subject = Subject(volume, resolution, lambda shown, _: shown.data, structure)
    row = {"map": name, "resolution": resolution, "enhanced": figures(subject, made)}
    for told, model in (("kept_with_model", structure), ("kept_without_model", None)):
        begun = time.process_time()
        found = kept(volume, made, model, resolution)
        seconds = time.process_time() - begun
        row[told] = {**figures(subject, found.volume), "seconds": seconds, **found.record}
    return row


def figures(subject: Subject, shown: Volume) -> dict:
    """Return control 9 and correlations of one map."""
    tried = Subject(subject.volume, subject.resolution, lambda *_: shown.data, subject.structure)
    outcome = erased_density(tried)
    found = correlations(shown.data, subject.reference)
    return {
        "erased": outcome.value,
        "verdict": outcome.verdict,
        **{key: value for key, value in outcome.detail.items() if key.startswith("erased_")},
        "cc_box": found.cc_box,
        "cc_mask": found.cc_mask,
        "cc_mask_low_passed": subject.cc_mask(shown.data),
    }


def with_ligand(name: str, volume: Volume, structure: gemmi.Structure, resolution: float, through):
    """Return how much of a ligand's density is left that was simulated into a map."""
    protein = heavy_atoms(structure)
    ligand = placed(ligand_atoms(), protein, volume)
    sigma = gaussian_sigma(resolution, "chimerax")
    calculated = simulate_density(protein, volume, sigma).data
    near = calculated > 0.02 * calculated.max()
    scale = (calculated * volume.data)[near].sum() / (calculated[near] ** 2).sum()
    added = simulate_density(ligand, volume, sigma).data
    shown = volume.with_data(volume.data + np.float32(scale) * added)
    made = through(shown, resolution)
    apart = cKDTree(protein.positions).query(ligand.positions)[0]
    row = {
        "map": name,
        "resolution": resolution,
        "place": ligand.positions.mean(axis=0).round(1).tolist(),
        "atoms_within_4.5": int((apart < 4.5).sum()),
        "enhanced": strength(made, shown, ligand, protein),
    }
    for told, model in (("kept_with_model", structure), ("kept_without_model", None)):
        found = kept(shown, made, model, resolution)
        row[told] = strength(found.volume, shown, ligand, protein)
        row[f"{told}_share"] = found.share
    return row


def ligand_atoms() -> Atoms:
    """Return Ap5A, 57 heavy atoms, as it lies in adenylate kinase."""
    rows = [
        (*atom.pos.tolist(), atom.element.atomic_number)
        for residue in read_model(UNRELATED[0])[0][0]
        if residue.name == "AP5"
        for atom in residue
    ]
    table = np.array(rows)
    ones = np.ones(len(table))
    return Atoms(table[:, :3], table[:, 3].astype(np.int64), 30 * ones, ones)


def placed(ligand: Atoms, protein: Atoms, volume: Volume) -> Atoms:
    """Return the ligand in contact with the protein: of all tries, most atoms within 4.5 Å."""
    random = np.random.default_rng(2024)
    tree = cKDTree(protein.positions)
    shape = ligand.positions - ligand.positions.mean(axis=0)
    low, high = protein.positions.min(axis=0), protein.positions.max(axis=0)
    best, most = shape, -1
    for _ in range(TRIES):
        turn = Rotation.from_quat(random.normal(size=4)).as_matrix()
        atoms = shape @ turn.T + random.uniform(low, high)
        inside = volume.to_grid(atoms)
        if inside.min() < 2 or (inside > np.array(volume.shape[::-1]) - 3).any():
            continue
        apart = tree.query(atoms)[0]
        if apart.min() >= CLEARANCE and (touching := int((apart < 4.5).sum())) > most:
            best, most = atoms, touching
    return Atoms(best, ligand.atomic_numbers, ligand.b_factors, ligand.occupancies)


def strength(shown: Volume, before: Volume, ligand: Atoms, protein: Atoms) -> float:
    """Return mean density at the ligand's atoms over that at the protein's, against the input's."""
    near = cKDTree(ligand.positions).query(protein.positions)[0] < ROUND_ABOUT

    def ratio(volume: Volume) -> float:
        level = np.median(volume.data)
        at = [
            map_coordinates(volume.data, volume.to_grid(places)[:, ::-1].T, order=1).mean() - level
            for places in (ligand.positions, protein.positions[near])
        ]
        return float(at[0] / at[1])

    return ratio(shown) / ratio(before)


def parts_table(parts: list[dict]) -> str:
    """Return the parts in Markdown: before → after keeping with the model."""
    head = (
        "| map | Å | erased, % | ligand, nucleic acid erased, % | kept, % | CC_box | CC_mask | "
        "low-passed | no model: erased, % |"
    )
    lines = [head, "| --- " * 9 + "|"]
    for row in parts:
        before, after, alone = (
            row[key] for key in ("enhanced", "kept_with_model", "kept_without_model")
        )
        others = [
            arrow(before, after, f"erased_{kind}", 100, 0)
            for kind in ("ligand", "nucleic")
            if f"erased_{kind}" in before
        ]
        cells = [
            row["map"],
            f"{row['resolution']:g}",
            arrow(before, after, "erased", 100, 1) + failed(before, after),
            ", ".join(others) or "-",
            f"{100 * after['share_of_density']:.1f}",
            *(arrow(before, after, key, 1, 3) for key in CORRELATIONS),
            f"{100 * alone['erased']:.1f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def arrow(before: dict, after: dict, key: str, factor: float, digits: int) -> str:
    """Return a figure before and after."""
    return f"{factor * before[key]:.{digits}f} → {factor * after[key]:.{digits}f}"


def failed(before: dict, after: dict) -> str:
    """Return the verdicts where the control failed before."""
    return f" (fail → {after['verdict']})" if before["verdict"] == "fail" else ""


def ligands_table(rows: list[dict]) -> str:
    """Return the simulated ligands in Markdown."""
    lines = ["| map | Å | atoms in contact | enhanced | kept, model | kept, no model |"]
    lines.append("| --- " * 6 + "|")
    for row in rows:
        values = [row[key] for key in ("enhanced", "kept_with_model", "kept_without_model")]
        cells = [row["map"], f"{row['resolution']:g}", str(row["atoms_within_4.5"])]
        lines.append("| " + " | ".join(cells + [f"{value:.2f}" for value in values]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
