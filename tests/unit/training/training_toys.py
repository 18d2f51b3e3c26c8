"""A small world to train in: blurred, noisy blobs and the sharp ones behind them."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.ndimage import gaussian_filter

import cryosamu.training.loop as loop
from cryosamu.config import NetworkSettings, PreparationSettings, TrainingSettings
from cryosamu.embedding.pooling import Pooled
from cryosamu.embedding.tokens import TokensHeader, write_tokens
from cryosamu.files import sha256_of
from cryosamu.tables import SPLIT, write_table
from cryosamu.training.run import TrainingFiles, run_training

WIDTH = 12
NETWORK = NetworkSettings(name="compact", base_channels=4, multipliers=(1, 2), dropout=0.1)
TRAINING = TrainingSettings(
    steps=12,
    update_steps=4,
    batch_size=2,
    crop=16,
    learning_rate=2e-3,
    validate_every=3,
    plateau_patience=1,
    embedding_dropout=0.3,
    seed=5,
    device="cpu",
    workers=0,
)
COMMAND = """
import sys
import torch
import typer
from cryosamu.cli import train
from cryosamu.errors import CryosamuError
torch.set_num_threads(1)
application = typer.Typer()
train.register(application)
try:
    application()
except CryosamuError as error:
    sys.exit(str(error))
except KeyboardInterrupt:
    sys.exit(130)
"""


def blobs(number, shape):
    """float16 [2, z, y, x]: a blurred map with noise, and its target."""
    random = np.random.default_rng(number)
    points = (random.random(shape) > 0.985).astype(np.float32)
    target = gaussian_filter(points, 1.0)
    density = gaussian_filter(points, 1.8) + random.normal(0, 0.002, shape)
    pair = np.stack([np.clip(density / density.max(), 0, 1), target / target.max()])
    return pair.astype(np.float16)


class World:
    """A folder with prepared pairs, tokens and a split, to which pairs can be added."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows = []
        (folder / "prepared").mkdir()

    def add(self, number, split, shape=(22, 20, 24)):
        emdb_id = f"EMD-{number}"
        path = self.folder / "prepared" / f"{emdb_id}.npy"
        np.save(path, blobs(number, shape))
        settings = PreparationSettings().model_dump(mode="json")
        record = {"sha256": sha256_of(path), "provenance": {"settings": settings}}
        path.with_suffix(".json").write_text(json.dumps(record))
        self.rows.append(
            {
                "emdb_id": emdb_id,
                "pdb_id": f"{number}abc",
                "resolution": 5.0,
                "contour_level": 0.1,
                "cluster": emdb_id,
                "correlation": 0.8,
                "simulated": True,
                "repaired": False,
                "split": split,
            }
        )
        self.write()
        return self

    def write(self):
        write_table(self.folder / "split.parquet", pd.DataFrame(self.rows), SPLIT)
        self.write_tokens(self.folder / "tokens.safetensors", [row["pdb_id"] for row in self.rows])

    def write_tokens(self, path, pdb_ids):
        pooled = {pdb_id.upper(): tokens_of(pdb_id) for pdb_id in pdb_ids}
        header = TokensHeader(
            backend="protein_mpnn",
            fingerprint="ab12",
            width=WIDTH,
            mode="per_chain",
            precision="float32",
            copies="once",
            pooling={"tokens": 5, "scaled": True},
        )
        write_tokens(path, pooled, header)

    def files(self, name="a", state="state"):
        return TrainingFiles(
            self.folder / "split.parquet",
            self.folder / "prepared",
            (self.folder / "tokens.safetensors",),
            self.folder / state,
            self.folder / f"{name}.safetensors",
            self.folder / f"{name}.parquet",
        )

    def train(self, name="a", state="state", network=NETWORK, training=TRAINING, **given):
        """Train in this process; return the sentences that were said."""
        said = []
        files = replace(self.files(name, state), **given)
        run_training(files, network, training, said.append)
        return said

    def command(self, name="a", state="state", training=TRAINING, script=COMMAND):
        """The same as a process of its own."""
        arguments = self.arguments(name, state, NETWORK, training)
        return subprocess.Popen(
            [sys.executable, "-c", script, *arguments],
            stderr=subprocess.PIPE,
            text=True,
        )

    def arguments(self, name, state, network, training):
        """The command line of a training."""
        config = self.folder / "config.json"
        values = {
            "network": network.model_dump(mode="json"),
            "training": training.model_dump(mode="json"),
        }
        config.write_text(json.dumps(values))
        files = self.files(name, state)
        arguments = ["--split", files.split, "--prepared", files.prepared, "--state", files.state]
        arguments += ["--tokens", files.tokens[0], "-o", files.checkpoint]
        arguments += ["--history", files.history, "--config", config]
        return [str(argument) for argument in arguments]

    def outputs(self, name="a"):
        files = self.files(name)
        return files.checkpoint.read_bytes(), files.history.read_bytes()


def tokens_of(pdb_id):
    generator = torch.Generator().manual_seed(int(pdb_id[:-3]))
    mask = torch.tensor([True, True, True, True, False])
    tokens = torch.randn(5, WIDTH, generator=generator) * mask[:, None]
    one = torch.ones(1)
    return Pooled(tokens, mask, torch.arange(5), one, one, torch.tensor(5))


def state_file(world, state="state"):
    (path,) = (world.folder / state).glob("*/state.safetensors")
    return path


class StopError(Exception):
    """Stands for a kill at a moment of the test's choice."""


def train_until(world, monkeypatch, step, training=TRAINING):
    """Begin a run that ends without warning in the middle of a step."""
    real = loop.take_step

    def step_or_stop(state, *given):
        begun = state.step
        stopped = real(state, *given)
        if begun == step:
            raise StopError
        return stopped

    with monkeypatch.context() as patch:
        patch.setattr(loop, "take_step", step_or_stop)
        with pytest.raises(StopError):
            world.train("stopped", training=training)
