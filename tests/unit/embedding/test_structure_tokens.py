import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from cryosamu.config import PoolingSettings
from cryosamu.embedding.pooling import pool
from cryosamu.embedding.tokens import TokensHeader, read_tokens, read_tokens_header, write_tokens
from cryosamu.errors import CryosamuError

HEADER = TokensHeader(
    backend="protein_mpnn",
    fingerprint="f" * 64,
    width=6,
    mode="per_chain",
    precision="float32",
    copies="once",
    pooling={"tokens": 4, "scaled": True},
)


@pytest.fixture
def pooled():
    random = torch.Generator().manual_seed(0)
    return {
        name: pool(
            [torch.randn(length, 6, generator=random)],
            [torch.ones(length, dtype=torch.bool)],
            PoolingSettings(tokens=4),
        )
        for name, length in (("5NI1", 9), ("6VYB", 3))
    }


def test_tokens_come_back_as_they_were(tmp_path, pooled):
    write_tokens(tmp_path / "one.safetensors", {"5NI1": pooled["5NI1"]}, HEADER)
    write_tokens(tmp_path / "two.safetensors", {"6VYB": pooled["6VYB"]}, HEADER)
    paths = [tmp_path / "one.safetensors", tmp_path / "two.safetensors"]
    tokens = read_tokens(iter(paths))
    assert tokens.keys() == {"5NI1", "6VYB"}
    for name, (rows, mask) in tokens.items():
        assert torch.equal(rows, pooled[name].tokens)
        assert rows.dtype == torch.float32
        assert torch.equal(mask, pooled[name].mask)
    assert tokens["6VYB"][1].tolist() == [True, True, True, False]
    assert read_tokens_header(paths) == HEADER


def test_token_files_are_the_same_bytes_in_any_order(tmp_path, pooled):
    paths = [tmp_path / f"{number}.safetensors" for number in range(5)]
    for number, path in enumerate(paths):
        order = sorted(pooled, reverse=bool(number % 2))
        write_tokens(path, {name: pooled[name] for name in order}, HEADER)
    assert len({path.read_bytes() for path in paths}) == 1


def test_tokens_are_plain_safetensors_with_entropies(tmp_path, pooled):
    path = tmp_path / "tokens.safetensors"
    write_tokens(path, pooled, HEADER, {"6VYB": ["C"]})
    assert load_file(path).keys() == {"5NI1/tokens", "5NI1/mask", "6VYB/tokens", "6VYB/mask"}
    with safe_open(path, framework="np") as file:
        metadata = file.metadata()["cryosamu"]
    models = json.loads(metadata)["models"]
    assert models["6VYB"]["chains_refused"] == ["C"]
    entropy = round(float(pooled["5NI1"].residue_entropy), 6)
    assert models["5NI1"] == {
        "chains": 1,
        "chains_refused": [],
        "chain_entropy": 0.0,
        "residues": 9,
        "residue_entropy": entropy,
    }
    assert 1 < entropy < np.log(9)


def test_files_made_in_different_ways_are_not_mixed(tmp_path, pooled):
    write_tokens(tmp_path / "one.safetensors", pooled, HEADER)
    other = dataclasses.replace(HEADER, mode="complex")
    write_tokens(tmp_path / "two.safetensors", pooled, other)
    paths = [tmp_path / "one.safetensors", tmp_path / "two.safetensors"]
    with pytest.raises(CryosamuError, match=r"two\.safetensors: .* than those of .*one"):
        read_tokens(paths)


def test_other_files_are_not_tokens(tmp_path):
    save_file({"x": np.zeros(3)}, tmp_path / "other.safetensors")
    (tmp_path / "text.safetensors").write_text("text")
    for name in ("other", "text"):
        with pytest.raises(CryosamuError, match=f"{name}.safetensors: is not a file of structure"):
            read_tokens([tmp_path / f"{name}.safetensors"])
    with pytest.raises(CryosamuError, match="does not exist"):
        read_tokens([tmp_path / "none.safetensors"])
    with pytest.raises(CryosamuError, match="there is no file of structure tokens"):
        read_tokens([])
