import argparse
import os
import pickle
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cryosamu.embedding.esm_if1 import weights
from cryosamu.embedding.esm_if1.encoder import EsmIf1
from cryosamu.embedding.esm_if1.weights import ESM_IF1, PublishedCheckpoint, load_network
from cryosamu.errors import CheckpointError, CryosamuError
from cryosamu.files import sha256_of


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("CRYOSAMU_CACHE", str(folder))
    return folder / "esm_if1"


@pytest.fixture
def nobody_answers():
    return PublishedCheckpoint("http://127.0.0.1:9/esm_if1.pt", 1_700_450_121, "be4b" * 16)


def old_name(name):
    """A tensor's name as fairseq wrote it, undone from fair-esm's `update_name`."""
    for new, old in (
        ("embed_graph.embed_node", "W_v"),
        ("embed_graph.embed_edge", "W_e"),
        ("embed_graph.embed_confidence.", "embed_score."),
        ("embed_confidence", "embed_scores.0"),
        ("embed_dihedrals", "embed_ingraham_features"),
        ("embed_gvp_output", "embed_gvp_in_local_frame.0"),
        ("embed_gvp_input_features", "embed_features_in_local_frame.0"),
    ):
        name = name.replace(new, old)
    return f"encoder.{name}"


@pytest.fixture
def write_checkpoint(tmp_path, tiny_network, tiny_arguments):
    def write(name="checkpoint.pt", legacy=False, **changes):
        state = {old_name(key): value for key, value in tiny_network.state_dict().items()}
        state["encoder.version"] = torch.tensor([3.0])
        state["decoder.embed_tokens.weight"] = torch.zeros(35, 32)
        namespace = argparse.Namespace(**tiny_arguments, save_dir="/somewhere", lr=[0.1])
        content = {
            "args": namespace,
            "model": state,
            "optimizer_history": [{"num_updates": 5}],
            "last_optimizer_state": {"state": {0: {"exp_avg": torch.zeros(4)}}},
            "extra_state": {"epoch": 3},
            **changes,
        }
        path = tmp_path / name
        torch.save(content, path, _use_new_zipfile_serialization=not legacy)
        return path

    return write


@pytest.mark.parametrize("legacy", [False, True])
def test_a_fairseq_checkpoint_gives_the_same_encoder(
    write_checkpoint, tiny_network, cache, chains, legacy
):
    path = write_checkpoint(legacy=legacy)
    network, fingerprint = load_network(str(path))
    assert fingerprint == sha256_of(path)
    assert not network.training
    for name, tensor in tiny_network.state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor)
    converted = cache / f"{fingerprint}.safetensors"
    assert converted.stat().st_size < path.stat().st_size
    encoder = EsmIf1.load(str(converted), torch.device("cpu"))
    assert encoder.fingerprint == fingerprint
    assert encoder.width == 32
    assert np.isfinite(encoder.encode(chains)[0]).all()


def test_it_is_converted_once_into_the_same_bytes(write_checkpoint, cache, monkeypatch):
    path = write_checkpoint()
    load_network(str(path))
    (converted,) = cache.glob("*.safetensors")
    content = converted.read_bytes()
    converted.unlink()
    load_network(str(path))
    assert converted.read_bytes() == content
    monkeypatch.setattr(weights, "convert", None)
    load_network(str(path))


class RunsCode:
    def __reduce__(self):
        return os.mkdir, (self.target,)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_checkpoint_that_runs_code_is_refused(write_checkpoint, tmp_path, legacy, cache):
    bomb = RunsCode()
    bomb.target = str(tmp_path / "made_by_pickle")
    path = write_checkpoint("evil.pt", legacy=legacy, extra_state=bomb)
    with pytest.raises(
        CheckpointError, match=r"evil\.pt: holds more than tensors .* nothing of it"
    ):
        load_network(str(path))
    assert not (tmp_path / "made_by_pickle").exists()
    assert not cache.exists() or not list(cache.glob("*.safetensors"))
    with open(path, "rb") as file:
        raw = file.read() if legacy else zipfile.ZipFile(file).read("evil/data.pkl")
    assert b"mkdir" in raw


def test_a_plain_pickle_is_refused(tmp_path):
    path = tmp_path / "plain.pt"
    path.write_bytes(pickle.dumps({"args": 1}, protocol=4))
    with pytest.raises(CheckpointError, match=r"plain\.pt"):
        load_network(str(path))


def test_other_contents_are_refused(write_checkpoint, tmp_path):
    torch.save({"weights": torch.zeros(3)}, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match=r"other\.pt: is not a checkpoint of ESM-IF1"):
        load_network(str(tmp_path / "other.pt"))
    torch.save(torch.zeros(3), tmp_path / "tensor.pt")
    with pytest.raises(CheckpointError, match="is not a checkpoint of ESM-IF1"):
        load_network(str(tmp_path / "tensor.pt"))
    half = tmp_path / "half.pt"
    half.write_bytes(write_checkpoint().read_bytes()[:5000])
    with pytest.raises(CheckpointError, match=r"half\.pt"):
        load_network(str(half))
    (tmp_path / "empty.pt").touch()
    with pytest.raises(CheckpointError, match=r"empty\.pt"):
        load_network(str(tmp_path / "empty.pt"))
    with pytest.raises(CryosamuError, match="does not exist"):
        load_network(str(tmp_path / "none.pt"))
    lacking = write_checkpoint("lacking.pt", model={"encoder.layer_norm.weight": torch.zeros(32)})
    with pytest.raises(CheckpointError, match="does not hold ESM-IF1's encoder"):
        load_network(str(lacking))


def test_a_damaged_converted_file_is_refused(tmp_path):
    (tmp_path / "bad.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}      ")
    with pytest.raises(CheckpointError, match=r"bad\.safetensors: does not hold"):
        load_network(str(tmp_path / "bad.safetensors"))


def test_without_weights_and_network_one_sentence_says_all(nobody_answers, cache):
    with pytest.raises(CryosamuError) as caught:
        load_network(None, published=nobody_answers)
    sentence = str(caught.value)
    assert "http://127.0.0.1:9/esm_if1.pt" in sentence
    assert "1,700,450,121 bytes" in sentence
    assert str(cache / "esm_if1.pt") in sentence
    assert "--backend protein_mpnn, which works offline" in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


def test_a_checkpoint_put_into_the_cache_by_hand_is_used(write_checkpoint, cache):
    path = write_checkpoint()
    cache.mkdir(parents=True)
    path.rename(cache / "esm_if1.pt")
    source = cache / "esm_if1.pt"
    published = PublishedCheckpoint(
        "http://127.0.0.1:9/esm_if1.pt", source.stat().st_size, sha256_of(source)
    )
    assert load_network(None, published=published)[1] == published.sha256
    source.unlink()
    assert load_network(None, published=published)[1] == published.sha256


def test_a_wrong_file_in_the_cache_is_named(nobody_answers, cache):
    cache.mkdir(parents=True)
    (cache / "esm_if1.pt").write_bytes(b"something else")
    with pytest.raises(CheckpointError, match=r"esm_if1\.pt: has SHA-256 .* delete it"):
        load_network(None, published=nobody_answers)


def test_the_cache_has_a_place_of_its_own(monkeypatch, tmp_path):
    assert weights.cache_folder() == tmp_path / "cache"
    assert weights.cache_folder(str(tmp_path / "chosen")) == tmp_path / "chosen"
    monkeypatch.delenv("CRYOSAMU_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert weights.cache_folder() == tmp_path / "xdg" / "cryosamu"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert weights.cache_folder() == Path.home() / ".cache" / "cryosamu"


def test_a_chosen_cache_is_used_and_needs_no_network(write_checkpoint, tmp_path):
    chosen = tmp_path / "chosen"
    _, fingerprint = load_network(str(write_checkpoint()), str(chosen))
    published = replace(ESM_IF1, sha256=fingerprint)
    assert load_network(None, str(chosen), published)[1] == fingerprint


def test_other_weights_under_the_published_ones_name_are_refused(write_checkpoint, tmp_path):
    _, fingerprint = load_network(str(write_checkpoint()), str(tmp_path))
    converted = tmp_path / "esm_if1" / f"{fingerprint}.safetensors"
    converted.rename(converted.with_name(f"{ESM_IF1.sha256}.safetensors"))
    with pytest.raises(CheckpointError, match="holds the encoder of other weights"):
        load_network(None, str(tmp_path))


def test_those_who_come_at_once_convert_it_once(write_checkpoint, monkeypatch):
    path, calls, convert = write_checkpoint(), [], weights.convert

    def counted(*arguments):
        calls.append(arguments)
        convert(*arguments)

    monkeypatch.setattr(weights, "convert", counted)
    threads = [threading.Thread(target=load_network, args=(str(path),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
