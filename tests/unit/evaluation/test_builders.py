"""Adapters of builders, run against stand-ins: real programs that behave as the documented ones."""

import gzip
import json
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import gemmi
import pytest
from small_pairs import empty, noise

from cryosamu.errors import CryosamuError, ModelError
from cryosamu.evaluation.building.builders import build_model, fasta, parse_chain_comparison
from cryosamu.evaluation.building.rows import build_and_record, build_table
from cryosamu.evaluation.programs import find_program, run_program, version_of
from cryosamu.tables import EVALUATION, read_table, write_table
from cryosamu.volume.io import write_map

# What cctbx 2025.11's chain_comparison prints at the end, parameters left out.
PRINTED = """
Using deposited.cif as target

Crystal symmetry will not be used in comparison.

Looking for chain similarity for map_to_model.pdb (196 residues) in the model deposited.cif

Residues matching in forward direction:     25  RMSD:   2.47

Residues matching in reverse direction:      6  RMSD:   2.12

Residues near but not matching one-to-one:  78  RMSD:   2.25

All residues near target:  109  RMSD:   2.30 Seq match (%): 49.5  % Found:  55.6

Residues far from target:   87
"""

MAP_TO_MODEL = """
import sys, pathlib, shutil
ballast = bytearray(80_000_000)
values = dict(item.split("=") for item in sys.argv[1:] if "=" in item)
volume, sequences = (pathlib.Path(item) for item in sys.argv[1:3])
assert volume.read_bytes()[208:212] == b"MAP ", "not a plain map"
assert float(values["resolution"]) == 4.5
print("building", sequences.read_text().count(">"), "chains")
shutil.copy({model!r}, values["pdb_out"])
"""
COMPARISON = """
import sys, pathlib
target, query, *options = sys.argv[1:]
assert "unique_part_of_target_only=False" in options
assert pathlib.Path(target).read_text().startswith("data_") and pathlib.Path(query).is_file()
print({printed!r})
"""
MODEL_ANGELO = """
import argparse, pathlib, sys
parser = argparse.ArgumentParser()
parser.add_argument("--version", action="version", version="ModelAngelo 1.0.12")
build = parser.add_subparsers(required=True).add_parser("build")
build.add_argument("--volume-path", "-v", type=pathlib.Path)
build.add_argument("--protein-fasta", "-pf", type=pathlib.Path)
build.add_argument("--output-dir", "-o", type=pathlib.Path)
given = parser.parse_args()
assert given.volume_path.is_file()
assert given.protein_fasta.read_text().count(">") == 1
given.output_dir.mkdir(parents=True, exist_ok=True)
text = pathlib.Path({model!r}).read_text()
(given.output_dir / (given.output_dir.name + ".cif")).write_text(text)
(given.output_dir / "see_alpha_output").mkdir(exist_ok=True)
"""


def program(folder, name, text):
    """Write a stand-in as an executable file."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(0o755)
    return path


def helix(count, chains="AB", mutated=False):
    """Chains of CA atoms 3.8 Å apart, each a copy of one sequence."""
    structure = gemmi.Structure()
    structure.add_model(gemmi.Model(1))
    for place, name in enumerate(chains):
        chain = gemmi.Chain(name)
        for number in range(count):
            residue = gemmi.Residue()
            residue.name = "ALA" if mutated and number < 3 else ("GLY", "TRP", "LYS")[number % 3]
            residue.seqid, residue.entity_type = gemmi.SeqId(number + 1, " "), gemmi.EntityType(1)
            for atom_name, along in (("N", -1.3), ("CA", 0.0), ("C", 1.3)):
                atom = gemmi.Atom()
                atom.name, atom.element = atom_name, gemmi.Element(atom_name[0])
                atom.pos = gemmi.Position(3 + 3.8 * number + along, 5 + 12 * place, 9)
                atom.occ, atom.b_iso = 1.0, 30.0
                residue.add_atom(atom)
            chain.add_residue(residue)
        structure[0].add_chain(chain)
    structure.setup_entities()
    return structure


@pytest.fixture
def pair(tmp_path):
    """A gzipped map, its deposited model of two chains, and a built model of half of it."""
    write_map(tmp_path / "map.mrc", noise(empty((30, 30, 44), (1.2, 1.2, 1.2))), "a test")
    (tmp_path / "map.mrc.gz").write_bytes(gzip.compress((tmp_path / "map.mrc").read_bytes()))
    helix(12).make_mmcif_document().write_file(str(tmp_path / "model.cif"))
    helix(12, "A", mutated=True).make_mmcif_document().write_file(str(tmp_path / "built.cif"))
    helix(12, "A").write_pdb(str(tmp_path / "built.pdb"))
    return tmp_path


def build(pair, builder, **options):
    return build_model(builder, pair / "map.mrc.gz", pair / "model.cif", 4.5, pair / "w", **options)


def test_phenix_builds_and_compares(pair, monkeypatch):
    programs = pair / "programs"
    program(programs, "phenix.map_to_model", MAP_TO_MODEL.format(model=str(pair / "built.pdb")))
    program(programs, "phenix.chain_comparison", COMPARISON.format(printed=PRINTED))
    program(programs, "phenix.version", "print('\\nPHENIX: Version 1.21.2-5419')")
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    built = build(pair, "phenix")
    assert built.metrics == {"residue_coverage": 55.6, "sequence_match": 49.5}
    assert built.version == "PHENIX: Version 1.21.2-5419"
    assert built.model == pair / "w" / "map_to_model.pdb"
    assert built.compared_by == "phenix.chain_comparison"
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert 80 < built.usage.peak_megabytes < max(1000, 1.01 * own)
    assert 0 < built.usage.seconds < 60
    # Every copy of a chain is in the sequence file.
    assert (pair / "w" / "build.log").read_text() == "building 2 chains\n"


def test_model_angelo_builds_and_is_compared_here(pair):
    path = program(pair, "model_angelo", MODEL_ANGELO.format(model=str(pair / "built.cif")))
    built = build(pair, "model_angelo", program=path)
    # One of two chains; three of its twelve residues, of which GLY 1 … are built as ALA.
    assert built.metrics["residue_coverage"] == pytest.approx(50)
    assert built.metrics["sequence_match"] == pytest.approx(75)
    assert built.version == "ModelAngelo 1.0.12"


@pytest.mark.parametrize("left", ["", "data_1\n#\nloop_\n_atom_site.label_seq_id\n#\n"])
def test_a_builder_that_builds_nothing_scores_nothing(pair, left):
    (pair / "nothing.cif").write_text(left)
    path = program(pair, "model_angelo", MODEL_ANGELO.format(model=str(pair / "nothing.cif")))
    built = build(pair, "model_angelo", program=path)
    assert built.metrics == {"residue_coverage": 0, "sequence_match": 0}
    assert built.model is None


def test_an_earlier_model_is_not_taken_for_a_new_one(pair):
    good = MODEL_ANGELO.format(model=str(pair / "built.cif"))
    build(pair, "model_angelo", program=program(pair, "good", good))
    idle = program(pair, "idle", "")
    assert build(pair, "model_angelo", program=idle).model is None


def test_a_builder_that_fails_says_so_in_one_sentence(pair):
    path = program(pair, "model_angelo", "import sys\nprint('no weights')\nsys.exit(3)")
    with pytest.raises(CryosamuError, match=r"ended with status 3 \(no weights\); see .*build.log"):
        build(pair, "model_angelo", program=path)


def test_an_absent_builder_is_one_sentence(pair, monkeypatch):
    monkeypatch.setenv("PATH", str(pair))
    with pytest.raises(CryosamuError, match=r"phenix\.map_to_model was not found on PATH; install"):
        build(pair, "phenix")
    with pytest.raises(CryosamuError, match="nowhere: is not a program"):
        build(pair, "phenix", program=Path("nowhere"))
    (pair / "plain").write_text("not executable")
    with pytest.raises(CryosamuError, match="is not a program"):
        find_program("x", pair / "plain")
    with pytest.raises(CryosamuError, match="needs the map's --resolution"):
        build_and_record("phenix", pair / "map.mrc", pair / "model.cif", None, pair)


def test_no_shell_reads_the_arguments(tmp_path):
    echo = program(tmp_path, "echo", "import sys; print(sys.argv[1:])")
    run_program([str(echo), "a; touch b", "$HOME"], tmp_path, tmp_path / "log")
    assert (tmp_path / "log").read_text() == "['a; touch b', '$HOME']\n"
    assert not (tmp_path / "b").exists()


BY_ITSELF = """
from pathlib import Path
from cryosamu.evaluation.programs import run_program
run_program([{program!r}], Path({folder!r}), Path({folder!r}, "log"))
"""
AS_A_COMMAND = """
import sys
from cryosamu.cli import main
from cryosamu.evaluation.methods import making
making.make_method = lambda *_: making.run_program([{program!r}], *map(making.Path, {places!r}))
sys.argv = ["cryosamu", *"evaluate method cryoten a.mrc --resolution 5 -o a.mrc".split()]
main.main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(("script", "command"), [(BY_ITSELF, False), (AS_A_COMMAND, True)])
def test_an_interrupt_ends_the_program_and_what_it_started(tmp_path, script, command, number):
    child = """
import os, pathlib, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
pathlib.Path("writing").write_text(str(os.getpid()))
pathlib.Path("writing").rename("group")
time.sleep(60)
"""
    path = program(tmp_path, "slow", child)
    places = (str(tmp_path), str(tmp_path / "log"))
    code = script.format(program=str(path), folder=str(tmp_path), places=places)
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while not (tmp_path / "group").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    group = (tmp_path / "group").read_text()
    assert len(alive_in(group)) == 2
    process.send_signal(number)
    assert process.wait(20) == (128 + number if command else -number)
    assert alive_in(group) == []


def alive_in(group):
    """Return the processes of a group that are not dead and waiting to be buried."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, its_group = path.read_text().rpartition(")")[2].split()[:3]
            if its_group == group and state not in "ZX":
                found.append(path.parent.name)
    return found


def test_versions(tmp_path):
    assert version_of([str(program(tmp_path, "a", "print('A 1.0')"))]) == "A 1.0"
    assert version_of([str(program(tmp_path, "b", "raise SystemExit(1)"))]) == "unknown"
    assert version_of([str(tmp_path / "none")]) == "unknown"


def test_sequences_once_each_or_once_a_chain():
    structure = helix(3)
    assert fasta(structure, every_copy=True, where=Path("m")) == ">A\nGWK\n>B\nGWK\n"
    assert fasta(structure, every_copy=False, where=Path("m")).count(">") == 1
    with pytest.raises(ModelError, match="no protein chain"):
        fasta(helix(0), every_copy=True, where=Path("m"))


def test_output_of_another_program_is_refused():
    assert parse_chain_comparison("Residues far from target:   87", Path("log")) == {
        "residue_coverage": 0.0,
        "sequence_match": 0.0,
    }
    with pytest.raises(CryosamuError, match="log: is not the output of phenix"):
        parse_chain_comparison("Sorry: no license", Path("log"))


def test_rows_and_command(pair):
    record = build_and_record("ca_trace", pair / "map.mrc", pair / "model.cif", None, pair)
    table = build_table(record, "enhanced", "EMD-1", "1ABC")
    write_table(pair / "t.parquet", table, EVALUATION)
    rows = read_table(pair / "t.parquet", EVALUATION).set_index("metric")
    assert set(rows.index) == {
        "catrace_coverage", "catrace_precision", "catrace_connectivity", "catrace_coverage_excess",
    }  # fmt: skip
    coverage = rows.loc["catrace_coverage"]
    assert coverage["value"] - coverage["floor"] == pytest.approx(
        rows.loc["catrace_coverage_excess", "value"]
    )
    assert "seconds" not in json.loads(coverage["settings"])

    code = "from cryosamu.cli import main; main.COMMANDS = ('evaluate', 'fetch'); main.main()"
    arguments = ["evaluate", "build", "map.mrc", "model.cif", "--json", "b.json"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=pair, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads((pair / "b.json").read_text())
    assert figures["catrace_coverage"] == coverage["value"]
    assert figures["definition"] == "ca_trace 1"
    assert "catrace_connectivity" in done.stdout
    path = program(pair, "ma", MODEL_ANGELO.format(model=str(pair / "built.cif")))
    options = ["--builder", "model_angelo", "--program", str(path), "--resolution", "4.5"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments, *options],
        cwd=pair, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads((pair / "b.json").read_text())
    assert figures["sequence_match"] == pytest.approx(75)
    assert figures["provenance"]["settings"]["peak_megabytes"] > 0
