from pathlib import Path

import pytest
import torch
from training_toys import World


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def world(tmp_path):
    """Two pairs to learn from and one to be judged by."""
    return World(tmp_path).add(1, "train").add(2, "train").add(3, "validation")


@pytest.fixture
def repository():
    return Path(__file__).parents[3]
