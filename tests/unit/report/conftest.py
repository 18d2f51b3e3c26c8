from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from parsed_page import HOSTILE, Page
from strand import write_strand

from cryosamu import tables
from cryosamu.config import parse_config
from cryosamu.report import pictures
from cryosamu.report.inputs import Inputs
from cryosamu.report.page import render
from cryosamu.report.pairing import Pairing
from cryosamu.report.run import RunFacts
from cryosamu.structure.density import simulate_density
from cryosamu.structure.model import heavy_atoms, read_model
from cryosamu.volume.io import write_map
from cryosamu.volume.volume import Volume

COLUMNS = (
    "emdb_id", "pdb_id", "method", "metric", "value",
    "definition", "mask", "low_passed", "floor", "baseline", "settings",
)  # fmt: skip

FLOORS = {"cc_box": 0.65, "cc_mask": 0.605, "d_fsc_05_masked": None}


@pytest.fixture(scope="session")
def evaluation():
    """Two entries whose verdicts were worked out by hand, see the comments."""
    rows = []

    def add(emdb_id, pdb_id, method, low_passed, **values):
        for metric, value in values.items():
            words = ("cctbx 2025.11, five_cc", "a mask", low_passed)
            words += (FLOORS[metric] if emdb_id == "EMD-1" else None, None, "resolution 5 Å")
            rows.append((emdb_id, pdb_id, method, metric, value, *words))

    # Against the fair baseline, enhanced: cc_box worse, cc_mask equal (0.0004 apart), FSC worse
    # (a larger distance; unfiltered against unfiltered). Against deposited as it is: worse,
    # better, worse.
    add("EMD-1", "1AAA", "deposited", False, cc_box=0.70, cc_mask=0.55, d_fsc_05_masked=6.00)
    add("EMD-1", "1AAA", "deposited", True, cc_box=0.72, cc_mask=0.60, d_fsc_05_masked=5.90)
    add("EMD-1", "1AAA", "enhanced", False, cc_box=0.69, cc_mask=0.6004, d_fsc_05_masked=6.20)
    # Low-passed: better, better, worse.
    add("EMD-1", "1AAA", "enhanced", True, cc_box=0.74, cc_mask=0.61, d_fsc_05_masked=6.10)
    add(
        "EMD-1", "1AAA", "enhanced_no_structure", False, cc_box=0.71, cc_mask=0.58,
        d_fsc_05_masked=5.90,
    )  # fmt: skip
    # The baseline stands under its other name; enhanced: better, no value, better.
    add("EMD-2", "2BBB", "deposited", False, cc_box=0.5, cc_mask=0.4, d_fsc_05_masked=7.0)
    add("EMD-2", "2BBB", "low_pass", False, cc_box=0.5, cc_mask=0.4, d_fsc_05_masked=7.0)
    add("EMD-2", "2BBB", "enhanced", False, cc_box=0.6, cc_mask=float("nan"), d_fsc_05_masked=6.5)
    return pd.DataFrame(rows, columns=list(COLUMNS))


@pytest.fixture(scope="session")
def split():
    columns = ("emdb_id", "pdb_id", "resolution", "contour_level", "cluster", "correlation")
    rows = [
        ("EMD-1", "1AAA", 3.2, 0.1, "a", 0.8, False, "test"),
        ("EMD-2", "2BBB", 5.0, None, "b", 0.7, True, "test"),
        ("EMD-3", "3CCC", 6.0, 0.2, "c", 0.9, True, "train"),
    ]
    return pd.DataFrame(rows, columns=[*columns, "simulated", "split"]).assign(repaired=False)


@pytest.fixture(scope="session")
def decisions():
    rows = [
        ("EMD-1", "1AAA", "resolution", "keep", 3.2, None, ""),
        ("EMD-2", "2BBB", "resolution", "keep", 5.0, None, ""),
        ("EMD-3", "3CCC", "resolution", "keep", 6.0, None, ""),
        ("EMD-4", "4DDD", "resolution", "drop", 9.5, 8.0, "reported at 9.5 Å, above 8 Å"),
        ("EMD-5", "5EEE", "resolution", "keep", 4.5, None, ""),
        ("EMD-6", "6FFF", "resolution", "keep", 4.6, None, ""),
        ("EMD-1", "1AAA", "correlation", "keep", 0.8, 0.65, ""),
        ("EMD-2", "2BBB", "correlation", "keep", 0.7, 0.65, ""),
        ("EMD-3", "3CCC", "correlation", "keep", 0.9, 0.65, ""),
        ("EMD-5", "5EEE", "correlation", "drop", 0.412, 0.65, "CC_mask 0.412 < <b>0.65</b>"),
        ("EMD-6", "6FFF", "correlation", "fail", None, None, "the archive has no map file"),
    ]
    columns = ["emdb_id", "pdb_id", "filter", "verdict", "value", "threshold", "reason"]
    return pd.DataFrame(rows, columns=columns)


@pytest.fixture(scope="session")
def history():
    rows = []
    for step in (0, 10, 20):
        for metric in ("loss_with_tokens", "loss_without_tokens"):
            rows.append((step, "train", metric, 1.0 / (step + 1), 5e-4))
            rows.append((step, "validation", metric, 1.5 / (step + 1), None))
    return pd.DataFrame(rows, columns=["step", "split", "metric", "value", "learning_rate"])


@pytest.fixture(scope="session")
def curves():
    rows = [
        (emdb_id, method, curve, 0.02 * place, 1.0 - 0.05 * place)
        for emdb_id in ("EMD-1", "EMD-2")
        for method in ("deposited", "enhanced")
        for curve in ("masked", "unmasked")
        for place in range(1, 18)
    ]
    return pd.DataFrame(rows, columns=["emdb_id", "method", "curve", "spatial_frequency", "fsc"])


@pytest.fixture(scope="session")
def residues():
    """Chain A of EMD-1 with a gap after its third residue, a ligand in it, and a short chain B."""
    rows = []
    names = ("ALA", "GLY", "VAL", "TRP", "SER", "LYS", "HEM")
    for method, gain in (("deposited", 0.0), ("low_pass", 0.05), ("enhanced", 0.1)):
        for place, name in enumerate(names):
            number = str(place + (1 if place < 3 else 11))
            # Residue 1 of the enhanced map is worse than the fair baseline in both measures.
            cc = 0.5 + gain - (0.3 if (place, method) == (0, "enhanced") else 0.0)
            row = ("EMD-1", "1AAA", method, "A", number, name, cc, 0.3 + gain, 0.6 + gain)
            rows.append((*row, 5.0, None))
        rows.append(("EMD-1", "1AAA", method, "B", "1", "ALA", 0.4, 0.4, 0.3, 5.0, None))
    return pd.DataFrame(rows, columns=tables.RESIDUES.names).astype({"d_local_half_maps": float})


@pytest.fixture(scope="session")
def controls():
    """EMD-1 hallucinates, EMD-2 does not; half maps were given for neither."""
    rows = []
    for emdb_id, pdb_id, score in (("EMD-1", "1AAA", 0.31), ("EMD-2", "2BBB", 0.04)):
        verdict = "fail" if score > 0.2 else "pass"
        rows += [
            (emdb_id, pdb_id, 0, "hallucination_score", verdict, score, 0.2, "Score, 0 to 1",
             "noise 0.00", "{}"),
            (emdb_id, pdb_id, 5, "no_signal", "pass", 0.01, 0.1, "Nothing from noise", "0.01",
             "{}"),
            (emdb_id, pdb_id, 6, "deleted_helix", verdict, score, 0.2, "It stays away",
             f"{100 * score:.0f} % came back", "{}"),
            (emdb_id, pdb_id, 7, "half_maps", "not_applicable", None, None, "Halves agree",
             "no half maps were given", "{}"),
        ]  # fmt: skip
    return pd.DataFrame(rows, columns=tables.CONTROLS.names)


@pytest.fixture(scope="session")
def leakage():
    """A twin of a trained chain in EMD-1, nothing alike in EMD-2."""
    rows = [
        ("EMD-1", "1AAA", "A", 140, "EMD-3", "3CCC", "B", 0.25, False),
        ("EMD-1", "1AAA", "B", 146, "EMD-3", "3CCC", "C", 0.975, True),
        ("EMD-2", "2BBB", "A", 99, None, None, None, None, False),
    ]
    return pd.DataFrame(rows, columns=tables.LEAKAGE.names)


def few_pixels(patch):
    """Let still pictures have few pixels."""
    patch.setattr(pictures, "SURFACE_PIXELS", 80)
    patch.setattr(pictures, "SLICE_PIXELS", 60)


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch):
    few_pixels(monkeypatch)


@pytest.fixture(scope="session")
def pairing(tmp_path_factory):
    """A short strand of residues, its map, and the map squared as the enhanced one."""
    tmp_path = tmp_path_factory.mktemp("pairing")
    model = tmp_path / "1AAA.pdb"
    write_strand(model, residues=6, start=(10, 14, 14))
    grid = Volume(np.zeros((28, 28, 38), np.float32), (1.0, 1.0, 1.0))
    density = simulate_density(heavy_atoms(read_model(model)), grid, 1.5)
    write_map(tmp_path / "deposited.mrc", density, "made")
    write_map(tmp_path / "enhanced.mrc", density.with_data(density.data**2), "made")
    return Pairing("EMD-1", tmp_path / "deposited.mrc", tmp_path / "enhanced.mrc", model)


@pytest.fixture(scope="session")
def inputs(evaluation, split, decisions, history, curves, residues, controls, leakage):
    """All that a page can be made from, save the maps to be drawn."""
    catalogue = decisions[["emdb_id", "pdb_id"]].drop_duplicates().reset_index(drop=True)
    titles = {"EMD-1": HOSTILE, "EMD-2": "A protein & its friend"}
    return Inputs(
        catalogue=catalogue.assign(
            title=catalogue["emdb_id"].map(titles), resolution=4.0, simulated=False
        ),
        decisions=decisions,
        split=split,
        history=history,
        evaluation=evaluation,
        curves=curves,
        residues=residues,
        controls=controls,
        leakage=leakage,
        run=RunFacts("compact", "protein_mpnn", 300_000, 400, [("Network", "compact")], ()),
        config=parse_config({"network": {"name": "compact"}, "training": {"steps": 400}}),
        files=[("split.parquet", "ab" * 32)],
    )


@pytest.fixture(scope="session")
def page(inputs, pairing):
    """The whole page, EMD-1 drawn; made once, since all charts take seconds."""
    with pytest.MonkeyPatch.context() as patch:
        few_pixels(patch)
        return Page(render(replace(inputs, pairings=(pairing,)), "A title", "A note"))
