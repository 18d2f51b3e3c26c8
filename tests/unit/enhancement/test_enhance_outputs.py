"""What the command leaves beside the enhanced map, and that it leaves all of it or nothing."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import gemmi
import mrcfile
import numpy as np
import pytest
import torch
from enhance_process import arguments_of, started
from real_protein import RESOLUTION, write_inputs

import cryosamu
from cryosamu.cli.main import main
from cryosamu.enhancement.trust.half_maps import averaged, read_half_maps
from cryosamu.volume.fourier import low_pass
from cryosamu.volume.io import read_map, write_map

ALL = ("--keep-1A", "--also-low-passed", "--resolution", str(RESOLUTION))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ubiquitin")
    write_inputs(folder)
    return folder


@pytest.fixture
def enhance(folder, monkeypatch, capsys):
    """The command within this process; returns exit status and standard error."""
    torch.set_num_threads(1)

    def run(output, *options, **others):
        arguments = arguments_of(folder, output, *options, **others)
        monkeypatch.setattr(sys, "argv", ["cryosamu", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        return caught.value.code or 0, capsys.readouterr().err

    return run


@pytest.fixture(scope="module")
def everything(folder, tmp_path_factory):
    """All that the command can leave, with its record; made by a real process."""
    output = tmp_path_factory.mktemp("all") / "enhanced.mrc"
    halves = ("--half-maps", folder / "half_1.mrc", folder / "half_2.mrc")
    report = ("--report", output.with_name("page.html"))
    process = started(
        arguments_of(folder, output, *ALL, *halves, *report, "--model", folder / "model.cif")
    )
    _, told = process.communicate(timeout=300)
    assert process.returncode == 0, told
    return output.parent, json.loads(output.with_suffix(".json").read_text()), told


def test_all_outputs_lie_beside_the_map_with_their_checksums(everything):
    made, record, _ = everything
    names = {
        "enhanced": "enhanced.mrc", "working": "enhanced_1A.mrc",
        "low_passed": "enhanced_low_passed.mrc", "confidence": "enhanced_confidence.mrc",
        "scene": "enhanced.cxc", "report": "page.html",
    }  # fmt: skip
    assert {role: one["name"] for role, one in record["outputs"].items()} == names
    assert {path.name for path in made.iterdir()} == {*names.values(), "enhanced.json"}
    for one in record["outputs"].values():
        assert one["sha256"] == hashlib.sha256((made / one["name"]).read_bytes()).hexdigest()
    assert record["sha256"] == record["outputs"]["enhanced"]["sha256"]
    assert set(record["provenance"]["inputs"]) == {
        "map", "half_map_1", "half_map_2", "model", "checkpoint",
    }  # fmt: skip
    assert {"read_and_check", "prepare", "network", "back", "write"} < set(record["seconds"])


def test_it_says_beforehand_what_it_will_take(everything):
    _, _, told = everything
    first, second, third = (line for line in told.splitlines() if "window" in line)
    assert told.startswith("pass 1 of 3 (the map, then each half map: 3 times this): ")
    assert "GB" in first
    assert (second[:13], third[:13]) == ("pass 2 of 3: ", "pass 3 of 3: ")


def test_what_matters_most_is_told_on_the_terminal(everything):
    _, record, told = everything
    notes = [line for line in told.splitlines() if line.startswith("note: ")]
    first = [record["half_maps"]["sentence"], record["keeping"]["sentence"]]
    assert record["confidence"]["notes"]
    rest = [*record["confidence"]["notes"], *record["notes"]]
    assert notes == [f"note: {sentence}" for sentence in [*first, *rest]]


def test_each_map_is_what_its_name_says(folder, everything):
    made, record, _ = everything
    given, enhanced = read_map(folder / "map.mrc"), read_map(made / "enhanced.mrc")
    low_passed = read_map(made / "enhanced_low_passed.mrc")
    confidence = read_map(made / "enhanced_confidence.mrc")
    working = read_map(made / "enhanced_1A.mrc")
    for volume in (enhanced, low_passed, confidence):
        assert (volume.shape, volume.origin) == (given.shape, given.origin)
    expected = low_pass(enhanced, RESOLUTION).data
    assert np.allclose(low_passed.data, expected, atol=1e-5 * enhanced.data.std())
    assert 0 <= confidence.data.min() < confidence.data.max() <= 1
    assert list(working.shape) == record["working_grid"]["shape"]
    assert np.allclose(working.voxel_size, 1, atol=0.02)
    assert np.allclose(working.box, given.box, rtol=1e-5)
    assert np.allclose(working.origin, given.origin, atol=1e-3)
    with mrcfile.open(made / "enhanced_confidence.mrc") as handle:
        assert "confidence" in str(handle.get_labels()[-1])


def test_the_record_says_what_to_believe(everything):
    _, record, _ = everything
    assert isinstance(record["half_maps"]["sentence"], str)
    assert isinstance(record["keeping"]["sentence"], str)
    assert 0 <= record["confidence"]["share_of_density_above_half"] <= 1
    assert record["structure_tokens"] == 64
    assert record["resolution"] == RESOLUTION


def test_the_scene_opens_what_lies_there_at_levels_of_one_volume(folder, everything):
    made, _, _ = everything
    lines = (made / "enhanced.cxc").read_text().splitlines()
    opened = [line.split('"')[1] for line in lines if line.startswith("open ")]
    names = ["map.mrc", "enhanced.mrc", "enhanced_confidence.mrc", "model.cif"]
    assert [Path(name).name for name in opened] == names
    # Of a map the origin words count, whatever its name ends in.
    assert [line.endswith(" format mrc") for line in lines[1:5]] == [True, True, True, False]
    assert all((made / name).resolve().is_file() for name in opened)
    assert not any(name.startswith("/") for name in opened)
    counts = []
    for number, name in enumerate(opened[:2], 1):
        line = next(line for line in lines if line.startswith(f"volume #{number} "))
        level = float(line.split(" level ")[1].split()[0])
        counts.append((read_map(made / name).data >= level).sum())
    assert counts[1] == pytest.approx(counts[0], rel=0.02)
    # Ubiquitin: 8,565 Da at 1.21 Å³ each, in voxels of 3.375 Å³.
    assert counts[0] == pytest.approx(8565 * 1.21 / 3.375, rel=0.03)
    assert any(line.startswith("color sample #2 map #3 palette 0,") for line in lines)
    assert "cartoon #4" in lines


def test_in_memory_the_same_comes_out_as_in_files(folder, everything):
    made, record, _ = everything
    assert not {"torch", "numpy"} & imported_by("import cryosamu"), "the import must stay light"
    structure = gemmi.read_structure(str(folder / "model.cif"))
    structure.setup_entities()
    from cryosamu.config import EmbeddingSettings, EnhancementSettings

    cpu = {"device": "cpu"}
    enhanced = cryosamu.enhance(
        cryosamu.read_map(folder / "map.mrc"),
        structure,
        half_maps=(read_map(folder / "half_1.mrc"), read_map(folder / "half_2.mrc")),
        resolution=RESOLUTION,
        checkpoint=folder / "net.safetensors",
        enhancement=EnhancementSettings(**cpu),
        embedding=EmbeddingSettings(**cpu),
    )
    for name, volume in (
        ("enhanced", enhanced.volume),
        ("enhanced_1A", enhanced.working),
        ("enhanced_low_passed", enhanced.low_passed),
        ("enhanced_confidence", enhanced.confidence),
    ):
        there = read_map(made / f"{name}.mrc").data
        assert np.allclose(volume.data, there, rtol=0, atol=1e-4 * there.std()), name
    assert enhanced.guard["sentence"] == record["half_maps"]["sentence"]
    assert enhanced.record["input"] == pytest.approx(record["input"])


def test_the_documented_example_runs(folder, tmp_path, monkeypatch, capsys):
    page = Path(__file__).parents[3] / "docs" / "enhance.md"
    example = page.read_text().split("```python\n")[1].split("```")[0]
    for name in ("map.mrc", "model.cif"):
        (tmp_path / name).symlink_to(folder / name)
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)
    exec(compile(example, str(page), "exec"), {})
    said = capsys.readouterr().out
    assert "% of the voxels have a confidence above one half" in said
    assert read_map("enhanced.mrc").shape == read_map("map.mrc").shape


def imported_by(statement):
    script = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    return set(done.stdout.split())


def test_half_maps_alone_are_averaged(folder, tmp_path, enhance):
    paths = folder / "half_1.mrc", folder / "half_2.mrc"
    halves = ("--half-maps", *paths, "--no-check-halves", "--resolution", 5)
    assert enhance(tmp_path / "a.mrc", *halves, "--no-confidence", given=())[0] == 0
    mean = tmp_path / "mean.mrc"
    write_map(mean, averaged(read_half_maps(*paths), 5.0), "mean")
    options = ("--no-confidence", "--resolution", 5)
    assert enhance(tmp_path / "b.mrc", *options, given=(mean,))[0] == 0
    one, other = read_map(tmp_path / "a.mrc").data, read_map(tmp_path / "b.mrc").data
    assert np.allclose(one, other, atol=1e-4 * other.std())
    record = json.loads((tmp_path / "a.json").read_text())
    assert record["half_maps"] is None
    assert "map" not in record["provenance"]["inputs"]


def test_what_is_switched_off_is_not_there(folder, tmp_path, enhance):
    options = ("--no-confidence", "--no-keeping", "--no-chimerax", "--model", folder / "model.cif")
    assert enhance(tmp_path / "a.mrc", *options)[0] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.mrc"]
    record = json.loads((tmp_path / "a.json").read_text())
    assert record["keeping"] is None
    assert record["confidence"] is None


def refused(outcome, *words):
    status, told = outcome
    assert status == 1
    assert told.startswith("cryosamu: ")
    assert told.count("\n") == 1
    for word in words:
        assert word in told


def test_what_does_not_go_together_is_told_before_the_work(folder, tmp_path, enhance, monkeypatch):
    monkeypatch.setattr("cryosamu.enhancement.sources.read_map", None)
    monkeypatch.setattr("cryosamu.enhancement.trust.half_maps.read_map", None)
    half = folder / "half_1.mrc"
    refused(enhance(tmp_path / "a.mrc", "--also-low-passed"), "--resolution")
    refused(enhance(tmp_path / "a.mrc", given=()), "give the MAP")
    refused(enhance(tmp_path / "a.mrc", "--report", tmp_path / "a.json"), "another output")
    refused(enhance(half, "--half-maps", half, folder / "half_2.mrc"), "would overwrite")
    model = ("--model", folder / "model.cif")
    refused(enhance(tmp_path / "a.mrc", *model, "--report", model[1]), "would overwrite")
    assert list(tmp_path.iterdir()) == []
    assert (folder / "model.cif").read_text().startswith("data_1UBI")


def test_a_model_elsewhere_is_refused_unless_forced(folder, tmp_path, enhance):
    structure = gemmi.read_structure(str(folder / "model.cif"))
    for site in structure[0].all():
        site.atom.pos += gemmi.Position(0, 0, 14)
    structure.make_mmcif_document().write_file(str(tmp_path / "moved.cif"))
    model = ("--model", tmp_path / "moved.cif", "--resolution", RESOLUTION)
    refused(enhance(tmp_path / "a.mrc", *model), "moved.cif")
    assert [path.name for path in tmp_path.iterdir()] == ["moved.cif"]
    status, told = enhance(tmp_path / "a.mrc", *model, "--force")
    assert status == 0
    assert "fit" in json.loads((tmp_path / "a.json").read_text())["input"], told


def test_inputs_are_recorded_as_they_were_read_and_the_configuration_with_them(
    folder, tmp_path, enhance, monkeypatch
):
    """The configuration is changed during the work; its name holds a byte that is no text."""
    from cryosamu.enhancement import map_file

    config = tmp_path / "c\udcff.yaml"
    config.write_text("enhancement: {window: 32, margin: 8}")
    digest = hashlib.sha256(config.read_bytes()).hexdigest()
    write = map_file.write_map

    def changed_meanwhile(*given):
        config.write_text("{}")
        return write(*given)

    monkeypatch.setattr(map_file, "write_map", changed_meanwhile)
    options = ("--config", config, "--no-confidence", "--report", tmp_path / "p.html")
    assert enhance(tmp_path / "a.mrc", *options)[0] == 0
    record = json.loads((tmp_path / "a.json").read_text())
    assert record["provenance"]["inputs"]["config"]["sha256"] == digest
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert digest in page
    assert "c\\udcff.yaml" in page
