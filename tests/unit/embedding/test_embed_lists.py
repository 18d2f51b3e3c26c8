"""`cryosamu embed --work`: the models of a shard."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from cryosamu.embedding import batch
from cryosamu.embedding.protein_mpnn.encoder import SHIPPED_WEIGHTS
from cryosamu.embedding.tokens import join_tokens, read_tokens, read_tokens_header
from cryosamu.errors import CryosamuError
from cryosamu.pairs import write_pairs


@pytest.fixture
def models(model_path, write_model, tmp_path):
    (tmp_path / "8TWO.pdb").write_bytes(model_path.read_bytes())
    write_model("7ONE.pdb")
    return {"7ONE": tmp_path / "7ONE.pdb", "8TWO": tmp_path / "8TWO.pdb"}


@pytest.fixture
def embed(run, tmp_path):
    """Return a function that embeds the list and returns what the command said."""
    config = tmp_path / "config.yaml"
    config.write_text("embedding:\n  backend: protein_mpnn\n  pooling: {tokens: 32}\n")

    def call(*options, config=config, pooled="tokens.safetensors"):
        places = ("--store", tmp_path / "store", "--members", tmp_path / "members")
        output = ("--pooled", tmp_path / pooled)
        return run(
            "--work", tmp_path / "0.jsonl", *places, *output, "--config", config, *options
        ).stderr

    return call


def pairs_of(models, pair_of, *names):
    return [
        pair_of(models[name], models[name], emdb_id=f"EMD-{number}", pdb_id=name)
        for number, name in enumerate(names, 1000)
    ]


def test_a_list_gives_what_a_call_with_its_models_gives(embed, run, models, pair_of, tmp_path):
    write_pairs(tmp_path, pairs_of(models, pair_of, "8TWO", "7ONE", "8TWO"), 1)
    said = embed()
    assert "embedded 8TWO (105 residues)" in said
    assert said.endswith("2 embedded, 0 kept\n")
    options = ("--pooled", tmp_path / "all.safetensors", "--config", tmp_path / "config.yaml")
    run(*models.values(), *options)
    assert (tmp_path / "tokens.safetensors").read_bytes() == (
        tmp_path / "all.safetensors"
    ).read_bytes()
    (tmp_path / "tokens.safetensors").unlink()
    assert embed(pooled="again.safetensors", config=tmp_path / "config.yaml") == (
        "0 embedded, 2 kept\n"
    )
    assert (tmp_path / "again.safetensors").read_bytes() == (
        tmp_path / "all.safetensors"
    ).read_bytes()


def test_only_new_models_are_embedded_and_other_pooling_encodes_nothing(
    embed, models, pair_of, tmp_path
):
    write_pairs(tmp_path, pairs_of(models, pair_of, "7ONE"), 1)
    embed()
    write_pairs(tmp_path, pairs_of(models, pair_of, "7ONE", "8TWO"), 1)
    assert embed("--workers", 2).endswith("1 embedded, 1 kept\n")
    other = tmp_path / "other.yaml"
    other.write_text("embedding:\n  backend: protein_mpnn\n  pooling: {tokens: 8}\n")
    said = embed(config=other)
    assert said.count("found in the store") == 2
    assert read_tokens([tmp_path / "tokens.safetensors"])["7ONE"][0].shape == (8, 128)


def test_a_model_that_fails_is_named_and_the_others_are_kept(
    embed, models, pair_of, tmp_path, write_model
):
    models["6BAD"] = write_model("6BAD.pdb", atoms=("CA",))
    write_pairs(tmp_path, pairs_of(models, pair_of, "6BAD", "7ONE"), 1)
    with pytest.raises(CryosamuError, match=r"6BAD could not be embedded: .*no chain has a resid"):
        embed()
    assert not (tmp_path / "tokens.safetensors").exists()
    write_pairs(tmp_path, pairs_of(models, pair_of, "7ONE"), 1)
    assert embed() == "0 embedded, 1 kept\n"


def test_files_of_no_model_are_passed_over(embed, models, pair_of, tmp_path):
    write_pairs(tmp_path, pairs_of(models, pair_of, "7ONE"), 1)
    embed()
    write_pairs(tmp_path, [], 1)
    empty, full = tmp_path / "empty.safetensors", tmp_path / "tokens.safetensors"
    assert embed(pooled=empty.name) == "0 embedded, 0 kept\n"
    assert read_tokens_header([empty, full]) == read_tokens_header([full])
    assert read_tokens([empty, full]).keys() == {"7ONE"}
    with pytest.raises(CryosamuError, match="there is no file of structure tokens"):
        read_tokens([empty])


def test_joined_files_must_be_made_in_one_way(embed, models, pair_of, tmp_path):
    write_pairs(tmp_path, pairs_of(models, pair_of, "7ONE"), 1)
    embed()
    other = tmp_path / "other.yaml"
    other.write_text("embedding:\n  backend: protein_mpnn\n  pooling: {tokens: 8}\n")
    embed(config=other, pooled="b.safetensors")
    parts: list[Path] = [tmp_path / "tokens.safetensors", tmp_path / "b.safetensors"]
    with pytest.raises(CryosamuError, match="another encoder or pooling"):
        join_tokens(tmp_path / "joined.safetensors", parts)
    assert torch.equal(*(read_tokens([part])["7ONE"][1][:1] for part in parts))


def test_a_list_and_models_are_not_given_together(embed, models, pair_of, tmp_path):
    write_pairs(tmp_path, pairs_of(models, pair_of, "7ONE"), 1)
    with pytest.raises(CryosamuError, match=r"--work names the models: leave out .*7ONE"):
        embed(models["7ONE"])


def test_other_weights_than_those_of_the_backend_make_tokens_again(
    embed, models, pair_of, tmp_path, monkeypatch
):
    write_pairs(tmp_path, pairs_of(models, pair_of, "7ONE"), 1)
    assert embed().endswith("1 embedded, 0 kept\n")
    assert embed() == "0 embedded, 1 kept\n"
    weights = load_file(SHIPPED_WEIGHTS)
    other = {name: 1.01 * tensor for name, tensor in weights.items()}
    save_file(other, tmp_path / "other.safetensors")
    place = "cryosamu.embedding.protein_mpnn.encoder.SHIPPED_WEIGHTS"
    monkeypatch.setattr(place, tmp_path / "other.safetensors")
    batch._encoder.cache_clear()
    assert embed().endswith("1 embedded, 0 kept\n")
    batch._encoder.cache_clear()
