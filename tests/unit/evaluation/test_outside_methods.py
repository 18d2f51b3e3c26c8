"""Outside methods, run as stand-ins: real programs that take the documented arguments."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_pairs import empty, noise
from small_protein import protein

from cryosamu.cli.evaluate_method import method
from cryosamu.config import EvaluationSettings
from cryosamu.errors import CryosamuError
from cryosamu.evaluation.entry import judge_entry
from cryosamu.evaluation.methods import make_baseline, read_finished
from cryosamu.evaluation.methods.making import Request, make_method
from cryosamu.evaluation.reference import ModelReference
from cryosamu.tables import METHODS, read_table
from cryosamu.volume.io import read_map, write_map
from cryosamu.volume.volume import Volume

RESOLUTION = 5.0

# Each writes what it read, times a factor that tells the stand-ins apart, and remembers its call.
COMMON = """
import json, os, pathlib, sys
import numpy as np
from dataclasses import replace
from cryosamu.volume.grid import resample
from cryosamu.volume.io import read_map, write_map
pathlib.Path({call!r}).write_text(json.dumps([sys.argv[1:], os.getcwd()]))
def give(source, target, factor):
    assert pathlib.Path(source).read_bytes()[208:211] == b"MAP", "not a plain map"
    volume = read_map(source)
    write_map(target, volume.with_data(volume.data * np.float32(factor)), "stand-in")
"""
EMREADY = """
source, target, *options = sys.argv[1:]
ballast = bytearray(90_000_000)
# As EMReady, it answers on a grid of its own.
volume = read_map(source)
finer = resample(volume, tuple(2 * count for count in volume.shape))
write_map(target, finer.with_data(3 * finer.data), "stand-in")
"""
DEEPEMHANCER = """
if "--version" in sys.argv:
    print("deepemhancer 0.17"); sys.exit()
values = dict(zip(sys.argv[1::2], sys.argv[2::2]))
if "-i2" in values:
    assert pathlib.Path(values["-i2"]).is_file()
give(values["-i"], values["-o"], 5)
"""
CRYOTEN = """
assert pathlib.Path("configs/cryoten.yaml").is_file(), "must be run in its own folder"
source, target = sys.argv[1:3]
assert not pathlib.Path(target).exists(), "it would skip"
open(source, "r+b").close()  # it opens what it reads for writing
volume = read_map(source)
# It keeps nstart alone: the header's origin is lost.
bare = Volume(volume.data * np.float32(7), volume.voxel_size)
write_map(target, bare, "stand-in")
"""
RESOLVE = """
values = dict(item.split("=") for item in sys.argv[1:])
assert float(values["crystal_info.resolution"]) == 5
assert pathlib.Path(values["input_files.seq_file"]).read_text().count(">") == 1
assert values["output_files.restore_full_size"] == "True"
first, second = (values[f"input_files.half_map_file_name_{n}"] for n in (1, 2))
assert pathlib.Path(second).is_file()
give(first, values["output_files.denmod_map_file_name"], 11)
"""
BROKEN = """
print("no GPU was found")
sys.exit(3)
"""
SILENT = "print('Error: no checkpoint')\n"
STAND_INS = {
    "emready": EMREADY,
    "deepemhancer": DEEPEMHANCER,
    "phenix.resolve_cryo_em": RESOLVE,
    "broken": BROKEN,
    "silent": SILENT,
}
FACTORS = {"emready": 3, "deepemhancer": 5, "cryoten": 7, "resolve_cryo_em": 11}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outside")
    grid = empty((42, 40, 38), (1.2, 1.1, 1.3), (-4.0, 6.0, 2.5))
    calculated = ModelReference(grid, protein(), RESOLUTION).calculated
    volume = grid.with_data(calculated / calculated.std() + 0.5 * noise(grid).data)
    write_map(folder / "map.mrc.gz", volume, "a test")
    for number in (1, 2):
        write_map(folder / f"half_{number}.mrc", volume.with_data(number * volume.data), "a half")
    protein().make_mmcif_document().write_file(str(folder / "model.cif"))
    (folder / "bin").mkdir()
    for name, body in STAND_INS.items():
        program = folder / "bin" / name
        head = COMMON.format(call=str(folder / f"{name}.call"))
        program.write_text(f"#!{sys.executable}\n{head}\n{body}")
        program.chmod(0o755)
    home = folder / "cryoten"
    (home / "configs").mkdir(parents=True)
    (home / "configs" / "cryoten.yaml").write_text("")
    head = COMMON.format(call=str(folder / "cryoten.call"))
    imports = "from cryosamu.volume.volume import Volume\n"
    (home / "eval.py").write_text(head + imports + CRYOTEN)
    return folder


@pytest.fixture
def on_path(folder, monkeypatch):
    monkeypatch.setenv("PATH", str(folder / "bin"))


def settings_of(**outside):
    return EvaluationSettings.model_validate({"outside": outside})


def cryoten_settings(folder):
    program = [sys.executable, str(folder / "cryoten" / "eval.py")]
    return settings_of(cryoten={"program": program, "options": ["--batch_size", "8"]})


def request_of(folder, **changes):
    halves = (folder / "half_1.mrc", folder / "half_2.mrc")
    return Request(
        **{
            "map": folder / "map.mrc.gz",
            "resolution": RESOLUTION,
            "emdb_id": "EMD-1",
            "model": folder / "model.cif",
            "halves": halves,
            **changes,
        }
    )


@pytest.mark.parametrize("name", FACTORS)
def test_each_program_gets_its_documented_arguments(folder, tmp_path, on_path, name):
    before = (folder / "map.mrc.gz").read_bytes()
    run = make_method(name, request_of(folder), cryoten_settings(folder), tmp_path / "out.mrc")
    assert (run.status, run.error) == ("ok", None)
    deposited = read_map(folder / "map.mrc.gz")
    made = read_map(tmp_path / "out.mrc")
    assert made.origin == pytest.approx(deposited.origin)
    np.testing.assert_allclose(made.data, FACTORS[name] * deposited.data, atol=2e-2)
    assert run.resampled == (name == "emready")
    assert 0 < run.seconds < 100
    assert run.peak_megabytes > (100 if name == "emready" else 20)
    assert run.version == ("deepemhancer 0.17" if name == "deepemhancer" else "unknown")
    assert (folder / "map.mrc.gz").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.log", "out.mrc"]


def test_arguments_as_they_arrive(folder, tmp_path, on_path):
    outside = (
        cryoten_settings(folder).outside | settings_of(emready={"options": ["-g", "1"]}).outside
    )
    settings = EvaluationSettings(outside=outside)
    make_method("cryoten", request_of(folder), settings, tmp_path / "a.mrc")
    arguments, where = json.loads((folder / "cryoten.call").read_text())
    assert arguments[2:] == ["--batch_size", "8"]
    assert Path(where) == folder / "cryoten"
    make_method("emready", request_of(folder), settings, tmp_path / "b.mrc")
    arguments, _ = json.loads((folder / "emready.call").read_text())
    assert arguments[2:] == ["-g", "1"]
    make_method("deepemhancer", request_of(folder, halves=None), settings, tmp_path / "c.mrc")
    arguments, _ = json.loads((folder / "deepemhancer.call").read_text())
    assert arguments[::2] == ["-i", "-o"]


@pytest.mark.parametrize(
    ("name", "outside", "reason"),
    [
        ("cryoten", {}, "cryoten was not found on PATH; install it, name its call"),
        ("emready", {"program": ["/nowhere/emready"]}, "/nowhere/emready: is not a program"),
        ("cryoten", {"program": ["{python}", "/no/eval.py"]}, "/no/eval.py: is not there"),
        ("emready", {"program": ["{bin}/broken"]}, "ended with status 3 (no GPU was found)"),
        ("emready", {"program": ["{bin}/silent"]}, "silent ended without a map; see"),
        ("deepemhancer", {"finished": "/no/{{emdb_id}}.mrc"}, "/no/EMD-1.mrc: this map does not"),
    ],
)
def test_a_method_that_cannot_be_had_is_a_result(folder, tmp_path, on_path, name, outside, reason):
    places = {"bin": folder / "bin", "python": sys.executable}
    text = json.dumps(outside).replace("{bin}", str(places["bin"]))
    text = text.replace("{python}", sys.executable).replace("{{", "{").replace("}}.mrc", "}.mrc")
    settings = settings_of(**{name: json.loads(text)})
    (tmp_path / "out.mrc").write_bytes(b"an earlier one")
    run = make_method(name, request_of(folder), settings, tmp_path / "out.mrc")
    assert run.status == "failed"
    assert reason in run.error
    assert not (tmp_path / "out.mrc").exists()
    assert run.seconds is None


@pytest.mark.parametrize("lacking", ["halves", "model"])
def test_density_modification_needs_half_maps_and_sequences(folder, tmp_path, on_path, lacking):
    request = request_of(folder, **{lacking: None})
    run = make_method("resolve_cryo_em", request, settings_of(), tmp_path / "out.mrc")
    assert "needs the two half maps and a model" in run.error


def test_finished_maps_are_taken_by_their_pattern(folder, tmp_path):
    deposited = read_map(folder / "map.mrc.gz")
    write_map(tmp_path / "EMD-1_done.mrc", deposited.with_data(2 * deposited.data), "elsewhere")
    settings = settings_of(emready={"finished": str(tmp_path / "{emdb_id}_done.mrc")})
    run = make_method("emready", request_of(folder), settings, tmp_path / "out.mrc")
    assert (run.status, run.program, run.seconds) == ("ok", "EMD-1_done.mrc", None)
    np.testing.assert_array_equal(read_map(tmp_path / "out.mrc").data, 2 * deposited.data)


def test_a_baseline_is_made_in_a_measured_process(folder, tmp_path):
    run = make_method("sharpened", request_of(folder), EvaluationSettings(), tmp_path / "out.mrc")
    assert run.status == "ok", run.error
    assert run.peak_megabytes > 30
    expected = make_baseline(
        "sharpened", read_map(folder / "map.mrc.gz"), RESOLUTION, EvaluationSettings()
    )
    np.testing.assert_allclose(read_map(tmp_path / "out.mrc").data, expected.data, atol=1e-5)


def test_cryosamu_itself_is_measured_alike(folder, tmp_path):
    """With the packaged checkpoint and the embedding shuffled: a command that tells which it is."""
    output = tmp_path / "out.mrc"
    run = make_method("enhanced_permuted", request_of(folder), EvaluationSettings(), output)
    assert run.status == "ok", run.error
    assert run.peak_megabytes > 100
    assert run.program == "cryosamu"
    deposited = read_map(folder / "map.mrc.gz")
    assert 0.5 < np.corrcoef(read_map(output).data.ravel(), deposited.data.ravel())[0, 1] < 0.9999


def test_cryosamu_without_what_it_needs_fails_in_a_sentence(folder, tmp_path):
    request = request_of(folder, model=None)
    run = make_method("enhanced", request, EvaluationSettings(), tmp_path / "out.mrc")
    assert run.error == "enhanced needs the MODEL whose embedding it takes."
    run = make_method("enhanced_predicted", request, EvaluationSettings(), tmp_path / "out.mrc")
    assert "needs 'evaluation.predicted_models'" in run.error


def test_a_failure_is_counted_with_its_own_reason_where_maps_are_judged(
    folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("PATH", str(folder / "bin"))
    for name in ("deepemhancer", "cryoten"):
        method(
            name, tmp_path / f"{name}.mrc", folder / "map.mrc.gz", RESOLUTION,
            table=tmp_path / f"{name}.parquet", emdb_id="EMD-1",
        )  # fmt: skip
    assert "note: cryoten failed: cryoten was not found on PATH" in capsys.readouterr().err
    rows = pd.concat(
        [read_table(tmp_path / f"{n}.parquet", METHODS) for n in ("deepemhancer", "cryoten")]
    )
    assert list(rows["status"]) == ["ok", "failed"]
    assert rows["peak_megabytes"].notna().tolist() == [True, False]
    deposited = read_map(folder / "map.mrc.gz")
    finished = {name: tmp_path / f"{name}.json" for name in ("deepemhancer", "cryoten")}
    judged = judge_entry(deposited, protein(), RESOLUTION, EvaluationSettings(methods=()), finished)
    found = {one.method: one for one in judged if not one.low_passed}
    assert found["deepemhancer"].metrics["cc_box"] == pytest.approx(
        found["deposited"].metrics["cc_box"], abs=1e-5
    )
    assert found["cryoten"].metrics["cc_box"] is None
    assert "was not found on PATH" in found["cryoten"].settings["error"]
    record = json.loads((tmp_path / "deepemhancer.json").read_text())
    assert record["version"] == "deepemhancer 0.17"
    assert record["provenance"]["inputs"]["map"]["name"] == "map.mrc.gz"


@pytest.mark.parametrize(
    "text",
    ["{}", "[]", '{"status": "ok", "error": null, "map": "../map.mrc"}', '{"status": "ok"}'],
)
def test_what_is_no_record_is_refused(tmp_path, text):
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(CryosamuError, match=r"other\.json: is not the record of a method"):
        read_finished(tmp_path / "other.json", Volume(np.ones((2, 2, 2), np.float32), (1, 1, 1)))


def test_the_command_refuses_what_it_does_not_know(folder, tmp_path):
    with pytest.raises(CryosamuError, match="magic: is not a method; known are deposited"):
        method("magic", tmp_path / "out.mrc", folder / "map.mrc.gz", RESOLUTION)
    with pytest.raises(CryosamuError, match="resolution of 1 Å is finer than this map's voxels"):
        method("low_pass", tmp_path / "out.mrc", folder / "map.mrc.gz", 1.0)
    with pytest.raises(CryosamuError, match=r"must be given twice"):
        method(
            "emready", tmp_path / "o.mrc", folder / "map.mrc.gz", RESOLUTION,
            half_map=[folder / "half_1.mrc"],
        )  # fmt: skip


@pytest.mark.parametrize("role", ["map", "model"])
def test_an_input_is_not_written_over(tmp_path, role):
    write_map(tmp_path / "map.mrc", noise(empty((24, 24, 24))), "test")
    protein().make_mmcif_document().write_file(str(tmp_path / "model.mrc"))
    request = Request(tmp_path / "map.mrc", RESOLUTION, model=tmp_path / "model.mrc")
    output = tmp_path / f"{role}.mrc"
    before = output.read_bytes()
    with pytest.raises(CryosamuError, match=rf"{role}\.mrc: is an input; write"):
        make_method("low_pass", request, EvaluationSettings(), output)
    assert output.read_bytes() == before
