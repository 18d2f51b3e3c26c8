"""Structure that is wrong on purpose."""

import json

import numpy as np
import pytest
import torch
from small_networks import header_of, random_network

from cryosamu.cli.main import main
from cryosamu.config import EmbeddingSettings, EnhancementSettings
from cryosamu.embedding.encoder import load_encoder
from cryosamu.embedding.pooling import Pooled
from cryosamu.enhancement.conditions import UNRELATED, another, permuted
from cryosamu.enhancement.trial import trial_of
from cryosamu.network.checkpoint import save_checkpoint
from cryosamu.pairs import write_pairs
from cryosamu.structure.model import read_model
from cryosamu.tables import CONTROLS, read_table
from cryosamu.volume.io import read_map, write_map
from cryosamu.volume.volume import Volume


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A helix with its map, and a checkpoint of random weights that reads the structure."""
    folder = tmp_path_factory.mktemp("conditions")
    lines, places = [], []
    for number in range(14):
        for name, radius, angle, rise in (
            ("N", 1.55, -27, -0.9), ("CA", 2.28, 0, 0), ("C", 1.66, 27, 1.1), ("O", 2.0, 23, 2.3),
        ):  # fmt: skip
            turn = np.radians(100 * number + angle)
            x, y, z = (
                16 + radius * np.cos(turn),
                16 + radius * np.sin(turn),
                5 + 1.5 * number + rise,
            )
            places.append((x, y, z))
            lines.append(
                f"ATOM  {len(lines) + 1:5d}  {name:<3} ALA A{number + 1:4d}    "
                f"{x:8.3f}{y:8.3f}{z:8.3f}  1.00 30.00           {name[0]}"
            )
    (folder / "model.pdb").write_text("\n".join([*lines, "END", ""]))
    z, y, x = np.indices((32, 32, 32))
    data = sum(np.exp(-((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) / 4) for a, b, c in places)
    noise = 0.05 * np.random.default_rng(0).standard_normal(data.shape)
    volume = Volume((data + noise).astype(np.float32), (1.0, 1.0, 1.0))
    write_map(folder / "map.mrc", volume, "a helix")
    encoder = load_encoder(EmbeddingSettings(backend="protein_mpnn", device="cpu"))
    header = header_of(fingerprint=encoder.fingerprint)
    save_checkpoint(folder / "net.safetensors", random_network(), header)
    return folder


def pooled(real=20, length=24, width=16):
    tokens = torch.zeros(length, width)
    tokens[:real] = torch.randn(real, width, generator=torch.Generator().manual_seed(3))
    tokens[:real] -= tokens[:real].mean(dim=1, keepdim=True)
    tokens[:real] /= tokens[:real].std(dim=1, keepdim=True, correction=0)
    mask = torch.arange(length) < real
    empty = torch.zeros(0)
    return Pooled(tokens, mask, empty, empty, empty, torch.tensor(real))


def test_shuffling_takes_each_feature_from_its_residue():
    given = pooled()
    mixed = permuted(given)
    assert torch.equal(mixed.mask, given.mask)
    assert not mixed.tokens[20:].any()
    rows = mixed.tokens[:20]
    torch.testing.assert_close(rows.mean(dim=1), torch.zeros(20), atol=1e-6, rtol=0)
    torch.testing.assert_close(rows.std(dim=1, correction=0), torch.ones(20))
    # No row is one of the old ones in another place.
    likeness = rows @ given.tokens[:20].T / 16
    assert likeness.max() < 0.9
    assert torch.equal(permuted(given).tokens, mixed.tokens)
    assert torch.equal(given.tokens, pooled().tokens)


def test_the_order_of_whole_tokens_is_no_control(folder):
    """Why features are shuffled and not tokens: cross-attention does not see the order."""
    network = random_network()
    tokens = torch.randn(1, 12, 128)
    density = torch.rand(1, 1, 16, 16, 16)
    turned = tokens[:, torch.randperm(12)]
    with torch.inference_mode():
        torch.testing.assert_close(network(density, tokens), network(density, turned))
        assert not torch.allclose(network(density, tokens), network(density, -tokens), atol=1e-4)


def test_another_protein_needs_no_file_and_is_never_the_maps_own(folder):
    settings = EmbeddingSettings(backend="protein_mpnn", device="cpu")
    header = header_of(fingerprint=load_encoder(settings).fingerprint)
    usual = another(header, settings, folder / "model.pdb")
    assert int(usual.mask.sum()) == 64
    assert torch.equal(another(header, settings).tokens, usual.tokens)
    for_itself = another(header, settings, UNRELATED[0])
    assert not torch.equal(for_itself.tokens, usual.tokens)


def run(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["cryosamu", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_the_command_makes_each_condition(folder, tmp_path, monkeypatch, capsys):
    made = {}
    for name, options in {
        "true": ["--model", folder / "model.pdb"],
        "none": [],
        "permuted": ["--model", folder / "model.pdb", "--control", "permuted"],
        "another": ["--control", "another"],
    }.items():
        output = tmp_path / f"{name}.mrc"
        code = run(
            monkeypatch, "enhance", folder / "map.mrc", "-o", output, "--device", "cpu",
            "--checkpoint", folder / "net.safetensors", *options,
        )  # fmt: skip
        assert code in (0, None), capsys.readouterr().err
        made[name] = read_map(output)
        record = json.loads(output.with_suffix(".json").read_text())
        assert record["control"] == (name if name in ("permuted", "another") else None)
    pairs = [("true", "none"), ("true", "permuted"), ("true", "another"), ("none", "another")]
    for one, other in pairs:
        assert np.abs(made[one].data - made[other].data).max() > 1e-4, (one, other)
    assert made["permuted"].frame.labels[-1].endswith("(control, permuted embedding)")


def test_shuffling_needs_a_model(folder, tmp_path, monkeypatch, capsys):
    code = run(
        monkeypatch, "enhance", folder / "map.mrc", "-o", tmp_path / "o.mrc", "--control",
        "permuted", "--checkpoint", folder / "net.safetensors",
    )  # fmt: skip
    assert code == 1
    assert "needs the --model whose embedding it shuffles" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_trial_has_every_condition(folder):
    volume = read_map(folder / "map.mrc")
    subject, inputs = trial_of(
        volume, 5.0, checkpoint=folder / "net.safetensors", model_path=folder / "model.pdb",
        predicted_path=None, contour=None, halves=None,
        enhancement=EnhancementSettings(device="cpu"), embedding=EmbeddingSettings(device="cpu"),
    )  # fmt: skip
    assert set(inputs) == {"checkpoint", "model"}
    assert not subject.missing
    outputs = [subject.output(one) for one in ("true", "none", "permuted", "another", "perturbed")]
    for number, one in enumerate(outputs):
        for other in outputs[number + 1 :]:
            assert np.abs(one - other).max() > 1e-5
    given, wrong = (
        np.array([site.atom.pos.tolist() for site in one[0].all()])
        for one in (read_model(folder / "model.pdb"), subject.perturbed)
    )
    assert np.sqrt(((given - wrong) ** 2).sum(axis=1).mean()) == pytest.approx(2.5, rel=1e-3)


def test_the_controls_as_a_command(folder, tmp_path, monkeypatch, capsys):
    table, record = tmp_path / "controls.parquet", tmp_path / "controls.json"
    code = run(
        monkeypatch, "evaluate", "controls", folder / "map.mrc", folder / "model.pdb",
        "--resolution", 5, "--checkpoint", folder / "net.safetensors", "--device", "cpu",
        "--half-map", folder / "map.mrc", "--half-map", folder / "map.mrc", "-o", table,
        "--json", record, "--emdb-id", "EMD-1",
    )  # fmt: skip
    printed = capsys.readouterr()
    assert code in (0, None), printed.err
    rows = read_table(table, CONTROLS)
    assert list(rows["number"]) == list(range(10))
    assert set(rows["emdb_id"]) == {"EMD-1"}
    found = json.loads(record.read_text())
    assert found["hallucination_score"] == rows["value"].iloc[0]
    assert {"map", "model", "checkpoint", "half map 1"} <= set(found["provenance"]["inputs"])
    assert len(printed.out.splitlines()) == 10
    assert "hallucination_score" in printed.out


def test_the_controls_of_a_list_are_those_of_single_maps(
    folder, tmp_path, monkeypatch, capsys, pair_of
):
    write_pairs(tmp_path, [pair_of(folder / "map.mrc", folder / "model.pdb")], 1)
    common = ("--checkpoint", folder / "net.safetensors", "--device", "cpu")
    listed, alone = tmp_path / "list.parquet", tmp_path / "alone.parquet"
    words = ("--work", tmp_path / "0.jsonl", "--members", tmp_path / "members", "-o", listed)
    assert run(monkeypatch, "evaluate", "controls", *words, *common) in (0, None)
    assert capsys.readouterr().err.endswith("1 controlled, 0 kept\n")
    words = (folder / "map.mrc", folder / "model.pdb", "--resolution", 5, "-o", alone)
    ids = ("--emdb-id", "EMD-1234", "--pdb-id", "9TST")
    assert run(monkeypatch, "evaluate", "controls", *words, *common, *ids) in (0, None)
    assert listed.read_bytes() == alone.read_bytes()


def test_half_maps_come_in_twos(folder, monkeypatch, capsys):
    code = run(
        monkeypatch, "evaluate", "controls", folder / "map.mrc", "--resolution", 5,
        "--half-map", folder / "map.mrc", "--checkpoint", folder / "net.safetensors",
    )  # fmt: skip
    assert code == 1
    assert "--half-map: must be given twice" in capsys.readouterr().err
