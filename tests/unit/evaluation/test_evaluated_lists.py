"""Methods and figures of the pairs of a shard."""

import sys

import pandas as pd
import pytest
from small_pairs import empty, molecule, moved, noise

from cryosamu.cli.evaluate_controls import controls
from cryosamu.cli.evaluate_map import judge
from cryosamu.cli.evaluate_method import method
from cryosamu.config import EvaluationSettings
from cryosamu.errors import CryosamuError
from cryosamu.evaluation.entry import judge_entry
from cryosamu.evaluation.many import JudgedTables, join_judged, judge_pairs
from cryosamu.evaluation.methods.making import MethodRun
from cryosamu.evaluation.methods.many import Maker, make_maps, record_path, runs_of
from cryosamu.evaluation.methods.record import runs_table
from cryosamu.evaluation.reference import ModelReference
from cryosamu.evaluation.rows import evaluation_table
from cryosamu.files import sha256_of
from cryosamu.pairs import write_pairs
from cryosamu.structure.model import read_model
from cryosamu.tables import CURVES, EVALUATION, METHODS, RESIDUES, read_table, write_table
from cryosamu.volume.io import read_map, write_map

RESOLUTION = 4.0
NAMES = ("EMD-1001", "EMD-1102")
PROGRAM = """
import pathlib, shutil, sys
source = pathlib.Path(sys.argv[sys.argv.index("-i") + 1])
calls = pathlib.Path({calls!r})
calls.write_text(calls.read_text() + "x")
if source.stat().st_size > {largest}:
    sys.exit("too large for this program")
shutil.copy(source, sys.argv[sys.argv.index("-o") + 1])
"""


@pytest.fixture
def pairs(tmp_path, pair_of):
    """Two pairs in maps of noise; the second map has more voxels."""
    made = []
    for number, name in enumerate(NAMES):
        grid = empty((26 + 2 * number, 24, 22), (1.2, 1.2, 1.2), (10.0, 20.0, 30.0))
        structure = moved(molecule(seed=number, centre=(14, 14, 14)), grid.origin)
        calculated = ModelReference(grid, structure, RESOLUTION).calculated
        volume = grid.with_data(calculated / calculated.std() + noise(grid, number).data)
        write_map(tmp_path / f"{name}.mrc", volume, "a test")
        structure.setup_entities()
        structure.make_mmcif_document().write_file(str(tmp_path / f"{name}.cif"))
        files = tmp_path / f"{name}.mrc", tmp_path / f"{name}.cif"
        made.append(pair_of(*files, emdb_id=name, resolution=RESOLUTION, contour_level=1.0))
    return made


@pytest.fixture
def maker(tmp_path, pairs):
    """A stand-in for DeepEMhancer that fails on the larger map, and counts its calls."""
    program, calls = tmp_path / "deepemhancer", tmp_path / "calls"
    calls.write_text("")
    largest = (tmp_path / "EMD-1001.mrc").stat().st_size
    text = PROGRAM.format(calls=str(calls), largest=largest)
    program.write_text(f"#!{sys.executable}\n{text}")
    program.chmod(0o755)
    outside = {"deepemhancer": {"program": [str(program)]}}
    return Maker("deepemhancer", EvaluationSettings.model_validate({"outside": outside}))


def calls(tmp_path):
    # The version is asked for in a call of its own, which counts nothing.
    return len((tmp_path / "calls").read_text())


def test_a_method_is_run_once_a_map_and_a_failure_is_a_result(pairs, maker, tmp_path):
    made = make_maps(maker, pairs, tmp_path / "made")
    assert (made.made, made.failed) == (2, {})
    asked = calls(tmp_path)
    table = runs_table(runs_of(pairs, tmp_path / "made"))
    write_table(tmp_path / "t.parquet", table, METHODS)
    rows = read_table(tmp_path / "t.parquet", METHODS)
    assert list(rows["status"]) == ["ok", "failed"]
    assert rows["sha256"][0] == sha256_of(tmp_path / "made/01/EMD-1001.mrc")
    assert pd.isna(rows["sha256"][1])
    assert rows["seconds"].notna().tolist() == [True, False]
    # What failed is tried again, what was made is not.
    again = make_maps(maker, pairs, tmp_path / "made")
    assert (again.made, again.kept) == (1, 1)
    assert calls(tmp_path) == asked + 1
    (tmp_path / "made/01/EMD-1001.mrc").unlink()
    assert make_maps(maker, pairs, tmp_path / "made").made == 2
    other = {"deepemhancer": {"program": [str(tmp_path / "deepemhancer")], "options": ["--slow"]}}
    slow = Maker("deepemhancer", EvaluationSettings.model_validate({"outside": other}))
    assert make_maps(slow, pairs, tmp_path / "made").made == 2
    assert runs_table([]).empty


@pytest.mark.parametrize("end", ["kill -9 $$", "kill -15 $$", "exit 137"])
def test_a_killed_method_is_no_result_and_is_made_by_the_next_call(pairs, maker, tmp_path, end):
    program = tmp_path / "deepemhancer"
    sound = program.read_text()
    program.write_text(f'#!/bin/sh\ncase "$*" in *-i*) {end};; esac\n')
    made = make_maps(maker, pairs[:1], tmp_path / "made")
    assert "was killed, most often for lack of memory" in made.failed["EMD-1001"]
    assert not record_path(tmp_path / "made", "EMD-1001").exists()
    program.write_text(sound)
    assert make_maps(maker, pairs[:1], tmp_path / "made").made == 1
    assert runs_of(pairs[:1], tmp_path / "made")[0].status == "ok"


def test_maps_of_the_packaged_network_are_made_anew_by_another_one(
    pairs, tmp_path, monkeypatch, capsys
):
    def made(name, request, settings, output):
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_bytes(b"a map")
        return MethodRun(name, request.emdb_id, "ok", sha256=sha256_of(output))

    packaged = tmp_path / "released.safetensors"
    monkeypatch.setattr("cryosamu.enhancement.released.released_checkpoint", lambda: packaged)
    monkeypatch.setattr("cryosamu.evaluation.methods.many.make_method", made)
    write_pairs(tmp_path / "work", pairs, 1)
    for content, expected in ((b"1", "2 made"), (b"1", "0 made"), (b"2", "2 made")):
        packaged.write_bytes(content)
        method("enhanced", tmp_path / "made", work=tmp_path / "work/0.jsonl")
        assert expected in capsys.readouterr().err


def test_a_finished_map_that_changed_is_taken_again(pairs, tmp_path):
    outside = {"emready": {"finished": f"{tmp_path}/{{emdb_id}}.mrc"}}
    maker = Maker("emready", EvaluationSettings.model_validate({"outside": outside}))
    make_maps(maker, pairs, tmp_path / "made")
    assert make_maps(maker, pairs, tmp_path / "made").made == 0
    volume = read_map(tmp_path / "EMD-1001.mrc")
    write_map(tmp_path / "EMD-1001.mrc", volume.with_data(2 * volume.data), "twice")
    with_new_map = [pairs[1]]
    assert make_maps(maker, with_new_map, tmp_path / "made").made == 0
    failed = make_maps(maker, pairs, tmp_path / "made").failed
    assert "EMD-1001.mrc: is not the map that the work list names" in failed["EMD-1001"]


def test_a_list_is_judged_as_single_pairs_are_and_only_what_changed_again(pairs, maker, tmp_path):
    methods = {"deepemhancer": tmp_path / "made"}
    make_maps(maker, pairs, tmp_path / "made")
    settings = EvaluationSettings(methods=("deposited", "low_pass"))
    folder = tmp_path / "judged"
    assert judge_pairs(pairs, settings, methods, folder, workers=2).made == 2
    tables = JudgedTables(*(tmp_path / f"{name}.parquet" for name in ("e", "c", "r")))
    join_judged(pairs, folder, tables)
    rows = read_table(tables.evaluation, EVALUATION)
    expected = []
    for pair in pairs:
        finished = {"deepemhancer": record_path(tmp_path / "made", pair.emdb_id)}
        volume, structure = read_map(pair.map), read_model(pair.model)
        judged = judge_entry(volume, structure, RESOLUTION, settings, finished, 1.0, True)
        expected.append(evaluation_table(judged, pair.emdb_id, "9TST"))
    pd.testing.assert_frame_equal(rows, pd.concat(expected, ignore_index=True))
    failed = rows[rows["value"].isna() & (rows["method"] == "deepemhancer")]
    assert set(failed["emdb_id"]) == {"EMD-1102"}
    assert set(read_table(tables.curves, CURVES)["emdb_id"]) == set(NAMES)
    assert set(read_table(tables.residues, RESIDUES)["emdb_id"]) == set(NAMES)

    record = record_path(tmp_path / "made", "EMD-1001")
    text = record.read_text()
    record.write_text(text.replace('"seconds": ', '"seconds": 1'))
    assert judge_pairs(pairs, settings, methods, folder).made == 0
    record.write_text(text.replace(sha256_of(record.with_suffix(".mrc")), "0" * 64))
    assert judge_pairs(pairs, settings, methods, folder).made == 1


def test_no_pair_gives_empty_tables_of_the_right_kind(tmp_path):
    tables = JudgedTables(tmp_path / "e.parquet", curves=tmp_path / "c.parquet")
    join_judged([], tmp_path, tables)
    assert read_table(tmp_path / "e.parquet", EVALUATION).empty
    assert read_table(tmp_path / "c.parquet", CURVES).empty


def test_a_method_without_a_record_is_refused(pairs, tmp_path):
    with pytest.raises(CryosamuError, match=r"EMD-1001\.json: this record of a method does not"):
        judge_pairs(pairs, EvaluationSettings(), {"emready": tmp_path}, tmp_path / "judged")


def test_a_list_and_a_map_are_not_given_together(tmp_path):
    work, other = tmp_path / "0.jsonl", tmp_path / "map.mrc"
    with pytest.raises(CryosamuError, match="leave out MAP, --contour"):
        judge(map_path=other, work=work, members=tmp_path, contour=0.1)
    with pytest.raises(CryosamuError, match="needs --members FOLDER"):
        judge(work=work)
    with pytest.raises(CryosamuError, match="give MAP, MODEL and --resolution, or --work"):
        judge(map_path=other)
    with pytest.raises(CryosamuError, match="leave out MAP, --resolution, --emdb-id"):
        method("emready", tmp_path, map_path=other, work=work, resolution=5.0, emdb_id="E")
    with pytest.raises(CryosamuError, match="give MAP and --resolution, or --work"):
        method("emready", tmp_path)
    with pytest.raises(CryosamuError, match="needs --members FOLDER and -o TABLE"):
        controls(work=work)
    with pytest.raises(CryosamuError, match="leave out MODEL, --predicted"):
        controls(model_path=other, predicted=other, work=work)
