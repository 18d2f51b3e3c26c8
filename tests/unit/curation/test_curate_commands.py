"""The commands from catalogue to split, as a person or the workflow calls them."""

import shutil
from pathlib import Path

import gemmi
import numpy as np
import pandas as pd
import pytest
import typer.testing
from real_proteins import PROTEINS
from tiny_pairs import failed_record, moved, record_of, simulated_map, two_helices, write_cif

from cryosamu.archive.record import read_record, write_fetches, write_record
from cryosamu.cli import curate, split
from cryosamu.cli.options import application
from cryosamu.errors import CryosamuError
from cryosamu.shards import read_work
from cryosamu.tables import CATALOGUE, CLUSTERS, DECISIONS, PAIRS, SPLIT, read_table, write_table
from cryosamu.volume.io import write_map

# EMDB id, PDB id, polymers that are not protein, shift of the model in Å, resolution
CANDIDATES = [
    ("EMD-0101", "9AAA", 0, (0.0, 0.0, 0.0), 5.0),
    ("EMD-0102", "9BBB", 0, (9.0, -6.0, 12.0), 6.0),
    ("EMD-0103", "9CCC", 1, (0.0, 0.0, 0.0), 5.0),
    ("EMD-0104", "9DDD", 0, (0.0, 0.0, 0.0), 5.5),
    ("EMD-0105", "9EEE", 0, (0.0, 0.0, 0.0), 7.0),
]
SEQUENCES = {
    "9AAA": ("haemoglobin alpha", "ubiquitin"),
    "9BBB": ("myoglobin", "calmodulin"),
    "9CCC": ("trypsin", "trypsin"),
    "9DDD": ("green fluorescent protein", "green fluorescent protein"),
    "9EEE": ("hen lysozyme", "SUMO1"),
}
SETTINGS = (
    "shards: {candidates: 3}\ncuration: {completeness: {minimum: 0.1}, correlation: {minimum: 0.3}}"
)


def run(*arguments):
    root = application()
    curate.register(root)
    split.register(root)
    result = typer.testing.CliRunner().invoke(root, [str(one) for one in arguments])
    if isinstance(result.exception, CryosamuError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def model_of(pdb_id):
    structure = two_helices()
    for chain, name in zip("AB", SEQUENCES[pdb_id], strict=True):
        label = structure[0][chain].get_polymer().subchain_id()
        entity = structure.get_entity_of(structure[0].get_subchain(label))
        names = gemmi.expand_one_letter_sequence(PROTEINS[name], gemmi.ResidueKind.AA)
        entity.full_sequence = names
    return structure


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A catalogue, a store with maps and models, and their fetch records; paths are relative."""
    monkeypatch.chdir(tmp_path)
    for name in ("store", "records/maps", "records/models", "measurements"):
        (tmp_path / name).mkdir(parents=True)
    volume = simulated_map(two_helices(), (56, 40, 44), (1.4, 1.5, 1.3), (-24.0, -44.0, -6.0))
    rows = []
    for emdb_id, pdb_id, foreign, shift, resolution in CANDIDATES:
        rows.append(
            dict.fromkeys(CATALOGUE.names)
            | {
                "emdb_id": emdb_id, "pdb_id": pdb_id, "method": "singleParticle",
                "resolution": resolution, "protein_entities": 2, "nucleic_entities": foreign,
                "other_entities": 0, "map_file": "a.map.gz", "map_kilobytes": 395.0,
                "simulated": True,
            }
        )  # fmt: skip
        model_path = write_cif(moved(model_of(pdb_id), shift), tmp_path / f"store/{pdb_id}.cif.gz")
        map_path = tmp_path / f"store/{emdb_id}.map.gz"
        write_map(map_path, volume, "simulated for a test")
        if emdb_id == "EMD-0105":
            map_record = failed_record(emdb_id, "map", "files.example/a.map.gz: 404, not there.")
        else:
            map_record = relative(record_of(emdb_id, "map", map_path))
        write_record(f"records/maps/{emdb_id}.json", map_record)
        if foreign == 0:
            model_record = relative(record_of(pdb_id, "model", model_path))
            write_record(f"records/models/{pdb_id}.json", model_record)
    write_table("catalogue.parquet", pd.DataFrame(rows), CATALOGUE)
    (tmp_path / "settings.yaml").write_text(SETTINGS)
    return tmp_path


def relative(record):
    return record.model_copy(update={"path": f"store/{record.path.rsplit('/', 1)[1]}"})


def measure():
    """Write what became of the maps as tables, and measure each work list."""
    records = [read_record(path) for path in sorted(Path("records/maps").iterdir())]
    write_fetches("maps.parquet", records)
    return [
        run(
            *("curate", "measure", path, "--maps", "maps.parquet", "--members", "members"),
            *("-o", f"measurements/{path.stem}.parquet"),
        ).stderr
        for path in sorted(Path("work").iterdir())
    ]


def whole_curation():
    config = ("--config", "settings.yaml")
    run(
        *("curate", "metadata", "catalogue.parquet", "-o", "metadata.parquet"),
        *("--work", "lists", *config),
    )
    run(
        *("curate", "models", "catalogue.parquet", "--decisions", "metadata.parquet"),
        *("--fetches", "records/models", "-o", "models.parquet"),
        *("--clusters", "clusters.parquet", "--work", "work", *config),
    )
    measure()
    return run(
        *("curate", "maps", "catalogue.parquet", "--decisions", "metadata.parquet"),
        *("--decisions", "models.parquet", "--clusters", "clusters.parquet"),
        *("--measurements", "measurements", "-o", "decisions.parquet"),
        *("--pairs", "pairs.parquet", *config),
    )


def test_from_catalogue_to_split(folder):
    result = whole_curation()
    decisions = read_table("decisions.parquet", DECISIONS)
    ends = decisions.groupby("emdb_id").last()
    assert ends["filter"].to_dict() == {
        "EMD-0101": "correlation",
        "EMD-0102": "alignment",
        "EMD-0103": "polymers",
        "EMD-0104": "correlation",
        "EMD-0105": "measurement",
    }
    assert ends.loc["EMD-0105", "reason"] == "files.example/a.map.gz: 404, not there."
    assert ends.loc["EMD-0102", "value"] == pytest.approx(np.sqrt(9**2 + 6**2 + 12**2), abs=0.5)
    listed = [row["pdb_id"] for path in Path("lists").iterdir() for row in read_work(path, [])]
    # Not 9CCC: the metadata told enough.
    assert sorted(listed) == ["9AAA", "9BBB", "9DDD", "9EEE"]
    assert len(list(Path("work").iterdir())) == len(list(Path("lists").iterdir())) == 3
    pairs = read_table("pairs.parquet", PAIRS)
    assert list(pairs["emdb_id"]) == ["EMD-0101", "EMD-0104"]
    assert list(pairs["simulated"]) == [True, True]
    assert len(read_table("clusters.parquet", CLUSTERS)) == 4
    assert "alignment: 2 kept, 1 dropped, 0 failed" in result.stderr
    assert "polymers: 4 kept, 1 dropped, 0 failed" in result.stderr

    told = run("curate", "--explain", "EMD-0103", "--decisions", "decisions.parquet").stdout
    assert "dropped by the filter 'polymers'" in told

    (folder / "pins.yaml").write_text("split: {pinned: {EMD-0101: test, EMD-7777: train}}")
    result = run("split", "pairs.parquet", "-o", "split.parquet", "--config", "pins.yaml")
    chosen = read_table("split.parquet", SPLIT).set_index("emdb_id")["split"]
    assert chosen["EMD-0101"] == "test"
    assert "names EMD-7777, which is not a pair" in result.stderr
    assert result.stderr.count("warning: no pair is in") == 3 - chosen.nunique()


def test_a_changed_threshold_needs_no_new_measurement(folder):
    whole_curation()
    before = {path: path.read_bytes() for path in (folder / "measurements").iterdir()}
    (folder / "settings.yaml").write_text(SETTINGS.replace("0.3", "0.999"))
    (folder / "store" / "EMD-0101.map.gz").unlink()
    assert len(before) == 3
    run(
        *("curate", "maps", "catalogue.parquet", "--decisions", "metadata.parquet"),
        *("--decisions", "models.parquet", "--clusters", "clusters.parquet"),
        *("--measurements", "measurements", "-o", "decisions.parquet"),
        *("--pairs", "pairs.parquet", "--config", "settings.yaml"),
    )
    assert read_table("pairs.parquet", PAIRS).empty


def test_the_same_inputs_give_the_same_bytes(folder):
    whole_curation()
    names = ("metadata", "models", "clusters", "decisions", "pairs")
    before = [(folder / f"{name}.parquet").read_bytes() for name in names]
    whole_curation()
    assert [(folder / f"{name}.parquet").read_bytes() for name in names] == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("curate", "metadata", "none.parquet", "-o", "x"), "this table does not exist"),
        (("curate", "metadata", "settings.yaml", "-o", "x"), "is not a Parquet table"),
        (("split", "catalogue.parquet", "-o", "x"), "is another table, or of an earlier version"),
        (
            ("curate", "measure", "none.jsonl", "--maps", "empty", "--members", "m", "-o", "x"),
            "this work list does not exist",
        ),
    ],
)
def test_wrong_files_are_one_sentence_and_leave_nothing(folder, arguments, sentence):
    (folder / "empty").mkdir()
    with pytest.raises(CryosamuError, match=sentence):
        run(*arguments)
    assert not (folder / "x").exists()


def test_only_new_and_changed_pairs_are_measured(folder):
    whole_curation()
    tables = sorted(Path("measurements").iterdir())
    before = [path.read_bytes() for path in tables]
    lines = {path: path.read_text() for path in Path("work").iterdir()}
    (path,) = (path for path, text in lines.items() if "EMD-0104" in text)
    others = lines[path].count("\n") - 1
    path.write_text(lines[path].replace('"resolution": 5.5', '"resolution": 5.6'))
    told = "".join(measure())
    assert f": 1 pairs measured, {others} kept" in told
    assert told.count(": 0 pairs measured") == 2
    assert [path.read_bytes() for path in tables] != before
    path.write_text(lines[path])
    measure()
    assert [path.read_bytes() for path in tables] == before


def test_another_file_than_was_fetched_is_not_measured(folder):
    whole_curation()
    shutil.rmtree("members")
    store = Path("store/EMD-0104.map.gz")
    store.write_bytes(store.read_bytes() + b"more")
    with pytest.raises(CryosamuError, match=r"EMD-0104\.map\.gz: is not the map that"):
        measure()


def test_a_map_that_nobody_asked_for_is_said(folder):
    whole_curation()
    (line,) = (path for path in Path("work").iterdir() if "EMD-0104" in path.read_text())
    write_fetches("none.parquet", [])
    with pytest.raises(CryosamuError, match="its map was not fetched"):
        run("curate", "measure", line, "--maps", "none.parquet", "--members", "m", "-o", "x")


def test_what_belongs_elsewhere_is_no_data_set_of_losses(folder):
    whole_curation()
    for name in ("models", "decisions", "pairs"):
        (folder / f"{name}.parquet").unlink()
    (folder / "nothing").mkdir()
    write_table("empty.parquet", read_table("clusters.parquet", CLUSTERS)[:0], CLUSTERS)
    models = (
        *("curate", "models", "catalogue.parquet", "--decisions", "metadata.parquet"),
        *("-o", "models.parquet", "--clusters", "c.parquet", "--config", "settings.yaml"),
    )
    maps = (
        *("curate", "maps", "catalogue.parquet", "--decisions", "metadata.parquet"),
        *("-o", "decisions.parquet", "--pairs", "pairs.parquet", "--config", "settings.yaml"),
    )
    with pytest.raises(CryosamuError, match="nothing: holds no fetch of a model"):
        run(*models, "--fetches", "nothing")
    with pytest.raises(CryosamuError, match=r"empty\.parquet: has no component of EMD-0101"):
        run(*maps, "--clusters", "empty.parquet", "--measurements", "measurements")
    with pytest.raises(CryosamuError, match="nothing: holds no measurement"):
        run(*maps, "--clusters", "clusters.parquet", "--measurements", "nothing")
    for name in ("models", "decisions", "pairs"):
        assert not (folder / f"{name}.parquet").exists()
