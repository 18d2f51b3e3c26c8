import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cryosamu.embedding.store import EmbeddingStore
from cryosamu.embedding.tokens import read_tokens, read_tokens_header
from cryosamu.embedding.verify import StoreReport, verify_store
from cryosamu.errors import CryosamuError

SCRIPT = """
import typer
from cryosamu.cli import embed
from cryosamu.cli.options import application
root = application()
embed.register(root)
root()
"""


@pytest.fixture
def second_model(model_path, tmp_path):
    path = tmp_path / "other.pdb"
    lines = model_path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if line[21:22] != "B"))
    return path


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("embedding:\n  backend: protein_mpnn\n  pooling: {tokens: 32}\n")
    return path


def test_one_model(run, model_path, tmp_path, members_and_metadata):
    output = tmp_path / "out.npz"
    result = run(model_path, "-o", output, "--backend", "protein_mpnn", "--mode", "complex")
    assert result.exit_code == 0
    assert result.stderr == "embedded 5NI1_PART (105 residues)\n"
    names, metadata = members_and_metadata(output)
    assert {"Axp", "Bxp"} < set(names)
    assert metadata["options"] == {"mode": "complex", "precision": "float32", "copies": "once"}


def test_many_models_by_the_store(run, model_path, second_model, config, tmp_path):
    pooled = tmp_path / "tokens.safetensors"
    options = ("--store", tmp_path / "store", "--pooled", pooled, "--config", config)
    result = run(model_path, *options)
    assert result.stderr == "embedded 5NI1_PART (105 residues)\n"
    result = run(model_path, second_model, *options)
    assert result.stderr == "5NI1_PART is in the store\nembedded OTHER (50 residues)\n"
    tokens = read_tokens([pooled])
    assert {name: rows.shape for name, (rows, _) in tokens.items()} == {
        "5NI1_PART": (32, 128),
        "OTHER": (32, 128),
    }
    header = read_tokens_header([pooled])
    assert header.backend == "protein_mpnn"
    assert header.pooling == {
        "tokens": 32,
        "importance": "column_mean",
        "scaled": True,
        "renormalised": True,
    }


def test_tokens_are_the_same_bytes_from_the_encoder_and_from_the_store(
    run, model_path, second_model, config, tmp_path
):
    here, stored = (tmp_path / f"{name}.safetensors" for name in ("a", "b"))
    run(model_path, second_model, "--pooled", here, "--config", config)
    for _ in range(2):
        options = ("--store", tmp_path / "store", "--pooled", stored, "--config", config)
        run(second_model, model_path, *options)
        assert stored.read_bytes() == here.read_bytes()


def test_both_outputs_at_once(run, model_path, config, tmp_path):
    output, pooled = tmp_path / "out.npz", tmp_path / "tokens.safetensors"
    run(model_path, "-o", output, "--pooled", pooled, "--config", config)
    assert read_tokens([pooled]).keys() == {"5NI1_PART"}
    with np.load(output, allow_pickle=False) as file:
        assert file["Axp"].shape == (50, 128)


def test_the_store_alone_is_enough(run, model_path, second_model, config, tmp_path):
    options = ("--store", tmp_path / "store", "--config", config)
    assert run(model_path, second_model, *options).exit_code == 0
    assert len(list((tmp_path / "store").rglob("*.npz"))) == 2


def test_a_touched_structure_is_found_and_a_changed_one_embedded_again(
    run, model_path, config, tmp_path
):
    path = tmp_path / "model.pdb"
    path.write_bytes(model_path.read_bytes())
    options = (path, "--store", tmp_path / "store", "--config", config)
    assert run(*options).stderr.startswith("embedded MODEL")
    os.utime(path, (1, 1))
    path.write_text("REMARK   1 a remark\n" + path.read_text())
    assert run(*options).stderr == "MODEL is in the store\n"
    lines = path.read_text().splitlines(keepends=True)
    first = next(number for number, line in enumerate(lines) if line.startswith("ATOM"))
    x = float(lines[first][30:38])
    lines[first] = f"{lines[first][:30]}{x + 0.001:8.3f}{lines[first][38:]}"
    path.write_text("".join(lines))
    assert run(*options).stderr.startswith("embedded MODEL")


def test_the_number_of_workers_changes_nothing(run, model_path, second_model, config, tmp_path):
    models = [model_path, second_model]
    for letter in "xy":
        models.append(tmp_path / f"{letter}.pdb")
        models[-1].write_bytes(model_path.read_bytes().replace(b" A ", f" {letter} ".encode()))
    contents = []
    for workers in (1, 2):
        pooled = tmp_path / f"{workers}.safetensors"
        options = ("--pooled", pooled, "--config", config, "--workers", workers)
        result = run(*models, *options, "--store", tmp_path / f"store{workers}")
        assert result.exit_code == 0
        contents.append(pooled.read_bytes())
        named = [line.split()[1] for line in result.stderr.splitlines() if "embedded" in line]
        # Three files hold one structure: which of two workers is the first to know it is chance.
        assert [name for name in ("5NI1_PART", "OTHER", "X", "Y") if name in named] == named
        assert "OTHER" in named
        assert set(named) & {"5NI1_PART", "X", "Y"}
        assert workers == 2 or named == ["5NI1_PART", "OTHER"]
    assert contents[0] == contents[1]
    stores = [
        {path.name: path.read_bytes() for path in (tmp_path / f"store{n}").rglob("*.npz")}
        for n in (1, 2)
    ]
    assert stores[0] == stores[1]


def test_a_fault_in_a_worker_is_one_sentence(run, model_path, write_model, config, tmp_path):
    trace = write_model("trace.pdb", atoms=("CA",))
    options = ("--pooled", tmp_path / "t.safetensors", "--config", config, "--workers", 2)
    with pytest.raises(CryosamuError, match=r"trace\.pdb: no chain has a residue with"):
        run(trace, model_path, *options)
    assert not (tmp_path / "t.safetensors").exists()


def test_an_interrupt_reaches_the_command_and_not_its_workers(model_path, config, tmp_path):
    models = [tmp_path / f"copy{number}.pdb" for number in range(6)]
    for path in models:
        path.write_bytes(model_path.read_bytes())
    output = tmp_path / "t.safetensors"
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *models, "--pooled", output, "--config", config,
         "--workers", "2"],
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + 60
    # The tracker of multiprocessing's resources is a child, too.
    while len(children.read_text().split()) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert not output.exists()


def test_processes_that_share_a_store_agree(run, model_path, second_model, config, tmp_path):
    store = tmp_path / "store"
    outputs = [tmp_path / f"{number}.safetensors" for number in range(2)]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, model_path, second_model, "--store", store,
             "--pooled", output, "--config", config]
        )
        for output in outputs
    ]  # fmt: skip
    assert [process.wait() for process in running] == [0, 0]
    here = tmp_path / "here.safetensors"
    run(model_path, second_model, "--pooled", here, "--config", config)
    assert {output.read_bytes() for output in outputs} == {here.read_bytes()}
    assert verify_store(EmbeddingStore(store)) == StoreReport(2, 0, ())


def test_what_makes_no_sense_is_one_sentence(run, model_path, second_model, tmp_path):
    with pytest.raises(CryosamuError, match="nowhere to write"):
        run(model_path)
    with pytest.raises(CryosamuError, match="there is no model to embed"):
        run("--pooled", tmp_path / "t.safetensors")
    with pytest.raises(CryosamuError, match="-o takes one model, and there are 2"):
        run(model_path, second_model, "-o", tmp_path / "out.npz")
    for option, name in (("-o", "out.safetensors"), ("--pooled", "out.npz")):
        with pytest.raises(CryosamuError, match=f"{name}: would hold another format"):
            run(model_path, option, tmp_path / name)
    with pytest.raises(CryosamuError, match="goes by the same name, OTHER, as"):
        run(second_model, second_model.with_suffix(".cif"), "--pooled", tmp_path / "t.safetensors")


def test_a_refused_model_leaves_no_output(run, write_model, model_path, config, tmp_path):
    pooled = tmp_path / "tokens.safetensors"
    trace = write_model("trace.pdb", atoms=("CA",))
    options = ("--store", tmp_path / "store", "--pooled", pooled, "--config", config)
    with pytest.raises(CryosamuError, match=r"trace\.pdb"):
        run(model_path, trace, *options)
    assert not pooled.exists()
    # What was embedded before is kept.
    assert run(model_path, *options).stderr == "5NI1_PART is in the store\n"


def test_configured_weights_do_not_follow_to_another_backend(run, model_path, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("embedding: {backend: esm_if1, weights: /nowhere/esm_if1.pt}\n")
    options = ("-o", tmp_path / "out.npz", "--config", config)
    with pytest.raises(CryosamuError, match=r"/nowhere/esm_if1\.pt"):
        run(model_path, *options)
    assert run(model_path, *options, "--backend", "protein_mpnn").exit_code == 0


def test_importing_the_command_is_light():
    script = "import sys, cryosamu.cli.embed; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    assert found.stdout == b"False\n"
