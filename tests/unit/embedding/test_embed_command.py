import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from cryosamu.cli import embed as command
from cryosamu.cli.options import application
from cryosamu.embedding.tokens import read_tokens, read_tokens_header
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
def run():
    root = application()
    command.register(root)

    def invoke(*arguments):
        result = CliRunner().invoke(root, [str(argument) for argument in arguments])
        if isinstance(result.exception, CryosamuError):
            raise result.exception
        return result

    return invoke


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


def test_tokens_are_the_same_bytes_in_another_process(
    run, model_path, second_model, config, tmp_path
):
    here, there, stored = (tmp_path / f"{name}.safetensors" for name in ("a", "b", "c"))
    run(model_path, second_model, "--pooled", here, "--config", config)
    arguments = [model_path, second_model, "--pooled", there, "--config", config]
    subprocess.run([sys.executable, "-c", SCRIPT, *map(str, arguments)], check=True)
    for _ in range(2):  # from the encoder, then from the store
        options = ("--store", tmp_path / "store", "--pooled", stored, "--config", config)
        run(second_model, model_path, *options)
        assert stored.read_bytes() == here.read_bytes()
    assert there.read_bytes() == here.read_bytes()


def test_both_outputs_at_once(run, model_path, config, tmp_path):
    output, pooled = tmp_path / "out.npz", tmp_path / "tokens.safetensors"
    run(model_path, "-o", output, "--pooled", pooled, "--config", config)
    assert read_tokens([pooled]).keys() == {"5NI1_PART"}
    with np.load(output, allow_pickle=False) as file:
        assert file["Axp"].shape == (50, 128)


def test_what_makes_no_sense_is_one_sentence(run, model_path, second_model, tmp_path):
    with pytest.raises(CryosamuError, match="nowhere to write"):
        run(model_path)
    with pytest.raises(CryosamuError, match="-o takes one model, and there are 2"):
        run(model_path, second_model, "-o", tmp_path / "out.npz")
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
