"""Tokens of packed structures: resumed after a kill, the same bytes."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from simulated_toys import toys

from cryosamu.config import EmbeddingSettings
from cryosamu.embedding.encoder import load_encoder
from cryosamu.embedding.tokens import read_tokens
from cryosamu.training.simulated import embedding
from cryosamu.training.simulated.embedding import embed_structures
from cryosamu.training.simulated.library import write_library

SETTINGS = EmbeddingSettings(backend="protein_mpnn", device="cpu", pooling={"tokens": 6})
NUMBER = 7


@pytest.fixture(scope="module")
def encoder():
    torch.set_num_threads(1)
    return load_encoder(SETTINGS)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(embedding, "_PART", 3)


def counted(monkeypatch):
    """Note the structures that are embedded."""
    real, seen = embedding.embed_chains, []
    monkeypatch.setattr(
        embedding, "embed_chains", lambda name, *given: seen.append(name) or real(name, *given)
    )
    return seen


def interrupted(folder, encoder, monkeypatch, after):
    """Embed until as many structures are done, then end as a kill does; return what was seen."""
    with monkeypatch.context() as patch:
        seen = counted(patch)
        real = embedding.pool_embedding

        def pool_or_stop(*given):
            if len(seen) > after:
                raise KeyboardInterrupt
            return real(*given)

        patch.setattr(embedding, "pool_embedding", pool_or_stop)
        with pytest.raises(KeyboardInterrupt):
            embed_structures(toys(NUMBER), encoder, SETTINGS, folder / "t.safetensors")
    assert not (folder / "t.safetensors").exists()
    return seen


def test_a_call_goes_on_where_another_was_stopped(tmp_path, encoder, monkeypatch):
    whole = tmp_path / "whole.safetensors"
    assert embed_structures(toys(NUMBER), encoder, SETTINGS, whole) == 0
    assert set(read_tokens([whole])) == {f"T{number:02d}" for number in range(NUMBER)}
    interrupted(tmp_path, encoder, monkeypatch, after=4)
    assert len(list((tmp_path / "t.safetensors.parts").glob("*.safetensors"))) == 1
    seen = counted(monkeypatch)
    assert embed_structures(toys(NUMBER), encoder, SETTINGS, tmp_path / "t.safetensors") == 3
    assert seen == ["T03", "T04", "T05", "T06"]
    assert (tmp_path / "t.safetensors").read_bytes() == whole.read_bytes()
    assert not (tmp_path / "t.safetensors.parts").exists()


def test_parts_of_other_settings_or_structures_are_not_used(tmp_path, encoder, monkeypatch):
    interrupted(tmp_path, encoder, monkeypatch, after=4)
    seen = counted(monkeypatch)
    other = SETTINGS.model_copy(
        update={"pooling": SETTINGS.pooling.model_copy(update={"tokens": 5})}
    )
    assert embed_structures(toys(NUMBER), encoder, other, tmp_path / "t.safetensors") == 0
    assert len(seen) == NUMBER
    tokens, _ = read_tokens([tmp_path / "t.safetensors"])["T00"]
    assert tokens.shape[0] == 5
    interrupted(tmp_path / "b", encoder, monkeypatch, after=4)
    seen.clear()
    changed = [*toys(NUMBER)[1:], toys(NUMBER)[0]]
    assert embed_structures(changed, encoder, SETTINGS, tmp_path / "b" / "t.safetensors") == 0
    assert len(seen) == NUMBER


def test_a_killed_process_leaves_whole_parts_alone(tmp_path):
    """The command itself, killed once its first part is there, as no handler can answer."""
    library, output = tmp_path / "s.safetensors", tmp_path / "t.safetensors"
    config = tmp_path / "config.yaml"
    config.write_text("embedding: {backend: protein_mpnn, device: cpu, pooling: {tokens: 6}}\n")
    many = [one for start in range(12) for one in renamed(toys(NUMBER), start)]
    write_library(library, many, {})
    command = [sys.executable, "-m", "cryosamu.cli.main", "structures", "embed", str(library)]
    command += ["-o", str(output), "--config", str(config)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    parts = tmp_path / "t.safetensors.parts"
    ended = time.monotonic() + 60
    while not list(parts.glob("[!.]*.safetensors")) and time.monotonic() < ended:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not output.exists()
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "of 84 structures were embedded before" in again.stderr
    assert len(read_tokens([output])) == 84
    assert not parts.exists()


def renamed(structures, start):
    return [replace(one, name=f"{one.name}_{start}") for one in structures]
