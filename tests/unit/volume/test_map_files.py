import gzip
import tracemalloc

import gemmi
import mrcfile
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mrc_bytes import VOXEL_TYPES, mrc_bytes

from cryosamu.errors import CryosamuError, MapError
from cryosamu.volume.io import read_map, write_map
from cryosamu.volume.volume import Volume

quick = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
small = st.integers(1, 6)
float32 = st.floats(-1e4, 1e4, width=32)
AXIS_ORDERS = [(1, 2, 3), (3, 2, 1), (2, 1, 3), (1, 3, 2), (2, 3, 1), (3, 1, 2)]


def voxels_of(mode, shape, seed=0):
    values = np.random.default_rng(seed).integers(-100, 100, shape)
    if mode == 6:
        values += 40000
    return (values / 8 if mode in (2, 12) else values).astype(VOXEL_TYPES[mode])


@given(
    axes=st.sampled_from(AXIS_ORDERS),
    mode=st.sampled_from(sorted(VOXEL_TYPES)),
    shape=st.tuples(small, small, small),
    nstart=st.tuples(*[st.integers(-500, 500)] * 3),
    origin=st.tuples(float32, float32, float32),
    sampling=st.tuples(*[st.integers(2, 50)] * 3),
    cell=st.tuples(*[st.floats(1, 900, width=32)] * 3),
    space_group=st.sampled_from([0, 1, 4]),
    labels=st.lists(
        st.text(st.characters(min_codepoint=33, max_codepoint=255), min_size=1, max_size=80),
        max_size=10,
    ),
    big_endian=st.booleans(),
    compressed=st.booleans(),
    extended=st.binary(max_size=99),
)
@quick
def test_a_map_is_written_back_in_the_frame_that_it_came_in(
    tmp_path, axes, mode, shape, nstart, origin, sampling, cell, space_group, labels, big_endian,
    compressed, extended,
):  # fmt: skip
    stored = voxels_of(mode, shape)
    raw = mrc_bytes(
        stored, mode, nstart=nstart, sampling=sampling, cell=cell, axes=axes, origin=origin,
        space_group=space_group, labels=[text.encode("latin-1").ljust(80) for text in labels],
        big_endian=big_endian, extended=extended,
    )  # fmt: skip
    source, copy = tmp_path / "a.map", tmp_path / ("b.mrc.gz" if compressed else "b.mrc")
    source.write_bytes(gzip.compress(raw) if compressed else raw)

    volume = read_map(source)
    # Element by element: file index (c, r, s) is voxel (x, y, z) through mapc, mapr, maps.
    for (s, r, c), value in np.ndenumerate(stored):
        place = dict(zip(axes, (c, r, s), strict=True))
        assert volume.data[place[3], place[2], place[1]] == np.float32(value)

    write_map(copy, volume, "one more")
    written = gzip.decompress(copy.read_bytes()) if compressed else copy.read_bytes()
    expected = mrc_bytes(
        stored.astype("f4"), 2, nstart=nstart, sampling=sampling, cell=cell, axes=axes,
        origin=origin, space_group=space_group,
        labels=[
            *(text.encode("latin-1").ljust(80) for text in labels), b"one more".ljust(80, b"\x00"),
        ][-10:],
    )  # fmt: skip
    statistics, version = slice(76, 88), slice(108, 112)
    assert without(written, statistics, version) == without(expected, statistics, version)


def without(raw, *parts):
    kept = bytearray(raw)
    for part in parts:
        kept[part] = bytes(len(kept[part]))
    kept[216:220] = bytes(4)  # rms
    return bytes(kept)


@pytest.mark.parametrize("axes", AXIS_ORDERS)
def test_every_voxel_lies_where_gemmi_places_it(tmp_path, axes):
    """nstart ≠ 0 in a cell larger than the map: gemmi interpolates our voxels at our positions."""
    shape = {1: 7, 2: 9, 3: 5}
    stored = voxels_of(2, tuple(shape[axis] for axis in reversed(axes)), seed=3)
    start = {1: -3, 2: 4, 3: 11}
    raw = mrc_bytes(
        stored, nstart=tuple(start[axis] for axis in axes), axes=axes,
        sampling=(20, 24, 30), cell=(22.0, 36.0, 40.5),
    )  # fmt: skip
    path = tmp_path / "a.ccp4"
    path.write_bytes(raw)
    volume = read_map(path)

    other = gemmi.read_ccp4_map(str(path))
    other.setup(0.0)
    for (k, j, i), value in np.ndenumerate(volume.data):
        position = gemmi.Position(*volume.to_model_frame(np.array([i, j, k])))
        assert other.grid.interpolate_value(position) == pytest.approx(value, abs=2e-4)


def test_voxel_size_and_origin_of_the_header_follow_mrc2014(tmp_path):
    path = tmp_path / "a.mrc"
    options = {"sampling": (10, 20, 30), "cell": (15.0, 40.0, 75.0), "nstart": (2, 4, -6)}
    path.write_bytes(mrc_bytes(voxels_of(2, (3, 4, 5)), **options))
    volume = read_map(path)
    assert volume.voxel_size == (1.5, 2.0, 2.5)
    assert volume.origin == (3.0, 8.0, -15.0)  # nstart in voxels
    path.write_bytes(mrc_bytes(voxels_of(2, (3, 4, 5)), origin=(0.0, 7.5, 0.0), **options))
    assert read_map(path).origin == (0.0, 7.5, 0.0)  # any origin word overrides nstart
    path.write_bytes(mrc_bytes(voxels_of(2, (3, 4, 5)), axes=(3, 1, 2), **options))
    assert read_map(path).origin == (4 * 1.5, -6 * 2.0, 2 * 2.5)  # nstart is in the file's order


def test_what_is_written_is_a_valid_map_for_mrcfile(tmp_path, capsys):
    data = np.random.default_rng(1).normal(size=(4, 5, 6)).astype(np.float32)
    computed = Volume(data, (1.25, 2.0, 0.5), (-3.0, 4.5, 100.25))
    for name in ("a.mrc", "a.map.gz"):
        write_map(tmp_path / name, computed, "computed")
        assert mrcfile.validate(str(tmp_path / name)), capsys.readouterr().out
        with mrcfile.open(tmp_path / name) as other:
            assert np.array_equal(other.data, data)
            assert tuple(other.header.origin.item()) == computed.origin
            assert tuple(other.voxel_size.item()) == computed.voxel_size
            assert other.header.dmax == data.max()
            assert other.header.rms == pytest.approx(data.std(), rel=1e-6)
            assert [str(text) for text in other.get_labels()] == ["computed"]


@pytest.mark.parametrize("section", [0, 2, 3])
def test_a_header_tells_what_is_no_number_wherever_it_stands(tmp_path, section):
    data = np.random.default_rng(1).normal(size=(4, 5, 6)).astype(np.float32)
    data[section, 1, 1] = np.nan
    write_map(tmp_path / "a.mrc", Volume(data, (1.0, 1.0, 1.0)), "computed")
    with mrcfile.open(tmp_path / "a.mrc") as other:
        assert np.isnan([other.header.dmin, other.header.dmax, other.header.dmean]).all()


@pytest.mark.parametrize("offset", [0.0, 1e4, -1e6])
def test_a_large_offset_hides_no_spread(tmp_path, offset):
    data = (np.random.default_rng(2).normal(size=(6, 7, 8)) + offset).astype(np.float32)
    write_map(tmp_path / "a.mrc", Volume(data, (1.0, 1.0, 1.0)), "computed")
    with mrcfile.open(tmp_path / "a.mrc") as other:
        exact = data.astype(np.float64)
        assert other.header.rms == pytest.approx(exact.std(), rel=1e-6)
        assert other.header.dmean == pytest.approx(exact.mean(), rel=1e-6, abs=1e-6)


def test_a_compressed_map_is_the_same_bytes_whatever_its_name_and_time(tmp_path, monkeypatch):
    volume = Volume(voxels_of(2, (6, 6, 6)), (1.0, 1.0, 1.0))
    write_map(tmp_path / "a.mrc.gz", volume, "x")
    monkeypatch.setattr("time.time", lambda: 1.0e9)
    write_map(tmp_path / "other.mrc.gz", volume, "x")
    assert (tmp_path / "a.mrc.gz").read_bytes() == (tmp_path / "other.mrc.gz").read_bytes()


def test_the_byte_order_of_the_voxels_counts_where_the_machine_stamp_is_wrong(tmp_path):
    stored = voxels_of(2, (3, 4, 5))
    path = tmp_path / "a.mrc"
    path.write_bytes(mrc_bytes(stored, big_endian=True, stamp=b"\x44\x44\x00\x00"))
    assert np.array_equal(read_map(path).data, stored)


CUBE = voxels_of(2, (4, 4, 4))
HOLE = np.where(np.arange(64).reshape(4, 4, 4) == 17, np.nan, CUBE)
SPIKE = np.where(np.arange(64).reshape(4, 4, 4) == 17, np.inf, CUBE)
REFUSED = {
    "not a map": (b"this is a text about maps\n" * 100, "is not an MRC/CCP4 map"),
    "empty": (b"", "is not an MRC/CCP4 map"),
    "half a header": (mrc_bytes(CUBE)[:500], "is not an MRC/CCP4 map"),
    "no voxels": (mrc_bytes(CUBE)[:1024], "is cut short"),
    "one byte short": (mrc_bytes(CUBE)[:-1], "is cut short"),
    "short by its extended header": (mrc_bytes(CUBE, extended=b"x" * 99)[:-50], "is cut short"),
    "NaN": (mrc_bytes(HOLE), "NaN or infinite"),
    "infinite": (mrc_bytes(SPIKE), "NaN or infinite"),
    "monoclinic": (mrc_bytes(CUBE, angles=(90, 104.5, 90)), "orthogonal"),
    "nan angle": (mrc_bytes(CUBE, angles=(90, float("nan"), 90)), "orthogonal"),
    "zero cell": (mrc_bytes(CUBE, cell=(0.0, 0.0, 0.0)), "voxel size is zero"),
    "zero sampling": (mrc_bytes(CUBE, sampling=(4, 0, 4), cell=(4, 4, 4)), "voxel size is zero"),
    "negative cell": (mrc_bytes(CUBE, cell=(4.0, -4.0, 4.0)), "voxel size is zero"),
    "nan cell": (mrc_bytes(CUBE, cell=(4.0, float("nan"), 4.0)), "voxel size is zero"),
    "absurd": (mrc_bytes(np.where(HOLE == HOLE, CUBE, 1e30)), "no density is"),
    "image stack": (mrc_bytes(CUBE, space_group=0, sampling=(4, 4, 1)), "stack of images"),
    "one image": (mrc_bytes(CUBE[:1], space_group=0), "is an image"),
    "complex": (mrc_bytes(CUBE, mode=4), "mode 4"),
    "axes": (mrc_bytes(CUBE, axes=(1, 2, 2)), "axis order"),
    "negative count": (mrc_bytes(CUBE, shape=(-4, 4, -4)), "claims"),
    "zero count": (mrc_bytes(CUBE, shape=(4, 0, 4)), "claims"),
    "27 billion voxels": (mrc_bytes(CUBE, shape=(30000,) * 3), "claims"),
    "overflowing count": (mrc_bytes(CUBE, shape=(65536, 65536, 1)), "claims"),
    "4 GB in a kilobyte": (mrc_bytes(CUBE, shape=(1000,) * 3), "is cut short"),
    "volume stack": (mrc_bytes(CUBE, space_group=401), "stack of volumes"),
}


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("fault", REFUSED)
def test_a_bad_map_is_refused_in_one_sentence_without_taking_memory(tmp_path, fault, compressed):
    raw, sentence = REFUSED[fault]
    path = tmp_path / "bad.map"
    path.write_bytes(gzip.compress(raw) if compressed else raw)
    tracemalloc.start()
    try:
        with pytest.raises(MapError) as caught:
            read_map(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    if not (compressed and sentence == "is cut short"):
        assert sentence in str(caught.value)
    assert peak < 4e6


def test_a_missing_map_and_a_folder_are_named(tmp_path):
    with pytest.raises(CryosamuError, match="does not exist"):
        read_map(tmp_path / "none.map")
    with pytest.raises(CryosamuError, match="is a folder"):
        read_map(tmp_path)


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9, 0.99])
def test_a_gzip_stream_cut_short_is_refused(tmp_path, keep):
    raw = gzip.compress(mrc_bytes(np.random.default_rng(0).normal(size=(20, 20, 20))))
    path = tmp_path / "cut.map.gz"
    path.write_bytes(raw[: int(len(raw) * keep)])
    with pytest.raises(MapError, match="fetch it again"):
        read_map(path)


def test_a_gzip_stream_with_a_flipped_bit_is_refused(tmp_path):
    raw = bytearray(gzip.compress(mrc_bytes(np.random.default_rng(0).normal(size=(20, 20, 20)))))
    raw[-6] ^= 1  # the checksum, which only a reader that goes to the end looks at
    path = tmp_path / "flipped.map.gz"
    path.write_bytes(raw)
    with pytest.raises(MapError, match="cut short or damaged"):
        read_map(path)


def test_a_gzip_bomb_behind_a_small_header_is_refused_without_swelling(tmp_path):
    path = tmp_path / "bomb.map.gz"
    path.write_bytes(gzip.compress(mrc_bytes(CUBE) + bytes(60_000_000), compresslevel=1))
    tracemalloc.start()
    try:
        with pytest.raises(MapError, match="far more than the map"):
            read_map(path)
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()


def test_a_little_padding_after_the_voxels_is_let_pass(tmp_path):
    for compress in (bytes, gzip.compress):
        path = tmp_path / "padded.map"
        path.write_bytes(compress(mrc_bytes(CUBE) + bytes(512)))
        assert np.array_equal(read_map(path).data, CUBE)


def test_angles_that_were_never_set_count_as_right(tmp_path):
    path = tmp_path / "a.map"
    path.write_bytes(mrc_bytes(CUBE, angles=(0, 0, 0)))
    assert read_map(path).voxel_size == (1.0, 1.0, 1.0)


@given(st.data())
@settings(quick, max_examples=300)
def test_a_mutated_header_gives_a_volume_or_a_sentence(tmp_path, data):
    raw = bytearray(mrc_bytes(CUBE, labels=[b"one"]))
    for _ in range(data.draw(st.integers(1, 4))):
        word = data.draw(st.integers(0, 55))
        value = data.draw(
            st.one_of(
                st.binary(min_size=4, max_size=4),
                st.integers(-5, 5).map(lambda n: n.to_bytes(4, "little", signed=True)),
            )
        )
        raw[4 * word : 4 * word + 4] = value
    raw = bytes(raw[: data.draw(st.integers(0, len(raw)))]) if data.draw(st.booleans()) else raw
    path = tmp_path / "mutated.map"
    path.write_bytes(raw)
    try:
        volume = read_map(path)
    except MapError as error:
        sentence = str(error)
    else:
        sentence = str(path)
        assert volume.data.nbytes <= 4 * len(raw)
        assert np.isfinite(volume.data).all()
    assert str(path) in sentence
    assert "\n" not in sentence
