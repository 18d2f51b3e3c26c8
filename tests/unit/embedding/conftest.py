import json
import zipfile
from pathlib import Path

import gemmi
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from cryosamu.cli import embed as command
from cryosamu.cli.options import application
from cryosamu.embedding.esm_if1.weights import build_network
from cryosamu.embedding.protein_mpnn.encoder import ProteinMPNN
from cryosamu.errors import CryosamuError
from cryosamu.structure.model import ProteinChain, protein_chains, read_model

DATA = Path(__file__).parent / "data"


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def run():
    """Return a function that calls `cryosamu embed` and raises what it refuses."""
    root = application()
    command.register(root)

    def invoke(*arguments):
        result = CliRunner().invoke(root, [str(argument) for argument in arguments])
        if isinstance(result.exception, CryosamuError):
            raise result.exception
        return result

    return invoke


@pytest.fixture(scope="session")
def model_path():
    """Chains A and B of 5NI1, residues 1-55: A lacks 20-24 and the O of 30, B the CA of 10."""
    return DATA / "5ni1_part.pdb"


@pytest.fixture(scope="session")
def chains(model_path):
    return protein_chains(read_model(model_path))


@pytest.fixture(scope="session")
def protein_mpnn():
    return ProteinMPNN.load(None, torch.device("cpu"))


@pytest.fixture
def chain_of():
    """Return a function that makes a chain of a backbone [residues, 4, 3]."""

    def make(backbone, name="A", residue_ids=None):
        backbone = np.asarray(backbone, np.float32)
        count = len(backbone)
        return ProteinChain(
            author_id=name,
            label_id=name,
            entity_id="1",
            sequence="A" * count,
            entity_sequence="",
            residue_ids=residue_ids or tuple(str(i + 1) for i in range(count)),
            residue_names=("ALA",) * count,
            backbone=backbone,
            observed=np.isfinite(backbone[:, :3]).all(axis=(1, 2)),
        )

    return make


@pytest.fixture
def write_model(tmp_path):
    """Return a function that writes a model of `atoms` a residue, one chain a letter."""

    def write(name, residue="ALA", atoms=("N", "CA", "C", "O"), letters="A", count=40):
        structure = gemmi.Structure()
        model = gemmi.Model(1)
        random = np.random.default_rng(7)
        for letter in letters:
            chain = gemmi.Chain(letter)
            for number in range(count):
                item = gemmi.Residue()
                item.name = residue
                item.seqid = gemmi.SeqId(str(number + 1))
                for atom_name in atoms:
                    atom = gemmi.Atom()
                    atom.name = atom_name
                    atom.element = gemmi.Element(atom_name[0])
                    atom.pos = gemmi.Position(*random.normal((3.8 * number, 0, 0)))
                    item.add_atom(atom)
                chain.add_residue(item)
            model.add_chain(chain)
        structure.add_model(model)
        structure.setup_entities()
        path = tmp_path / name
        structure.write_pdb(str(path))
        return path

    return write


@pytest.fixture
def members_and_metadata():
    """Return a function that reads an .npz file by zip alone: arrays' names and the metadata."""

    def read(path):
        with zipfile.ZipFile(path) as file:
            names = [name.removesuffix(".npy") for name in file.namelist()]
        with np.load(path, allow_pickle=False) as file:
            return names, json.loads(str(file["metadata.json"]))

    return read


TINY_ESM = {
    "arch": "vt_medium_with_invariant_gvp",
    "encoder_embed_dim": 32,
    "encoder_ffn_embed_dim": 48,
    "encoder_attention_heads": 4,
    "encoder_layers": 2,
    "dropout": 0.1,
    "attention_dropout": 0.1,
    "gvp_top_k_neighbors": 12,
    "gvp_node_hidden_dim_scalar": 24,
    "gvp_node_hidden_dim_vector": 8,
    "gvp_edge_hidden_dim_scalar": 6,
    "gvp_edge_hidden_dim_vector": 1,
    "gvp_num_encoder_layers": 2,
    "gvp_dropout": 0.1,
}


@pytest.fixture(scope="session")
def tiny_arguments():
    """The architecture of ESM-IF1 with every size made small."""
    return dict(TINY_ESM)


@pytest.fixture(scope="session")
def tiny_network():
    """fair-esm's own encoder, small, with random weights."""
    network = build_network(TINY_ESM)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
        network.embed_positions._float_tensor.zero_()
    return network.eval()
