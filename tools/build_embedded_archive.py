"""Build the demo's embedded archive again from the packages that its data come from.

Usage: `python tools/build_embedded_archive.py SOURCES`, where the folder SOURCES holds the packages
of `embedded_entries.PACKAGES`. docs/embedded_archive.md says how to get them and what each entry
is. Building twice gives the same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import gemmi
import numpy as np
from embedded_entries import (
    ACCEPTED,
    HAEMOGLOBIN_MAP,
    HAEMOGLOBIN_MODEL,
    MODEL_ANGELO,
    REJECTED,
    SPIKE_MAP,
    SPIKE_MODEL,
    SimulatedEntry,
)
from embedded_grids import cut_out, grid_around, limits
from embedded_metadata import Description, emdb_entry, enclosing_level, rcsb_entry
from embedded_models import cut, extract, keep_beginning, shifted, state_sequence

from cryosamu.files import atomic_path, write_text
from cryosamu.structure.model import heavy_atoms, read_model
from cryosamu.structure.simulation import SimulationParameters, draw_parameters, simulate_map
from cryosamu.volume.io import read_map, write_map
from cryosamu.volume.volume import Volume

DEFAULT_OUTPUT = Path(__file__).parents[1] / "src/cryosamu/archive/embedded"
MAPS = "ftp.ebi.ac.uk/pub/databases/emdb/structures"
ENTRIES = "www.ebi.ac.uk/emdb/api/entry"
MODELS = "files.rcsb.org/download"
POLYMERS = "data.rcsb.org/graphql"

AMPLITUDE = 2.0**-4
"""Standard deviation of a simulated map; a power of two, so that rounding stays exact."""

ROUNDING = 2.0**-7
"""Voxels are multiples of this part of the standard deviation: files of half the size."""

RELEASED = "2026-11-22T00:00:00"
"""When this archive's own entries were made."""

Model = tuple[gemmi.Structure, bytes]


def main() -> None:
    """Build every entry, the list of truncated maps, and print what was written."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sources", type=Path, help="folder with the source packages")
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        builder = Builder(arguments.sources, arguments.output, Path(name))
        builder.haemoglobin()
        builder.spike_domain()
        builder.model_angelo()
        for entry in ACCEPTED + REJECTED:
            builder.simulated(entry)
    truncated = [f"{file_stem(one.emdb_id)}.map.gz" for one in REJECTED if one.truncated]
    write_text(arguments.output / "truncated.json", json.dumps(truncated) + "\n")


class Builder:
    """Writes entries below one folder."""

    def __init__(self, sources: Path, output: Path, scratch: Path) -> None:
        self.sources = sources
        self.output = output
        self.scratch = scratch

    def haemoglobin(self) -> None:
        """Write EMD-3488 and 5NI1 as they are."""
        volume = read_map(extract(self.sources, "ccpem_utils", HAEMOGLOBIN_MAP, self.scratch))
        model = extract(self.sources, "ccpem_utils", HAEMOGLOBIN_MODEL, self.scratch)
        title = "CryoEM structure of haemoglobin at 3.2 A determined with the Volta phase plate"
        about = Description(
            "EMD-3488", "5NI1", title, 3.2, (0.09, "AUTHOR"),
            resolution_method="FSC 0.143 CUT-OFF",
        )  # fmt: skip
        map_bytes = (self.scratch / Path(HAEMOGLOBIN_MAP).name).read_bytes()
        self._write(about, (read_model(model), model.read_bytes()), volume, map_bytes, title)

    def spike_domain(self) -> None:
        """Write the cut-out of EMD-21457 with the part of 6VYB that it shows."""
        volume = read_map(extract(self.sources, "ccpem_utils", SPIKE_MAP, self.scratch))
        path = extract(self.sources, SPIKE_MODEL.package, SPIKE_MODEL.path, self.scratch)
        title = "SARS-CoV-2 spike ectodomain structure (open state)"
        note = "residues 27-293 of chain A alone, an N-terminal domain cut-out"
        structure = cut(path, SPIKE_MODEL, "6VYB", f"{title}; {note}")
        state_sequence(structure)
        about = Description(
            "EMD-21457", "6VYB", f"{title}: cut-out of the N-terminal domain, not the whole map",
            3.2, (enclosing_level(volume, structure), "SOFTWARE"),
        )  # fmt: skip
        map_bytes = (self.scratch / Path(SPIKE_MAP).name).read_bytes()
        self._write(about, mmcif(structure), volume, map_bytes, f"{title}; {note}")

    def model_angelo(self) -> None:
        """Write a cut-out of EMD-3488 with a part of the ModelAngelo build, 14.70 Å off."""
        path = extract(self.sources, MODEL_ANGELO.package, MODEL_ANGELO.path, self.scratch)
        title = "ModelAngelo build of haemoglobin, part of chain Aa, 14.70 Å off along x, y and z"
        structure = cut(path, MODEL_ANGELO, "0MA1", title)
        state_sequence(structure)
        positions = heavy_atoms(structure).positions
        both = np.concatenate([positions, positions - 14.7])
        whole = read_map(self.scratch / Path(HAEMOGLOBIN_MAP).name)
        volume = cut_out(whole, both.min(axis=0) - 4.0, both.max(axis=0) + 4.0)
        about = Description(
            "EMD-900100", "0MA1",
            "Cut-out of the haemoglobin map EMD-3488 with a misplaced ModelAngelo build",
            3.2, (0.09, "AUTHOR"), resolution_method="FSC 0.143 CUT-OFF",
        )  # fmt: skip
        label = "CryoSAMU embedded archive: cut-out of EMD-3488"
        map_bytes = self._map_bytes(about.emdb_id, volume, label)
        self._write(about, mmcif(structure), volume, map_bytes, title)

    def simulated(self, entry: SimulatedEntry) -> None:
        """Simulate a map from the whole model, then write it with the model as it is to be."""
        path = extract(self.sources, entry.source.package, entry.source.path, self.scratch)
        title = f"{entry.name} (PDB {entry.pdb_id})"
        structure = cut(path, entry.source, entry.pdb_id, title)
        if entry.placement == "zero":
            low, _ = limits(structure, entry)
            structure = shifted(structure, [-float(one) for one in low])
        grid = grid_around(structure, entry)
        parameters = parameters_of(entry)
        seed = [entry.number, 1]
        volume = simulated_volume(structure, grid, parameters, seed)
        keep_beginning(structure, entry.kept_fraction)
        structure = shifted(structure, entry.shift)
        about = Description(
            entry.emdb_id, entry.pdb_id, f"Simulated map of {title}", entry.resolution,
            (enclosing_level(volume, structure), "SOFTWARE"), entry.method,
            simulation={
                "generator": "cryosamu.structure.simulation.simulate_map",
                "seed": seed,
                "rounding": ROUNDING * AMPLITUDE,
                "amplitude": AMPLITUDE,
                "parameters": asdict(parameters),
                "role": entry.role,
            },
            released=RELEASED,
            resolution_method="OTHER",
            protein_only=entry.hidden_nucleic_acid,
        )  # fmt: skip
        label = f"Simulated from PDB {entry.pdb_id} by CryoSAMU, reported at {entry.resolution:g} A"
        map_bytes = self._map_bytes(entry.emdb_id, volume, label)
        has_map = not entry.missing_map
        self._write(about, mmcif(structure), volume, map_bytes if has_map else None, title)

    def _map_bytes(self, emdb_id: str, volume: Volume, label: str) -> bytes:
        path = self.scratch / f"{file_stem(emdb_id)}.map"
        write_map(path, volume, label)
        return path.read_bytes()

    def _write(
        self,
        about: Description,
        model: Model,
        volume: Volume,
        map_bytes: bytes | None,
        model_title: str,
    ) -> None:
        structure, model_bytes = model
        entry: Any = emdb_entry(about, structure, volume)
        polymers = rcsb_entry(about, structure, model_title)
        write_json(self.output / ENTRIES / f"{about.emdb_id}.json", entry)
        write_json(self.output / POLYMERS / f"{about.pdb_id}.json", polymers)
        write_gzip(self.output / MODELS / f"{about.pdb_id}.cif.gz", model_bytes)
        if map_bytes is not None:
            name = f"{file_stem(about.emdb_id)}.map.gz"
            write_gzip(self.output / MAPS / about.emdb_id / "map" / name, map_bytes)
        print(about.emdb_id, about.pdb_id, volume.shape, about.title)


def parameters_of(entry: SimulatedEntry) -> SimulationParameters:
    """Return the parameters drawn for an entry; one that fixes its noise is not masked."""
    rng = np.random.default_rng([entry.number, 0])
    parameters = draw_parameters(entry.resolution, rng)
    if entry.noise_to_signal is None:
        return parameters
    return replace(parameters, noise_to_signal=entry.noise_to_signal, mask_radius=None)


def simulated_volume(
    structure: gemmi.Structure, grid: Volume, parameters: SimulationParameters, seed: list[int]
) -> Volume:
    """Return the map of an entry, its voxels rounded."""
    rng = np.random.default_rng(seed)
    volume = simulate_map(heavy_atoms(structure), grid, parameters, rng)
    rounded = np.rint(volume.data / ROUNDING) * (ROUNDING * AMPLITUDE)
    return volume.with_data(rounded.astype(np.float32))


def mmcif(structure: gemmi.Structure) -> Model:
    """Return a model with its file's bytes."""
    return structure, structure.make_mmcif_document().as_string().encode()


def file_stem(emdb_id: str) -> str:
    """Return emd_N for EMD-N."""
    return emdb_id.lower().replace("-", "_")


def write_json(path: Path, value: Any) -> None:
    """Write JSON with sorted keys."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def write_gzip(path: Path, content: bytes) -> None:
    """Write a gzip file without name or time, so that the same content gives the same bytes."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(gzip.compress(content, 9, mtime=0))


if __name__ == "__main__":
    main()
