"""The tools that build the embedded archive: same bytes, headers in every form, cut-outs."""

import sys
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from embedded_archive import map_path, stored_map
from hypothesis import given, settings
from hypothesis import strategies as st

from cryosamu.volume.io import read_map
from cryosamu.volume.volume import Volume


class TestBuilder:
    @pytest.fixture(autouse=True)
    def _tools(self, monkeypatch):
        monkeypatch.syspath_prepend(str(Path(__file__).parents[3] / "tools"))
        yield
        for name in ("build_embedded_archive", "embedded_grids", "embedded_entries"):
            sys.modules.pop(name, None)

    def test_the_same_content_gives_the_same_bytes(self, tmp_path):
        from build_embedded_archive import Builder, write_gzip

        volume = stored_map("EMD-900004")
        contents = []
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
            builder = Builder(tmp_path, tmp_path, tmp_path / name)
            write_gzip(tmp_path / f"{name}.gz", builder._map_bytes("EMD-1", volume, "label"))
            contents.append((tmp_path / f"{name}.gz").read_bytes())
        assert contents[0] == contents[1]
        assert contents[0][4:8] == bytes(4)  # no time in the gzip header

    def test_the_stored_map_is_what_the_builder_writes(self, tmp_path):
        from build_embedded_archive import Builder, write_gzip

        stored = map_path("EMD-900004")
        volume = read_map(stored)
        label = volume.frame.labels[-1]
        bare = Volume(
            volume.data, volume.voxel_size, volume.origin,
            type(volume.frame)(**{**vars(volume.frame), "labels": ()}),
        )  # fmt: skip
        written = Builder(tmp_path, tmp_path, tmp_path)._map_bytes("EMD-900004", bare, label)
        with mrcfile.open(stored) as handle:
            expected = bytes(handle.header.tobytes()) + handle.data.tobytes()
        assert written == expected
        write_gzip(tmp_path / "again.gz", written)
        assert read_map_bytes(tmp_path / "again.gz") == read_map_bytes(stored)

    @settings(max_examples=25, deadline=None)
    @given(st.integers(0, 2**31), st.sampled_from(["origin", "nstart", "permuted", "larger_cell"]))
    def test_headers_put_the_box_where_it_was(self, tmp_path_factory, seed, placement):
        from embedded_grids import header

        from cryosamu.volume.io import write_map

        rng = np.random.default_rng(seed)
        start, counts = rng.integers(-40, 40, 3), rng.integers(3, 9, 3)
        frame = header(placement, start, counts, 1.25)
        data = rng.standard_normal(counts[::-1]).astype(np.float32)
        origin = tuple(float(one) for one in 1.25 * start)
        path = tmp_path_factory.mktemp("placed") / "map.mrc"
        write_map(path, Volume(data, (1.25, 1.25, 1.25), origin, frame), "test")
        found = read_map(path)
        assert found.origin == pytest.approx(origin, abs=1e-4)
        assert found.voxel_size == pytest.approx((1.25, 1.25, 1.25))
        np.testing.assert_array_equal(found.data, data)

    def test_a_cut_out_keeps_every_voxel_in_its_place(self):
        from embedded_grids import cut_out

        whole = stored_map("EMD-3488")
        part = cut_out(whole, np.array([20.0, 30.0, 40.0]), np.array([50.0, 45.0, 70.0]))
        corner = part.to_model_frame(np.array([2.0, 3.0, 4.0]))
        i, j, k = np.rint(whole.to_grid(corner)).astype(int)
        assert part.data[4, 3, 2] == whole.data[k, j, i]
        assert part.frame.nstart == (19, 28, 38)


def read_map_bytes(path):
    return read_map(path).data.tobytes()
