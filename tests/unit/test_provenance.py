import ast
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import cryosamu
from cryosamu.provenance import (
    STAGE_MODULES,
    code_digest,
    digest_of,
    provenance_record,
    software_versions,
    source_commit,
    stage_digest,
)

PACKAGE = Path(cryosamu.__file__).parent


def git(folder, *arguments):
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip


def copied_package(folder):
    """The three modules that provenance needs, as a package of their own under `folder`."""
    package = folder / "cryosamu"
    package.mkdir(parents=True)
    for name in ("__init__.py", "provenance.py", "files.py", "errors.py", "processes.py"):
        shutil.copy(PACKAGE / name, package)
    return package


def asked(folder, expression):
    script = f"import json; from cryosamu.provenance import *; print(json.dumps({expression}))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd="/",
        env={**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    return json.loads(done.stdout)


def test_the_record_says_what_an_output_was_made_from(tmp_path):
    (tmp_path / "map.mrc").write_bytes(b"voxels")
    record = provenance_record({"voxel_size": 1.0}, {"map": tmp_path / "map.mrc"}, seed=7)
    assert record["settings"] == {"voxel_size": 1.0}
    assert record["seed"] == 7
    assert record["inputs"]["map"] == {
        "name": "map.mrc",
        "sha256": hashlib.sha256(b"voxels").hexdigest(),
    }
    assert str(tmp_path) not in json.dumps(record)  # a record does not depend on the folder
    assert record == provenance_record({"voxel_size": 1.0}, {"map": tmp_path / "map.mrc"}, seed=7)


def test_versions_are_those_of_the_packages_that_run():
    import numpy
    import torch

    versions = software_versions()
    assert versions["numpy"] == numpy.__version__
    assert versions["torch"] == torch.__version__
    assert versions["python"] == ".".join(map(str, sys.version_info[:3]))


def test_a_digest_does_not_depend_on_the_order_of_keys():
    assert digest_of({"a": 1, "b": [2, 3]}) == digest_of({"b": [2, 3], "a": 1})
    assert digest_of({"a": 1, "b": [2, 3]}) != digest_of({"a": 1, "b": [3, 2]})


def test_the_commit_is_that_of_the_source_and_says_when_it_was_edited(tmp_path):
    package = copied_package(tmp_path)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "x")
    commit = asked(tmp_path, "source_commit()")
    assert len(commit) == 40
    (package / "errors.py").write_text((package / "errors.py").read_text() + "\n")
    assert asked(tmp_path, "source_commit()") == f"{commit}+changes"


def test_somebody_elses_repository_is_not_taken_for_the_source(tmp_path):
    """A virtual environment inside a user's own repository."""
    (tmp_path / "paper.tex").write_text("x")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "x")
    copied_package(tmp_path / "venv")
    assert asked(tmp_path / "venv", "source_commit()") is None


def test_no_repository_is_no_commit(tmp_path):
    copied_package(tmp_path)
    assert asked(tmp_path, "source_commit()") is None
    assert source_commit() is None or len(source_commit().removesuffix("+changes")) == 40


@pytest.mark.parametrize(
    ("new", "same"),
    [
        (
            '"""Other words."""\nX = 1  # why\n"""What X is."""\n\n\n'
            'def f(a):\n    """Doc."""\n    return a+1\n',
            True,
        ),
        ("X = 1\ndef f(a):\n    return a + 2\n", False),
        ("X = 2\ndef f(a):\n    return a + 1\n", False),
    ],
)
def test_words_do_not_change_the_digest_of_code_and_code_does(tmp_path, new, same):
    package = copied_package(tmp_path)
    module = package / "stage" / "work.py"
    module.parent.mkdir()
    module.write_text('"""Words."""\nX = 1\ndef f(a):\n    return a + 1\n')
    expression = "[code_digest(['cryosamu.stage']), code_digest(['cryosamu.errors'])]"
    before = asked(tmp_path, expression)
    module.write_text(new)
    after = asked(tmp_path, expression)
    assert (after[0] == before[0]) is same
    assert after[1] == before[1]


def test_a_package_stands_for_its_modules_and_order_does_not_count():
    volume = code_digest(["cryosamu.volume"])
    assert volume != code_digest(["cryosamu.volume.io"])
    both = ["cryosamu.files", "cryosamu.volume"]
    assert code_digest(both) == code_digest(both[::-1])
    assert code_digest(["cryosamu.volume", "cryosamu.structure"]) != volume


def test_each_stage_has_code_of_its_own():
    digests = {stage: stage_digest(stage) for stage in STAGE_MODULES}
    assert len(set(digests.values())) == len(digests)
    assert digests["prepare"] == code_digest(
        ["cryosamu.volume", "cryosamu.structure", "cryosamu.preparation"]
    )


MADE_BY = {
    "measure": "curation.measurement",
    "repair": "structure.motion",
    "prepare": "preparation",
    "embed": "embedding.batch",
    "enhance": "enhancement.map_file",
    "methods": "evaluation.methods.making",
    "evaluate": "evaluation.many",
    "controls": "enhancement.trials",
}
SHAPES_NOTHING = {
    # How work is dealt out, where files lie and how they are kept.
    *("archive", "config", "device", "errors", "files", "locks", "pairs", "processes"),
    *("provenance", "shards"),
    *("tables", "tensors", "workers"),
}
NOT_CALLED = {
    # Half maps, confidence and kept density, which `evaluate method` does not ask for.
    "enhance": {"evaluation"},
    # What a reference of the model offers to the evaluation alone.
    "measure": {
        *("curation.failure", "evaluation.local_correlation", "evaluation.q_score"),
        "evaluation.residues",
    },
    "controls": {"evaluation.local_correlation", "evaluation.q_score", "evaluation.programs"},
    # Programs of others, and the baselines' masks without a model.
    "methods": {
        *("evaluation.atom_density", "evaluation.building", "evaluation.local_correlation"),
        *("evaluation.masks", "evaluation.programs", "evaluation.q_score", "evaluation.reference"),
        *("evaluation.reflections", "evaluation.residues", "evaluation.structure_factors"),
        "structure",
    },
}


def imported(module: str) -> set[str]:
    """The project's modules that one imports, also within its functions, itself included."""
    found, left = set(), [module]
    while left:
        name = left.pop()
        if name in found or not (path := source_of(name)).is_file():
            continue
        found.add(name)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cryosamu."):
                base = str(node.module).removeprefix("cryosamu.")
                left += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return found


def source_of(module: str) -> Path:
    path = PACKAGE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@pytest.mark.parametrize("stage", STAGE_MODULES)
def test_a_stage_counts_all_code_that_shapes_its_results(stage):
    counted = {*STAGE_MODULES[stage], *SHAPES_NOTHING, *NOT_CALLED.get(stage, ())}
    forgotten = {
        name
        for name in imported(MADE_BY[stage])
        if not any(name == one or name.startswith(f"{one}.") for one in counted)
    }
    assert not {name for name in forgotten if len(ast.parse(source_of(name).read_text()).body) > 1}
