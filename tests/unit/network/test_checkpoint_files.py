import json
import os
import pickle
import struct
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cryosamu.config import (
    EmbeddingSettings,
    NetworkSettings,
    PoolingSettings,
    PreparationSettings,
    TargetSettings,
)
from cryosamu.errors import CheckpointError, CryosamuError
from cryosamu.network import build_network
from cryosamu.network.checkpoint import (
    CheckpointHeader,
    Configuration,
    TrainingSummary,
    load_checkpoint,
    read_header,
    require_configuration,
    save_checkpoint,
)

SETTINGS = NetworkSettings(name="compact", base_channels=4, multipliers=(1, 2), dropout=0.1)
HEADER = CheckpointHeader(
    network=SETTINGS,
    embedding_width=8,
    embedding=EmbeddingSettings(backend="protein_mpnn"),
    weights_fingerprint="ab12",
    preparation=PreparationSettings(voxel_size=1.5),
    training=TrainingSummary(
        steps=10,
        best_step=5,
        data_digest="cd34",
        training_pairs=("EMD-1", "EMD-2"),
        lineage=({"checkpoint": "ef56", "steps": 3, "training_pairs": 1},),
        metrics={"loss": 0.125},
    ),
    provenance={"software": {"torch": "2"}, "seed": 1},
    notes=("Trained on simulated maps.",),
)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build_network(SETTINGS, 8)


@pytest.fixture
def path(tmp_path, network):
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, network, HEADER)
    return path


def refusal(path):
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    sentence = str(caught.value)
    assert sentence.startswith(str(path))
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


def rewritten(path, change):
    """Give the file at `path` another header."""
    tensors = safetensors.torch.load_file(path)
    with safetensors.safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["cryosamu"])
    change(header)
    safetensors.torch.save_file(tensors, path, {"cryosamu": json.dumps(header)})


def test_a_checkpoint_comes_back_as_it_was(path, network):
    loaded, header = load_checkpoint(path)
    assert header == HEADER
    assert not loaded.training
    density, tokens = torch.rand(1, 1, 8, 8, 8), torch.randn(1, 3, 8)
    for parameter, wanted in zip(loaded.parameters(), network.parameters(), strict=True):
        assert torch.equal(parameter, wanted)
        assert parameter.requires_grad
    assert torch.equal(loaded(density, tokens), network.eval()(density, tokens))


def test_the_header_is_read_alone(path):
    assert read_header(path) == HEADER


def test_the_same_checkpoint_has_the_same_bytes(path, network, tmp_path):
    for number in range(5):
        again = tmp_path / f"{number}.safetensors"
        save_checkpoint(again, network, HEADER)
        assert again.read_bytes() == path.read_bytes()


def test_other_tools_read_the_weights(path, network):
    tensors = safetensors.torch.load_file(path)
    assert tensors.keys() == network.state_dict().keys()


def test_loading_does_not_touch_the_random_numbers(path):
    state = torch.get_rng_state()
    load_checkpoint(path)
    assert torch.equal(torch.get_rng_state(), state)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_file_cut_anywhere_is_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("cut") / "checkpoint.safetensors"
    save_checkpoint(path, build_network(SETTINGS, 8), HEADER)
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    refusal(path)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("noise") / "checkpoint.safetensors"
    path.write_bytes(content)
    refusal(path)


def test_a_pickle_is_refused_and_its_code_not_run(tmp_path):
    marker = tmp_path / "ran"

    class Malicious:
        def __reduce__(self):
            return os.mkdir, (str(marker),)

    for protocol in (2, 4, 5):
        path = tmp_path / f"{protocol}.safetensors"
        path.write_bytes(pickle.dumps(Malicious(), protocol=protocol))
        assert "is a pickle, which can run code" in refusal(path)
    path = tmp_path / "checkpoint.pt"
    torch.save({"weights": Malicious()}, path)
    assert "is a pickle, which can run code" in refusal(path)
    assert not marker.exists()


def test_a_missing_file_and_a_folder_are_said(tmp_path):
    with pytest.raises(CryosamuError, match="this checkpoint does not exist"):
        load_checkpoint(tmp_path / "none.safetensors")
    with pytest.raises(CryosamuError, match="is a folder"):
        load_checkpoint(tmp_path)


def test_a_safetensors_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    for metadata in (None, {"format": "pt"}):
        safetensors.torch.save_file({"a": torch.zeros(2)}, path, metadata)
        assert "without the header of a CryoSAMU checkpoint" in refusal(path)
    safetensors.torch.save_file({"a": torch.zeros(2)}, path, {"cryosamu": "[]"})
    assert "header is not understood" in refusal(path)


def test_a_later_format_is_refused(path):
    rewritten(path, lambda header: header.update(format=2))
    assert "not a checkpoint of format 1" in refusal(path)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            lambda h: h["network"].update(base_channels=8),
            "float32 [8] and should be float32 [16]",
        ),
        (
            lambda h: h["network"].update(multipliers=[1, 2, 2]),
            "'decoders.1.blocks.0.first.bias' is missing",
        ),
        (
            lambda h: h["network"].update(name="reference"),
            "'bottleneck.blocks.0.first.bias' is unknown",
        ),
        (lambda h: h.update(embedding_width=9), "'structure.key.weight' is float32 [8, 8]"),
        (lambda h: h["network"].update(base_channels=-1), "'network.base_channels'"),
        (lambda h: h["network"].update(colour="red"), "'network.colour'"),
        (lambda h: h.pop("preparation"), "'preparation'"),
        (lambda h: h["network"].update(multipliers=[1]), "describes no network"),
        (lambda h: h["network"].update(multipliers=[1, 10**9]), "describes no network"),
    ],
)
def test_weights_that_do_not_fit_the_header_are_refused_with_the_difference(path, change, named):
    rewritten(path, change)
    assert named in refusal(path)


def test_a_huge_network_in_the_header_allocates_nothing(path):
    rewritten(path, lambda header: header["network"].update(multipliers=[1, 10**6]))
    assert "should be" in refusal(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(tmp_path, network, value):
    path = tmp_path / "checkpoint.safetensors"
    with torch.no_grad():
        network.entry.weight[0, 0, 0, 0, 0] = value
    save_checkpoint(path, network, HEADER)
    assert "'entry.weight' holds NaN or infinite values" in refusal(path)


def test_a_header_length_beyond_the_file_is_refused(path):
    content = path.read_bytes()
    path.write_bytes(struct.pack("<Q", 2**62) + content[8:])
    assert "cut short, damaged or not a safetensors file" in refusal(path)


def test_a_checkpoint_of_another_configuration_is_refused_with_the_difference(path):
    same = Configuration(SETTINGS, 8, HEADER.embedding, "ab12", HEADER.preparation)
    require_configuration(path, HEADER, same)
    elsewhere = HEADER.embedding.model_copy(update={"device": "cuda", "cache": "/elsewhere"})
    require_configuration(path, HEADER, replace(same, embedding=elsewhere))
    wanted = Configuration(
        NetworkSettings(name="compact", base_channels=12, multipliers=(1, 2), dropout=0.1),
        16,
        EmbeddingSettings(backend="protein_mpnn", pooling=PoolingSettings(tokens=7)),
        "cd34",
        PreparationSettings(voxel_size=1.5, target=TargetSettings(sigma_rule="eman")),
    )
    with pytest.raises(CheckpointError) as caught:
        require_configuration(path, HEADER, wanted)
    prefix, _, differences = str(caught.value).partition("configuration: ")
    assert prefix == f"{path}: belongs to another "
    assert differences.removesuffix(".").split("; ") == [
        "embedding_width is 8 in the checkpoint and 16 in the configuration",
        "weights_fingerprint is ab12 in the checkpoint and cd34 in the configuration",
        "network.base_channels is 4 in the checkpoint and 12 in the configuration",
        "embedding.pooling.tokens is 256 in the checkpoint and 7 in the configuration",
        "preparation.target.sigma_rule is cryoten in the checkpoint and eman in the configuration",
    ]


def test_nothing_is_left_when_writing_fails(tmp_path, network):
    broken = replace(HEADER, provenance={"seed": object()})
    with pytest.raises(Exception, match="serialize"):
        save_checkpoint(tmp_path / "checkpoint.safetensors", network, broken)
    assert list(tmp_path.iterdir()) == []


def test_checkpoints_of_before_are_read_as_not_telling_what_they_lack(path):
    def without(header):
        del header["training"]["computed_on"], header["training"]["structures"]

    rewritten(path, without)
    header = read_header(path)
    assert header.training.computed_on == ()
    assert header.training.structures == {}
