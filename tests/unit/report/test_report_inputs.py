import pyarrow.parquet as pq
import pytest
from parsed_page import Page

from cryosamu import tables
from cryosamu.errors import CryosamuError
from cryosamu.pairs import write_pairs
from cryosamu.report.inputs import InputFiles, read_inputs
from cryosamu.report.page import render
from cryosamu.report.pairing import listed_pairings, parse_pairing


class TestInputs:
    def test_tables_are_read_as_they_were_written(self, tmp_path, evaluation, split):
        first = evaluation[evaluation["emdb_id"] == "EMD-1"]
        second = evaluation[evaluation["emdb_id"] == "EMD-2"]
        tables.write_table(tmp_path / "1.parquet", first, tables.EVALUATION)
        tables.write_table(tmp_path / "2.parquet", second, tables.EVALUATION)
        tables.write_table(tmp_path / "s.parquet", split, tables.SPLIT)
        both = (tmp_path / "1.parquet", tmp_path / "2.parquet")
        read = read_inputs(InputFiles(split=tmp_path / "s.parquet", evaluations=both))
        assert read.evaluation is not None
        assert len(read.evaluation) == len(evaluation)
        assert [name for name, _ in read.files] == ["s.parquet", "1.parquet", "2.parquet"]
        assert "EMD-2" in Page(render(read, "t")).words

    def test_the_same_table_twice_is_refused(self, tmp_path, evaluation):
        tables.write_table(tmp_path / "1.parquet", evaluation, tables.EVALUATION)
        twice = (tmp_path / "1.parquet", tmp_path / "1.parquet")
        with pytest.raises(CryosamuError, match="more than once"):
            read_inputs(InputFiles(evaluations=twice))

    def test_the_same_controls_twice_are_refused(self, tmp_path, controls):
        tables.write_table(tmp_path / "1.parquet", controls, tables.CONTROLS)
        twice = (tmp_path / "1.parquet", tmp_path / "1.parquet")
        with pytest.raises(CryosamuError, match="the control hallucination_score for EMD-1 more"):
            read_inputs(InputFiles(controls=twice))

    def test_a_table_of_an_earlier_version_is_refused(self, tmp_path, evaluation):
        path = tmp_path / "1.parquet"
        tables.write_table(path, evaluation, tables.EVALUATION)
        pq.write_table(pq.read_table(path).drop_columns(["mask", "floor", "baseline"]), path)
        words = r"earlier version \(it lacks mask, floor, baseline\); make it anew"
        with pytest.raises(CryosamuError, match=words):
            read_inputs(InputFiles(evaluations=(path,)))

    def test_another_table_is_refused(self, tmp_path, split):
        tables.write_table(tmp_path / "s.parquet", split, tables.SPLIT)
        with pytest.raises(CryosamuError, match=r"s\.parquet: is another table"):
            read_inputs(InputFiles(decisions=tmp_path / "s.parquet"))

    @pytest.mark.parametrize("text", ["EMD-1", "EMD-1=a,b", "=a,b,c", "EMD-1=a,,c", "E=a,b,c,d"])
    def test_a_pairing_of_another_form_is_refused(self, text):
        with pytest.raises(CryosamuError, match="write it as"):
            parse_pairing(text)

    def test_a_pairing(self):
        pairing = parse_pairing("EMD-1=a/b.map.gz,c.mrc,1ABC.cif.gz")
        assert (pairing.emdb_id, pairing.model.name) == ("EMD-1", "1ABC.cif.gz")

    def test_a_pairing_given_twice_is_refused(self, pairing):
        with pytest.raises(CryosamuError, match="more than once for EMD-1"):
            read_inputs(InputFiles(pairings=(pairing, pairing)))


class TestListedPairings:
    def test_a_list_gives_the_pairs_whose_enhanced_maps_are_there(self, tmp_path, pair_of):
        for name in ("map.mrc", "model.cif"):
            (tmp_path / name).write_text(name)
        files = tmp_path / "map.mrc", tmp_path / "model.cif"
        names = ("EMD-2007", "EMD-1001", "EMD-1300")
        write_pairs(tmp_path, [pair_of(*files, emdb_id=name) for name in names], 2)
        for name in names[:2]:
            path = tmp_path / "enhanced" / name[-2:] / f"{name}.mrc"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("a map")
        found = listed_pairings([tmp_path / "0.jsonl", tmp_path / "1.jsonl"], tmp_path / "enhanced")
        assert [one.emdb_id for one in found] == ["EMD-1001", "EMD-2007"]
        assert found[1] == parse_pairing(
            f"EMD-2007={files[0]},{tmp_path}/enhanced/07/EMD-2007.mrc,{files[1]}"
        )
