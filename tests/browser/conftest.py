"""A page about three maps of real proteins, opened in a real headless Chromium."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cryosamu
from cryosamu import tables
from cryosamu.report import pictures
from cryosamu.report.inputs import Inputs
from cryosamu.report.names import CONTROL_LABELS, SCORE
from cryosamu.report.page import write_report
from cryosamu.report.pairing import Pairing
from cryosamu.structure.density import simulate_density
from cryosamu.structure.model import heavy_atoms, read_model
from cryosamu.volume.fourier import low_pass
from cryosamu.volume.io import write_map
from cryosamu.volume.volume import Volume

MODELS = Path(cryosamu.__file__).parent / "archive" / "embedded" / "files.rcsb.org" / "download"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
# A graphics card in software: what a machine without one needs to draw anything at all.
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
ENTRIES = {"EMD-10": "1UBI", "EMD-9": "5PTI", "EMD-100": "1UBI"}


@pytest.fixture(scope="session")
def report_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    pairings, rows = [], []
    for place, (emdb_id, name) in enumerate(ENTRIES.items()):
        model = MODELS / f"{name}.cif.gz"
        positions = heavy_atoms(read_model(model)).positions
        low = positions.min(axis=0) - 9
        size = np.ceil(positions.max(axis=0) + 9 - low).astype(int)
        grid = Volume(np.zeros(size[::-1], np.float32), (1.0, 1.0, 1.0), tuple(low))
        sharp = simulate_density(heavy_atoms(read_model(model)), grid, 1.4)
        # Other units than the deposited map's: only enclosed volumes can be compared.
        write_map(folder / f"{emdb_id}.mrc", low_pass(sharp, 6.0), "test")
        write_map(folder / f"{emdb_id}-e.mrc", sharp.with_data(50 * sharp.data), "test")
        files = (folder / f"{emdb_id}.mrc", folder / f"{emdb_id}-e.mrc", model)
        pairings.append(Pairing(emdb_id, *files))
        for method in ("deposited", "low_pass", "enhanced"):
            value = {"deposited": 0.5, "low_pass": 0.55, "enhanced": 0.6}[method] + 0.01 * place
            value = float("nan") if (place, method) == (2, "enhanced") else value
            known = {"emdb_id": emdb_id, "pdb_id": name, "method": method, "metric": "cc_mask"}
            rows.append({**known, "value": value, "low_passed": False, "settings": "{}"})
    evaluation = pd.DataFrame(rows, columns=tables.EVALUATION.names)
    with pytest.MonkeyPatch.context() as patch:
        # Still pictures are not what is tested here.
        patch.setattr(pictures, "SURFACE_PIXELS", 40)
        patch.setattr(pictures, "SLICE_PIXELS", 30)
        inputs = Inputs(
            evaluation=evaluation,
            pairings=tuple(pairings),
            residues=residues(),
            controls=controls(),
            leakage=leakage(),
        )
        write_report(inputs, folder / "report.html", "Three maps")
    return folder / "report.html"


def residues():
    """Twelve residues of one chain, deposited and enhanced."""
    rows = [
        ("EMD-9", "5PTI", method, "A", str(place), "ALA", 0.5 + 0.03 * place, 0.6, 0.4, 5.0, None)
        for method in ("deposited", "enhanced")
        for place in range(1, 13)
    ]
    return pd.DataFrame(rows, columns=tables.RESIDUES.names)


def controls():
    """A score and the nine controls of each map; one fails and one does not apply."""
    rows = []
    for emdb_id, score in (("EMD-10", 0.05), ("EMD-9", 0.4), ("EMD-100", 0.1)):
        known = (emdb_id, ENTRIES[emdb_id])
        verdict = "fail" if score > 0.2 else "pass"
        rows.append((*known, 0, SCORE, verdict, score, 0.2, "Score, 0 to 1", "found", "{}"))
        for number, control in enumerate(CONTROL_LABELS, start=1):
            one = {6: verdict, 7: "not_applicable"}.get(number, "pass")
            rows.append((*known, number, control, one, 0.5, 0.9, "must show", "found", "{}"))
    return pd.DataFrame(rows, columns=tables.CONTROLS.names)


def leakage():
    rows = [(e, p, "A", 76, "EMD-1", "1AAA", "B", 0.25, False) for e, p in ENTRIES.items()]
    return pd.DataFrame(rows, columns=tables.LEAKAGE.names)


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="the page is tested with playwright, which is not installed"
    )
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser found (one of {', '.join(BROWSERS)})")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def opened(browser, report_file):
    """The page, and a list of all that it says on the console, throws or asks for."""
    page = browser.new_page(viewport={"width": 720, "height": 700}, color_scheme="light")
    heard = []
    page.on("console", lambda message: heard.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: heard.append(f"error: {error}"))
    page.on("request", lambda request: heard.append(f"request: {request.url}"))
    page.goto(report_file.as_uri())
    yield page, heard
    page.close()
