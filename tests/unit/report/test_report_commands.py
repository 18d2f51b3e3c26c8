import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cryosamu import tables
from cryosamu.cli import report
from cryosamu.cli.options import application
from cryosamu.errors import CryosamuError
from cryosamu.report import pictures


@pytest.fixture
def command():
    root = application()
    report.register(root)

    def run(*arguments):
        return CliRunner().invoke(root, [*map(str, arguments)], catch_exceptions=False)

    return run


def test_a_page_from_files(command, tmp_path, inputs):
    names = (
        "split", "decisions", "history", "evaluation", "curves", "residues", "controls", "leakage"
    )  # fmt: skip
    for name in names:
        schema = getattr(tables, name.upper())
        tables.write_table(tmp_path / f"{name}.parquet", getattr(inputs, name), schema)
    (tmp_path / "config.json").write_text('{"training": {"steps": 77}}')
    options = [part for name in names for part in (f"--{name}", tmp_path / f"{name}.parquet")]
    options += ["--config", tmp_path / "config.json", "--title", "Ours"]
    assert command("report", *options, "-o", tmp_path / "r.html").exit_code == 0
    html = (tmp_path / "r.html").read_text()
    assert "<title>Ours</title>" in html
    assert "77 (recipe: 60000)" in html
    assert "the archive has no map file" in html
    assert 'id="controls"' in html
    assert 'id="leakage"' in html
    assert "Residue by residue" in html


@pytest.mark.parametrize("missing", [None, ""])
def test_rows_without_an_id_are_shown(command, tmp_path, evaluation, missing):
    bare = evaluation[evaluation["emdb_id"] == "EMD-1"].assign(emdb_id=missing, pdb_id=missing)
    tables.write_table(tmp_path / "e.parquet", bare, tables.EVALUATION)
    command("report", "--evaluation", tmp_path / "e.parquet", "-o", tmp_path / "r.html")
    assert "unnamed with unnamed" in (tmp_path / "r.html").read_text()


def test_a_broken_input_leaves_no_page(command, tmp_path):
    (tmp_path / "e.parquet").write_text("not a table")
    with pytest.raises(CryosamuError, match=r"e\.parquet: is not a Parquet table"):
        command("report", "--evaluation", tmp_path / "e.parquet", "-o", tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


def test_a_picture_of_three_panels(command, tmp_path, pairing, monkeypatch):
    monkeypatch.setattr(pictures, "README_PIXELS", 120)
    arguments = (pairing.deposited, pairing.enhanced, pairing.model)
    command("picture", *arguments, "-o", tmp_path / "a.png")
    command("picture", *arguments, "-o", tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    assert pixels.shape[1] == 360
    drawn = (pixels.min(axis=2) < 200)[70:-45]
    shares = [drawn[:, 120 * place : 120 * (place + 1)].mean() for place in range(3)]
    assert min(shares) > 0.01


def test_a_picture_of_maps_that_do_not_match(command, tmp_path, pairing):
    with pytest.raises(CryosamuError, match="does not exist"):
        command(
            "picture", pairing.deposited, tmp_path / "no.mrc", pairing.model, "-o",
            tmp_path / "a.png",
        )  # fmt: skip
    assert not (tmp_path / "a.png").exists()
