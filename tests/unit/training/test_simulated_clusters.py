"""Structures to validate on are held out by whole clusters of relatives."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_toys import helix_text, tar_of, toys, write_toys
from training_toys import NETWORK, TRAINING
from typer.testing import CliRunner

from cryosamu.cli.main import build_application
from cryosamu.config import PreparationSettings, SimulationSettings
from cryosamu.curation.clustering import connected_names
from cryosamu.errors import CheckpointError, CryosamuError
from cryosamu.network.checkpoint import read_header
from cryosamu.training.run import TrainingFiles, run_training
from cryosamu.training.simulated.data import _to_validate_on, read_structures
from cryosamu.training.simulated.library import read_library, write_library

SIMULATED = TRAINING.model_copy(
    update={
        "steps": 1,
        "simulation": SimulationSettings(view=32, reuse=3, validation_structures=2),
    }
)
NAMES = st.lists(st.integers(0, 10**6), min_size=5, max_size=60, unique=True)


def by_hash(names):
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())


def clustered(folder, clusters):
    """Six structures with tokens, packed with their clusters."""
    library, tokens = write_toys(folder, 6)
    write_library(library, toys(6), {}, clusters)
    return library, tokens


def trained(folder, library, tokens, name, **changes):
    files = TrainingFiles(
        split=None,
        prepared=None,
        tokens=(tokens,),
        state=folder / f"state_{name}",
        checkpoint=folder / f"{name}.safetensors",
        history=folder / f"{name}.parquet",
        structures=(library,),
    )
    said = []
    run_training(replace(files, **changes), NETWORK, SIMULATED, said.append)
    return files.checkpoint, said


def test_owners_are_connected_by_equal_and_by_similar_chains():
    chains = {"D": ["AA", "BB"], "A": ["CC"], "C": ["BB"], "B": ["XX", "EE"], "E": ["XX"]}
    found = connected_names(chains, [("AA", "CC"), ("EE", "other"), ("ZZ", "AA")])
    # Unknown residues alone connect nobody, nor does what nobody has.
    assert found == {"D": "A", "A": "A", "C": "A", "B": "B", "E": "E"}
    assert connected_names({}, []) == {}


def test_clusters_are_packed_and_read(tmp_path):
    clusters = {f"T{number:02d}": "ab"[number % 2] for number in range(6)}
    library, _ = clustered(tmp_path, clusters)
    assert read_library(library).clusters == clusters


def test_a_file_of_before_is_read_and_tells_no_clusters(tmp_path):
    library, _ = write_toys(tmp_path, 3)
    content = library.read_bytes()
    length = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    header = json.loads(metadata["cryosamu_structures"])
    assert set(header) == {"format", "names", "about"}
    assert read_library(library).clusters is None
    header["clusters"] = ["a", "b"]
    arrays = safetensors.numpy.load(content)
    library.write_bytes(safetensors.numpy.save(arrays, {"cryosamu_structures": json.dumps(header)}))
    with pytest.raises(CryosamuError, match="no whole file of packed structures"):
        read_library(library)


def test_relatives_of_held_out_structures_are_not_learnt_from(tmp_path):
    first, second, *rest = by_hash([f"T{number:02d}" for number in range(6)])
    relative = rest[-1]
    clusters = {name: name for name in (second, *rest)} | {first: "a", relative: "a"}
    library, tokens = clustered(tmp_path, clusters)
    found = read_structures([library], [tokens], 2, PreparationSettings())
    assert {one.name for one in found.held_out} == {first, second}
    assert found.set_aside == (relative,)
    assert {one.name for one in found.train} == {*rest} - {relative}
    checkpoint, said = trained(tmp_path, library, tokens, "a")
    assert not any("cluster" in text for text in said)
    header = read_header(checkpoint)
    assert header.training.structures["set_aside"] == [relative]
    assert relative not in header.training.structures["structures"]
    assert not any("cluster" in note for note in header.notes)


def test_a_network_that_learnt_from_relatives_is_not_built_upon(tmp_path):
    first, _, *rest = by_hash([f"T{number:02d}" for number in range(6)])
    before, tokens = write_toys(tmp_path, 6)
    checkpoint, _ = trained(tmp_path, before, tokens, "a")
    clusters = {f"T{number:02d}": f"T{number:02d}" for number in range(6)}
    library, tokens = clustered(tmp_path, clusters | {first: "a", rest[0]: "a"})
    with pytest.raises(CheckpointError, match=f"was trained on {rest[0]}, which"):
        trained(tmp_path, library, tokens, "b", start=checkpoint)


def test_a_training_says_that_relatives_may_be_on_both_sides(tmp_path):
    library, tokens = write_toys(tmp_path, 6)
    checkpoint, said = trained(tmp_path, library, tokens, "a")
    (warning,) = [text for text in said if "tells no clusters" in text]
    assert warning.startswith("structures.safetensors: ")
    assert warning in read_header(checkpoint).notes


@settings(max_examples=50, deadline=None)
@given(numbers=NAMES, seed=st.integers(0, 99), count=st.integers(1, 8))
def test_no_cluster_is_on_both_sides_or_judges_twice(numbers, seed, count):
    random = np.random.default_rng(seed)
    names = [str(number) for number in numbers]
    cluster_of = {name: str(random.integers(len(names))) for name in names}
    chosen = _to_validate_on(cluster_of, count)
    assert len({cluster_of[name] for name in chosen}) == len(chosen) <= count
    for name in chosen:
        # The first of its cluster, so that it stays the one when later names join.
        own = [other for other in names if cluster_of[other] == cluster_of[name]]
        assert by_hash(own)[0] == name
        assert len(own) <= max(4, 0.02 * len(names))


@settings(max_examples=50, deadline=None)
@given(numbers=NAMES, more=NAMES)
def test_newcomers_push_out_no_more_than_they_are_themselves(numbers, more):
    before = {str(number): str(number) for number in numbers}
    after = before | {f"new{number}": f"new{number}" for number in more}
    old, new = set(_to_validate_on(before, 4)), set(_to_validate_on(after, 4))
    newcomers = {name for name in new if name.startswith("new")}
    assert new - newcomers <= old
    assert len(old - new) == len(newcomers)


def test_a_cluster_of_many_is_learnt_from():
    names = [f"N{number}" for number in range(40)]
    antibodies = by_hash(names)[:5]
    cluster_of = {name: "many" if name in antibodies else name for name in names}
    assert _to_validate_on(cluster_of, 3) == by_hash(names)[5:8]


def test_packing_tells_which_structures_are_relatives(tmp_path):
    random = np.random.default_rng(1)
    first, second, third = ("".join(random.choice(list(pair), 60)) for pair in ("AE", "KL", "SG"))
    changed = "".join("G" if number % 4 == 0 else letter for number, letter in enumerate(first))
    texts = {"b": [first], "a": [changed], "c": [second], "d": [second, "AKEL"], "e": [third]}
    models = {f"{name}.pdb": helix_text(chains) for name, chains in texts.items()}
    archive = tar_of(tmp_path / "models.tar.gz", models)
    wanted = {"A": "A", "B": "A", "C": "C", "D": "C", "E": "E"}
    output = tmp_path / "packed.safetensors"
    command = ["structures", "pack", str(archive), "-o", str(output)]
    result = CliRunner().invoke(build_application(), command, catch_exceptions=False)
    assert result.exit_code == 0
    assert "packed 5 structures in 3 clusters" in result.stderr
    assert read_library(output).clusters == wanted
    (tmp_path / "judged.pdb").write_text(helix_text([third]))
    judged = [*command, "--leave-out", str(tmp_path / "judged.pdb")]
    CliRunner().invoke(build_application(), judged, catch_exceptions=False)
    wanted.pop("E")
    assert read_library(output).clusters == wanted
