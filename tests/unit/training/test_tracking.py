"""What a training leaves to be followed and compared by: pace, page, and the list of runs."""

import csv
import io
import json
import re
import shutil
import time
from base64 import b64decode

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from training_toys import NETWORK, TRAINING, state_file, train_until
from typer.testing import CliRunner

import cryosamu.training.loop as loop
from cryosamu.cli.main import build_application
from cryosamu.errors import CheckpointError, CryosamuError
from cryosamu.tables import HISTORY, PACE, read_table
from cryosamu.tensors import read_tensors, read_tensors_header, write_tensors
from cryosamu.tracking.page import chart, write_page
from cryosamu.tracking.runs import differing_settings, find_runs
from cryosamu.training.state import load_state, save_state


def asked(*arguments):
    answer = CliRunner().invoke(build_application(), ["runs", *map(str, arguments)])
    assert answer.exit_code == 0, answer.output
    return answer


def folder_of(world, state="state"):
    (path,) = (world.folder / state).glob("*/about.json")
    return path.parent


def test_the_pace_is_kept_over_a_stop_and_enters_no_result(world, monkeypatch):
    real = loop.take_step

    def slow_step(*given):
        time.sleep(0.02)
        return real(*given)

    monkeypatch.setattr(loop, "take_step", slow_step)
    train_until(world, monkeypatch, 7)
    before = read_tensors_header(state_file(world))
    assert before["seconds"] >= 6 * 0.02
    world.train("stopped")
    pace = read_table(folder_of(world) / "pace.parquet", PACE)
    assert list(pace.step) == [3, 6, 9, 12]
    assert (pace.seconds.diff().dropna() >= 3 * 0.02).all()
    assert pace.seconds.iloc[1] <= before["seconds"] + 1e-3
    # Two crops a step of 20 ms and more.
    assert pace.crops_per_second.between(0.1, 100).all()
    monkeypatch.undo()
    world.train("whole", "state_of_whole")
    assert world.outputs("whole") == world.outputs("stopped")


def test_the_gradients_norm_is_that_before_it_is_cut(world, monkeypatch):
    seen = []
    real = loop.clip_grad_norm_
    monkeypatch.setattr(
        loop, "clip_grad_norm_", lambda *given: seen.append(real(*given)) or seen[-1]
    )
    world.train(training=TRAINING.model_copy(update={"gradient_norm": 1e-3}))
    history = read_table(world.files().history, HISTORY)
    norms = history[history.metric == "gradient_norm"].value.to_numpy()
    assert norms == pytest.approx(torch.stack(seen).reshape(4, 3).mean(1).numpy())
    assert (norms > 1e-3).all()


def test_the_page_shows_curves_and_what_the_network_made(world):
    world.train()
    text = (folder_of(world) / "progress.html").read_text()
    assert "Step 12 of 12" in text
    for words in ("<h2>Loss</h2>", "Gradient norm", "Learning rate", "Crops a second"):
        assert words in text
    assert "validation with structure" in text
    assert "A crop of EMD-3" in text
    assert re.findall(r'<img alt="([^"]*)"', text) == [
        *("map", "without structure", "with structure", "target")
    ]
    assert not re.search(r"https?://|<script", text)
    pictures = re.findall(r"data:image/png;base64,([\w+/=]+)", text)
    shown = [np.asarray(Image.open(io.BytesIO(b64decode(one)))) for one in pictures]
    assert {picture.shape for picture in shown} == {(48, 48)}
    # The network's answer is neither the map nor the target.
    assert len({picture.tobytes() for picture in shown}) == 4


def test_a_slice_is_drawn_at_its_brightness(tmp_path):
    ramp = np.linspace(-0.5, 1.5, 9, dtype=np.float32).reshape(3, 3)
    write_page(tmp_path / "p.html", "a<b", "x", [], [], {"EMD-1": {"map": ramp}})
    text = (tmp_path / "p.html").read_text()
    assert "<h1>a&lt;b</h1>" in text
    (picture,) = re.findall(r"data:image/png;base64,([\w+/=]+)", text)
    grey = np.asarray(Image.open(io.BytesIO(b64decode(picture))))[1::3, 1::3]
    np.testing.assert_array_equal(grey, (ramp.clip(0, 1) * 255).round())


def test_a_curve_falls_where_its_values_do():
    drawn = chart({"loss": [(0, 1.0), (5, 0.1), (10, 0.01)], "level": [(0, 0.1)]}, log=True)
    lines = re.findall(r'points="([^"]*)"', drawn)
    (x0, y0), (x1, y1), (x2, y2) = (map(float, p.split(",")) for p in lines[0].split())
    # On a logarithmic axis three decades are equally far apart; SVG counts y downwards.
    assert y0 < y1 < y2
    assert y1 - y0 == pytest.approx(y2 - y1, abs=0.11)
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.11)
    assert {point.split(",")[1] for point in lines[1].split()} == {f"{y1:.1f}"}
    assert "nan" not in chart({"loss": [(0, 1.0), (1, float("nan"))]}, log=True)
    assert chart({}, log=True) == "<p>Nothing yet.</p>"


def test_finished_unfinished_and_broken_runs_are_listed_and_compared(world, monkeypatch):
    world.train("a", "states/one")
    other = TRAINING.model_copy(update={"learning_rate": 1e-3, "run": "slow"})
    world.train("b", "states/two", training=other)
    with monkeypatch.context() as patch:
        train_until(world, patch, 7)
    shutil.move(world.folder / "state", world.folder / "states" / "three")
    broken = folder_of(world, "states/two").with_name("broken")
    broken.mkdir()
    (broken / "state.safetensors").write_bytes(b"no state")
    cut = broken.with_name("cut")
    shutil.copytree(folder_of(world, "states/one"), cut)
    content = (cut / "checkpoint.safetensors").read_bytes()
    (cut / "checkpoint.safetensors").write_bytes(content[:500])

    rows = json.loads(asked(world.folder / "states", "--json").stdout)
    by_path = {row["path"].split("states/")[1].split("/")[0]: row for row in rows[:3]}
    assert [row["status"] for row in rows[3:]] == ["broken", "broken"]
    assert [row["loss"] for row in rows[:3]] == sorted(row["loss"] for row in rows[:3])
    one, two, three = (by_path[name] for name in ("one", "two", "three"))
    history = read_table(world.files("a").history, HISTORY)
    losses = history[(history.split == "validation") & (history.metric == "loss")].value
    assert one["loss"] == losses.min()
    assert one["of_input"] == history[history.metric == "loss_of_input"].value.iloc[0]
    assert (one["status"], one["step"], one["pairs"], one["parents"]) == ("finished", 12, 2, 0)
    assert (three["status"], three["step"], three["steps"]) == ("unfinished", 6, 12)
    assert three["with_structure"] is not None
    # Only what differs is a column of its own, and the run's name is not a setting.
    assert {key for key in one if "." in key} == {"training.learning_rate"}
    assert (one["training.learning_rate"], two["training.learning_rate"]) == (2e-3, 1e-3)
    assert (two["run"], one["data"]) == ("slow", two["data"])
    assert one["lock"] is None
    assert one["hours"] > 0

    table = asked(world.folder / "states")
    assert [line.split()[1] for line in table.stdout.splitlines()[-2:]] == ["broken", "broken"]
    assert "6/12" in table.stdout
    assert "learning_rate" in table.stdout
    said = table.stderr.splitlines()
    assert sum("about.json: is missing or damaged, so the run is not known." in s for s in said)
    assert sum("checkpoint.safetensors: is cut short, damaged" in s for s in said)
    read = list(csv.DictReader(io.StringIO(asked(world.folder / "states", "--csv").stdout)))
    assert [row["run"] for row in read] == [row["run"] for row in rows]


def test_runs_of_other_losses_or_crops_are_not_ranked_together(world):
    changes = {
        "one": {},
        "two": {"learning_rate": 1e-3},
        "by_correlation": {"validate_by": "correlation"},
        "seed": {"seed": 6},
    }
    for name, change in changes.items():
        short = TRAINING.model_copy(update={"steps": 2, "run": name, **change})
        world.train(name, f"states/{name}", training=short)
    # More to learn from, the same to judge by.
    world.add(8, "train").train(
        "more", "states/more", training=TRAINING.model_copy(update={"steps": 2, "run": "more"})
    )
    runs = find_runs([world.folder / "states"])
    assert {run.name for run in runs[:3]} == {"one", "two", "more"}
    losses = [run.metrics["loss"] for run in runs[:3]]
    assert losses == sorted(losses)
    groups = [run.judged_by for run in runs]
    assert len(set(groups[:3])) == 1
    assert len(set(groups)) == 3
    assert [one for one in groups if one.startswith("correlation ")] == [
        run.judged_by for run in runs if run.name == "by_correlation"
    ]
    answer = asked(world.folder / "states")
    blank = [number for number, line in enumerate(answer.stdout.rstrip().splitlines()) if not line]
    assert blank == [4, 6]
    assert "3 groups of runs, each judged by another loss" in answer.stderr
    alone = asked(world.folder / "states" / "one", world.folder / "states" / "two")
    assert "groups" not in alone.stderr
    assert "" not in alone.stdout.rstrip().splitlines()


def test_runs_of_before_are_grouped_by_what_they_record(world):
    world.train("a", "states/a")
    kept = folder_of(world, "states/a") / "checkpoint.safetensors"
    tensors, header = read_tensors(kept)
    del header["training"]["judges"]
    (world.folder / "old").mkdir()
    for name, change in (("a", {}), ("b", {"learning_rate": 1.0}), ("c", {"crop": 24})):
        header["provenance"]["settings"] |= change
        write_tensors(world.folder / "old" / f"{name}.safetensors", tensors, header)
    one, two, three = (
        find_runs([world.folder / "old" / f"{name}.safetensors"])[0].judged_by for name in "abc"
    )
    assert one == two != three


def test_checkpoints_without_their_runs_are_listed(world):
    world.train("a")
    lone = world.folder / "models"
    lone.mkdir()
    shutil.copy(world.files("a").checkpoint, lone / "released.safetensors")
    rows = find_runs([lone])
    assert [(run.name, run.status, run.step) for run in rows] == [("released", "finished", 12)]
    assert find_runs([lone / "released.safetensors"])[0].metrics == rows[0].metrics
    both = [*rows, *find_runs([world.folder / "state"])]
    assert differing_settings(both) == []
    assert asked(world.folder / "prepared").stdout == "no runs\n"


def test_what_is_not_there_and_two_answers_are_refused(world):
    with pytest.raises(CryosamuError, match="nowhere: does not exist"):
        find_runs([world.folder / "nowhere"])
    answer = CliRunner().invoke(build_application(), ["runs", str(world.folder), "--json", "--csv"])
    assert "ask for one" in str(answer.exception)


def test_hundreds_of_runs_are_listed_in_a_moment(world):
    world.train()
    one = folder_of(world)
    for number in range(300):
        shutil.copytree(one, world.folder / "many" / f"{number:03}" / one.name)
    begun = time.process_time()
    assert len(find_runs([world.folder / "many"])) == 300
    assert time.process_time() - begun < 20


def test_a_header_is_read_without_its_tensors(world, monkeypatch):
    train_until(world, monkeypatch, 4)
    path = state_file(world)
    assert read_tensors_header(path) == read_tensors(path)[1]
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(CheckpointError, match="is a pickle, which can run code"):
        read_tensors_header(path)


def test_running_statistics_are_kept_as_of_the_last_finished_step(world, tmp_path):
    from cryosamu.network import build_network
    from cryosamu.training.state import fresh_state

    def state_of():
        torch.manual_seed(0)
        network = build_network(NETWORK, 12)
        network.normed = torch.nn.BatchNorm3d(2)
        return fresh_state(network, TRAINING.model_copy(update={"averaging": 0.9}), 12, [], [])

    state = state_of()
    state.network.normed(torch.randn(4, 2, 3, 3, 3))
    state.finish_step(0.5, float("inf"))
    after_step = state.network.normed.running_mean.clone()
    state.update_average(0.9)
    assert torch.equal(state.average.normed.running_mean, after_step)
    # A forward pass of a step that is given up.
    state.network.normed(torch.randn(4, 2, 3, 3, 3) + 9)
    save_state(tmp_path / "s.safetensors", state)
    again = load_state(tmp_path / "s.safetensors", state_of().network, TRAINING)
    assert torch.equal(again.network.normed.running_mean, after_step)
    assert not again.norms
    assert pd.isna(again.losses).sum() == 0
