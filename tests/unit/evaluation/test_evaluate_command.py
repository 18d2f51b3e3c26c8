"""`cryosamu evaluate` as a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from small_pairs import empty, molecule, moved, noise

from cryosamu.cli.evaluate_map import judge
from cryosamu.errors import CryosamuError
from cryosamu.evaluation.correlation import map_model_correlations
from cryosamu.evaluation.reference import ModelReference
from cryosamu.files import sha256_of
from cryosamu.tables import CURVES, EVALUATION, read_table
from cryosamu.volume.io import write_map

RESOLUTION = 4.0
WITH_A_HALF_MAP_MISSING = (
    "--per-residue", "never.csv", "--half-map", "none.mrc", "--half-map", "map.mrc",
)  # fmt: skip
PROGRAM = """
import sys
from cryosamu.cli import evaluate, main
main.COMMANDS = ("evaluate", "fetch")
main.main()
"""


def run(*arguments, folder):
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, "evaluate", *map(str, arguments)],
        cwd=folder, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    grid = empty((40, 38, 36), (1.2, 1.2, 1.2), (10.0, 20.0, 30.0))
    structure = moved(molecule(spread=10), grid.origin)
    calculated = ModelReference(grid, structure, RESOLUTION).calculated
    volume = grid.with_data(calculated / calculated.std() + noise(grid).data)
    write_map(folder / "map.mrc", volume, "a test")
    write_map(folder / "flat.mrc", grid, "a test")
    write_map(folder / "enhanced.mrc", grid.with_data(calculated), "a test")
    structure.setup_entities()
    structure.make_mmcif_document().write_file(str(folder / "model.cif"))
    moved(structure, (400, 0, 0)).write_pdb(str(folder / "away.pdb"))
    return folder


def test_figures_tables_and_provenance(folder, tmp_path):
    done = run(
        "map.mrc", "model.cif", "--resolution", RESOLUTION, "--method", "enhanced=enhanced.mrc",
        "--method", "other=absent.mrc", "--contour", 2, "--emdb-id", "EMD-1", "--pdb-id", "1ABC",
        "--json", tmp_path / "all.json", "--table", tmp_path / "t.parquet",
        "--curves", tmp_path / "c.parquet", "--per-residue", tmp_path / "r.csv",
        "--half-map", "map.mrc", "--half-map", "enhanced.mrc",
        folder=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "all.json").read_text())
    from cryosamu.structure.model import read_model
    from cryosamu.volume.io import read_map

    expected = map_model_correlations(
        read_map(folder / "map.mrc"), read_model(folder / "model.cif"), RESOLUTION
    )
    for name in ("cc_box", "cc_mask", "cc_volume", "cc_peaks"):
        assert figures[name] == pytest.approx(getattr(expected, name), abs=1e-9)
    assert 3 < figures["d_fsc_05_masked"] < 6
    assert 3 < figures["d_fsc_05_unmasked"] < 6
    assert figures["methods"]["enhanced"]["as_is"]["cc_box"] == pytest.approx(1, abs=1e-4)
    assert figures["methods"]["low_pass_masked"]["settings"]["mask_level"] == 2
    assert figures["provenance"]["settings"]["resolution"] == RESOLUTION
    inputs = figures["provenance"]["inputs"]
    assert inputs["map"]["sha256"] == sha256_of(folder / "map.mrc")
    assert set(inputs) == {"map", "model", "enhanced", "half map 1", "half map 2"}
    assert figures["q_score"] == figures["methods"]["deposited"]["as_is"]["q_score"]
    assert set(figures["methods"]["enhanced"]["chains_as_is"]) == {"A"}
    assert figures["definitions"]["q_score"] == "cctbx-2025.11 qscore, sigma 0.6"
    residues = pd.read_csv(tmp_path / "r.csv")
    assert len(residues) == 40 * residues["method"].nunique()
    assert residues["d_local_half_maps"].notna().all()

    table = read_table(tmp_path / "t.parquet", EVALUATION)
    assert set(table["emdb_id"]) == {"EMD-1"}
    assert set(table["pdb_id"]) == {"1ABC"}
    assert set(read_table(tmp_path / "c.parquet", CURVES)["curve"]) == {"masked", "unmasked"}

    lines = done.stdout.splitlines()
    assert "CC_mask" in lines[0]
    assert lines[1].split()[:4] == ["deposited", "as", "it", "is"]
    assert f"{expected.cc_mask:.3f}" in lines[1]
    assert "other failed: absent.mrc: this map does not exist" in done.stderr


@pytest.mark.parametrize("arguments", [("--help",), ("map", "--help")])
def test_help_shows_a_worked_example(folder, arguments):
    done = run(*arguments, folder=folder)
    assert "cryosamu evaluate emd_1234.map.gz 1abc.cif.gz --resolution 5.2" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("map", "map.mrc", "away.pdb", "--resolution", "4"),
        ("--resolution", "4", "map.mrc", "away.pdb"),
    ],
)
def test_the_word_map_may_be_given_and_options_may_come_first(folder, arguments):
    assert "the model lies outside the map" in run(*arguments, folder=folder).stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("map.mrc", "model.cif", "--resolution", "-3"), "resolution must be a positive number"),
        (("map.mrc", "model.cif", "--resolution", "30"), "too coarse for a box of 43 Å"),
        (("map.mrc", "away.pdb", "--resolution", "4"), "the model lies outside the map"),
        (("build", "map.mrc", "away.pdb"), "the model lies outside the map"),
        (
            ("map.mrc", "model.cif", "--resolution", "4", *WITH_A_HALF_MAP_MISSING),
            "none.mrc: this map does not exist",
        ),
        (("none.mrc", "model.cif", "--resolution", "4"), "none.mrc: this map does not exist"),
        (("map.mrc", "map.mrc", "--resolution", "4"), "map.mrc: holds no atoms"),
    ],
)
def test_bad_input_ends_in_one_sentence(folder, tmp_path, arguments, sentence):
    table = tmp_path / "t.parquet"
    done = run(*arguments, "--table", table, folder=folder)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not done.stdout
    assert not list(tmp_path.iterdir())


def test_maps_of_other_grids_are_told(folder, tmp_path):
    grid = empty((46, 44, 42), (1.04, 1.04, 1.03), (10.0, 20.0, 30.0))
    write_map(tmp_path / "fine.mrc", noise(grid), "a test")
    done = run(
        "map.mrc", "model.cif", "--resolution", RESOLUTION, "--per-residue", tmp_path / "r.csv",
        "--method", f"mine={tmp_path / 'fine.mrc'}", "--half-map", "map.mrc",
        "--half-map", tmp_path / "fine.mrc",
        folder=folder,
    )  # fmt: skip
    told = [line for line in done.stderr.splitlines() if "lies on another grid" in line]
    assert [line.split(" lies")[0] for line in told] == [
        "note: mine", f"note: half map {tmp_path / 'fine.mrc'}"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "sentence"),
    [("enhanced", "must be NAME=MAP"), ("=map.mrc", "must be NAME=MAP"), ("a=", "must be NAME=MAP"),
     ("low_pass=map.mrc", "'low_pass' is taken"), ("envelope=map.mrc", "'envelope' is taken")],
)  # fmt: skip
def test_methods_need_a_name_of_their_own(method, sentence):
    with pytest.raises(CryosamuError, match=sentence):
        judge(Path("m"), Path("m"), 4.0, method=["mine=map.mrc", method])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"per_residue": Path("r.txt")}, "must end in .parquet or .csv"),
        ({"per_residue": Path("r.csv"), "half_map": [Path("a.mrc")]}, "must be given twice"),
        ({"half_map": [Path("a.mrc"), Path("b.mrc")]}, "and --per-residue with it"),
    ],
)
def test_options_that_do_not_fit_together(options, sentence):
    with pytest.raises(CryosamuError, match=sentence):
        judge(Path("m"), Path("m"), 4.0, **options)


def test_a_method_is_given_once():
    with pytest.raises(CryosamuError, match="'mine' is taken"):
        judge(Path("m"), Path("m"), 4.0, method=["mine=a.mrc", "mine=b.mrc"])
