"""Where a voxel lies: through the working grid and back, and as other programs read it."""

import bz2
import gzip
import math
import tracemalloc
from pathlib import Path

import gemmi
import mrcfile
import numpy as np
import pytest
import scipy.signal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mrc_bytes import VOXEL_TYPES, mrc_bytes

from cryosamu.volume.grid import grid_shape, resample
from cryosamu.volume.io import read_map, write_map
from cryosamu.volume.volume import Volume

SHARED = Path(__file__).parents[4] / "shared/data/maps"
REAL = ("EMD-5925/EMD-5925_chain_masked", "EMD-6187/EMD-6187_K", "EMD-6374/EMD-6374_chainD")
AXIS_ORDERS = [(1, 2, 3), (3, 2, 1), (2, 1, 3), (1, 3, 2), (2, 3, 1), (3, 1, 2)]
PACKINGS = {"plain": bytes, "gzip": gzip.compress, "bzip2": bz2.compress}
KEPT_WORDS = {
    "nstart": slice(16, 28),
    "sampling": slice(28, 40),
    "cell": slice(40, 52),
    "angles": slice(52, 64),
    "axes": slice(64, 76),
    "space group": slice(88, 92),
    "origin": slice(196, 208),
}
SHIFT = st.tuples(*[st.integers(-90, 90)] * 3)
PLACE = st.one_of(
    st.just((0.0, 0.0, 0.0)), st.tuples(*[st.floats(-500, 500, width=32)] * 3)
)  # fmt: skip


def voxels(mode, shape, seed=0):
    values = np.random.default_rng(seed).normal(30, 20, shape)
    return values.astype(VOXEL_TYPES[mode]) if mode in (2, 12) else np.rint(values).clip(0, 100)


def there_and_back(data, working):
    """The band that both grids hold, by scipy in double precision."""
    for axis, (old, new) in enumerate(zip(data.shape, working, strict=True)):
        data = scipy.signal.resample(scipy.signal.resample(data, new, axis=axis), old, axis=axis)
    return data


@given(
    axes=st.sampled_from(AXIS_ORDERS),
    mode=st.sampled_from(sorted(VOXEL_TYPES)),
    shape=st.tuples(*[st.integers(2, 11)] * 3),
    sizes=st.tuples(*[st.floats(0.5, 3)] * 3),
    beyond=st.tuples(*[st.integers(0, 20)] * 3),
    nstart=SHIFT,
    origin=PLACE,
    big_endian=st.booleans(),
    packing=st.sampled_from(sorted(PACKINGS)),
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_network_that_changes_nothing_gives_back_the_file(
    tmp_path, axes, mode, shape, sizes, beyond, nstart, origin, big_endian, packing
):
    """`shape` is the file's own (sections, rows, columns), voxel sizes lie along x, y, z."""
    counts = dict(zip(axes, reversed(shape), strict=True))
    sampling = tuple(counts[axis] + more for axis, more in zip((1, 2, 3), beyond, strict=True))
    cell = tuple(n * size for n, size in zip(sampling, sizes, strict=True))
    raw = mrc_bytes(
        voxels(mode, shape), mode, nstart=nstart, sampling=sampling, cell=cell, axes=axes,
        origin=origin, big_endian=big_endian, labels=[b"padded with blanks".ljust(80)],
    )  # fmt: skip
    source, copy = tmp_path / "in.map", tmp_path / "out.map"
    source.write_bytes(PACKINGS[packing](raw))

    volume = read_map(source)
    working = resample(volume, grid_shape(volume, 1.0))
    assert working.origin == volume.origin
    assert working.box == pytest.approx(volume.box)
    assert write_map(copy, volume.with_data(resample(working, volume.shape).data), "new") is None

    written = copy.read_bytes()
    for name, words in KEPT_WORDS.items():
        before = np.frombuffer(raw[words], ">u4" if big_endian else "<u4")
        assert np.array_equal(np.frombuffer(written[words], "<u4"), before), name
    assert written[224:384] == raw[224:304] + b"new".ljust(80, b"\x00")
    counted = np.frombuffer(raw[:12], ">i4" if big_endian else "<i4")
    assert written[:16] == np.array([*counted, 2], "<i4").tobytes()
    again = read_map(copy)
    assert again.origin == volume.origin
    assert again.voxel_size == volume.voxel_size
    expected = there_and_back(volume.data.astype(np.float64), working.shape)
    assert np.abs(again.data - expected).max() < 1e-4
    if all(new >= old for old, new in zip(volume.shape, working.shape, strict=True)):
        assert np.abs(again.data - volume.data).max() < 1e-4


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real maps of ../shared/data are not here")
@pytest.mark.parametrize("name", REAL)
def test_real_headers_are_written_back_to_the_bit(tmp_path, name):
    raw = gzip.decompress((SHARED / f"{name}.mrc.gz").read_bytes())
    volume = read_map(SHARED / f"{name}.mrc.gz")
    assert write_map(tmp_path / "a.mrc", volume, "new") is None
    written = (tmp_path / "a.mrc").read_bytes()
    for words in KEPT_WORDS.values():
        assert written[words] == raw[words]
    labels = 80 * len(volume.frame.labels)
    assert written[224 : 224 + labels] == raw[224 : 224 + labels]
    assert written[1024:] == raw[1024:]


NAN, INFINITE = float("nan"), math.inf
CHIMERAX = {
    "nstart alone": ((8, -4, 20), (0, 0, 0), (12.0, -8.0, 50.0)),
    "origin alone": ((0, 0, 0), (1.5, 0, -2.5), (1.5, 0.0, -2.5)),
    "both: the origin": ((8, -4, 20), (0, 0, 7.0), (0.0, 0.0, 7.0)),
    "an origin that is no number": ((8, -4, 20), (NAN, 1.0, 2.0), (12.0, -8.0, 50.0)),
    "an infinite origin": ((8, -4, 20), (1.0, -INFINITE, 2.0), (12.0, -8.0, 50.0)),
    "an origin never set": ((8, -4, 20), (1e30, 1.0, 2.0), (12.0, -8.0, 50.0)),
    "nstart never set": ((-(2**31), 0, 0), (0, 0, 0), (0.0, 0.0, 0.0)),
    "nstart at ten boxes": ((300, 0, 0), (0, 0, 0), (450.0, 0.0, 0.0)),
    "nstart beyond ten boxes": ((301, 0, 0), (0, 0, 0), (0.0, 0.0, 0.0)),
}


@pytest.mark.parametrize("case", CHIMERAX)
def test_a_map_lies_where_chimerax_shows_it(tmp_path, case):
    """Its rule: github.com/RBVI/ChimeraX, src/bundles/map_data/src/mrc/mrc_format.py."""
    nstart, origin, place = CHIMERAX[case]
    raw = mrc_bytes(
        voxels(2, (3, 4, 5)), nstart=nstart, origin=origin, sampling=(10, 20, 30),
        cell=(15.0, 40.0, 75.0),
    )  # fmt: skip
    (tmp_path / "a.mrc").write_bytes(raw)
    volume = read_map(tmp_path / "a.mrc")
    assert volume.origin == place
    write_map(tmp_path / "b.mrc", volume, "new")
    assert (tmp_path / "b.mrc").read_bytes()[196:208] == raw[196:208]
    assert read_map(tmp_path / "b.mrc").origin == place


@pytest.mark.parametrize("axes", AXIS_ORDERS)
def test_what_is_written_lies_where_gemmi_and_mrcfile_read_it(tmp_path, axes):
    """gemmi goes by nstart alone; mrcfile gives the header's words as they are."""
    start, counts = {1: -3, 2: 4, 3: 11}, {1: 7, 2: 9, 3: 5}
    stored = voxels(2, tuple(counts[axis] for axis in reversed(axes)), seed=3)
    raw = mrc_bytes(
        stored, nstart=tuple(start[axis] for axis in axes), axes=axes, origin=(0.0, 0.0, 0.0),
        sampling=(20, 24, 30), cell=(22.0, 36.0, 40.5),
    )  # fmt: skip
    (tmp_path / "a.ccp4").write_bytes(raw)
    volume = read_map(tmp_path / "a.ccp4")
    write_map(tmp_path / "b.ccp4", volume.with_data(2 * volume.data), "doubled")

    other = gemmi.read_ccp4_map(str(tmp_path / "b.ccp4"))
    other.setup(NAN)
    for (k, j, i), value in np.ndenumerate(volume.data):
        here = volume.to_model_frame(np.array([i, j, k]))
        point = other.grid.get_nearest_point(gemmi.Position(*here))
        assert point.value == 2 * value
        assert np.allclose(other.grid.point_to_position(point).tolist(), wrapped(here), atol=1e-4)
    with mrcfile.open(tmp_path / "b.ccp4") as handle:
        assert tuple(handle.voxel_size.item()) == pytest.approx(volume.voxel_size)
        by_axis = dict(zip(axes, handle.nstart.item(), strict=True))
        assert by_axis == start
        place = [by_axis[axis] * volume.voxel_size[axis - 1] for axis in (1, 2, 3)]
        assert place == pytest.approx(volume.origin)
        assert tuple(handle.header.origin.item()) == (0.0, 0.0, 0.0)
        assert np.array_equal(handle.data, 2 * stored)


def test_gemmi_does_not_read_the_origin_words(tmp_path):
    """So a map that says its place there alone lies elsewhere for it: docs/geometry.md says so."""
    raw = mrc_bytes(
        voxels(2, (3, 4, 5)), nstart=(2, -4, 6), origin=(100.0, 0.0, 50.0), sampling=(20, 24, 30),
        cell=(22.0, 36.0, 40.5),
    )  # fmt: skip
    (tmp_path / "a.mrc").write_bytes(raw)
    volume = read_map(tmp_path / "a.mrc")
    assert volume.origin == (100.0, 0.0, 50.0)
    other = gemmi.read_ccp4_map(str(tmp_path / "a.mrc"))
    other.setup(NAN)
    by_nstart = np.multiply((2, -4, 6), volume.voxel_size)
    assert other.grid.get_nearest_point(gemmi.Position(*by_nstart)).value == volume.data[0, 0, 0]


def wrapped(position):
    return np.mod(position, (22.0, 36.0, 40.5))


def test_a_computed_map_lies_where_mrcfile_reads_its_origin(tmp_path):
    volume = Volume(voxels(2, (4, 5, 6)).astype("f4"), (1.5, 1.25, 0.75), (-3.0, 4.5, 100.25))
    write_map(tmp_path / "a.mrc", volume, "working grid")
    with mrcfile.open(tmp_path / "a.mrc") as handle:
        assert tuple(handle.header.origin.item()) == volume.origin
        assert tuple(handle.nstart.item()) == (0, 0, 0)
        assert tuple(handle.voxel_size.item()) == volume.voxel_size
    assert read_map(tmp_path / "a.mrc").origin == volume.origin


def label(raw, place):
    return raw[224 + 80 * place : 304 + 80 * place]


def test_ten_labels_are_kept_but_the_oldest_which_is_told(tmp_path):
    texts = [f"step {number}".encode().ljust(80) for number in range(10)]
    (tmp_path / "a.mrc").write_bytes(mrc_bytes(voxels(2, (3, 3, 3)), labels=texts))
    assert write_map(tmp_path / "b.mrc", read_map(tmp_path / "a.mrc"), "the eleventh") == "step 0"
    written = (tmp_path / "b.mrc").read_bytes()
    assert [label(written, place) for place in range(9)] == texts[1:]
    assert label(written, 9) == b"the eleventh".ljust(80, b"\x00")


def test_a_blank_label_gives_way_before_a_text_does(tmp_path):
    texts = [b"first", *[f"step {number}".encode() for number in range(4)], b" ", *[b"later"] * 4]
    (tmp_path / "a.mrc").write_bytes(mrc_bytes(voxels(2, (3, 3, 3)), labels=texts))
    assert write_map(tmp_path / "b.mrc", read_map(tmp_path / "a.mrc"), "new") is None
    kept = [text for text in texts if text != b" "]
    written = (tmp_path / "b.mrc").read_bytes()
    assert [label(written, place).rstrip(b" \x00") for place in range(10)] == [*kept, b"new"]


@pytest.mark.parametrize(("told", "kept"), [(0, 2), (1, 2), (-5, 2), (4, 4), (99, 10)])
def test_labels_are_kept_whatever_their_number_is_said_to_be(tmp_path, told, kept):
    raw = mrc_bytes(voxels(2, (3, 3, 3)), labels=[b"one", b"two"], label_count=told)
    (tmp_path / "a.mrc").write_bytes(raw)
    assert len(read_map(tmp_path / "a.mrc").frame.labels) == kept
    write_map(tmp_path / "b.mrc", read_map(tmp_path / "a.mrc"), "three")
    written = (tmp_path / "b.mrc").read_bytes()
    assert (label(written, 0), label(written, 1)) == (label(raw, 0), label(raw, 1))


OPERATORS = b"X,Y,Z".ljust(80) + b"-X,-Y,Z".ljust(80)


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("kind", [b"CCP4", bytes(4)])
def test_symmetry_operators_are_kept(tmp_path, kind, big_endian, packing):
    options = {"extended": OPERATORS, "extended_type": kind, "big_endian": big_endian}
    raw = mrc_bytes(voxels(2, (3, 4, 5)), space_group=4, **options)
    (tmp_path / "a.mrc").write_bytes(PACKINGS[packing](raw))
    write_map(tmp_path / "b.mrc", read_map(tmp_path / "a.mrc"), "new")
    written = (tmp_path / "b.mrc").read_bytes()
    assert written[1024:1184] == OPERATORS
    assert len(written) == 1184 + 4 * 60
    with mrcfile.open(tmp_path / "b.mrc") as handle:
        assert handle.header.nsymbt == 160
        assert handle.header.exttyp == b"CCP4"
        assert np.array_equal(handle.data, voxels(2, (3, 4, 5)))
    assert mrcfile.validate(str(tmp_path / "b.mrc"))


@pytest.mark.parametrize(
    ("extended", "kind"),
    [(OPERATORS, b"FEI1"), (OPERATORS[:-1], b"CCP4"), (b"\x07" * 160, b"CCP4"), (b"", b"CCP4")],
)
def test_what_is_not_symmetry_is_left_out_whole(tmp_path, extended, kind):
    raw = mrc_bytes(voxels(2, (3, 4, 5)), extended=extended, extended_type=kind)
    (tmp_path / "a.mrc").write_bytes(raw)
    volume = read_map(tmp_path / "a.mrc")
    assert np.array_equal(volume.data, voxels(2, (3, 4, 5)))
    write_map(tmp_path / "b.mrc", volume, "new")
    assert (tmp_path / "b.mrc").stat().st_size == 1024 + 4 * 60
    assert mrcfile.validate(str(tmp_path / "b.mrc"))


def test_statistics_are_those_of_the_voxels_far_from_zero_too(tmp_path):
    data = (1e4 + np.random.default_rng(0).normal(size=(30, 31, 32))).astype(np.float32)
    write_map(tmp_path / "a.mrc", Volume(data, (1.0, 1.0, 1.0)), "noise")
    with mrcfile.open(tmp_path / "a.mrc") as handle:
        header = handle.header
        assert (header.dmin, header.dmax) == (data.min(), data.max())
        assert header.dmean == np.float32(data.mean(dtype=np.float64))
        assert header.rms == pytest.approx(float(data.std(dtype=np.float64)), rel=1e-6)


@pytest.mark.parametrize("mode", sorted(VOXEL_TYPES))
def test_reading_takes_five_times_the_file_at_most(tmp_path, mode):
    raw = mrc_bytes(voxels(mode, (64, 80, 96)), mode, axes=(3, 2, 1), big_endian=True)
    (tmp_path / "a.mrc").write_bytes(raw)
    read_map(tmp_path / "a.mrc")
    tracemalloc.start()
    try:
        read_map(tmp_path / "a.mrc")
        assert tracemalloc.get_traced_memory()[1] < 5 * len(raw) + 300_000
    finally:
        tracemalloc.stop()


def test_writing_takes_no_second_map(tmp_path):
    volume = Volume(voxels(2, (64, 80, 96)).astype("f4"), (1.0, 1.0, 1.0))
    write_map(tmp_path / "a.mrc", volume, "x")
    tracemalloc.start()
    try:
        write_map(tmp_path / "a.mrc", volume, "x")
        assert tracemalloc.get_traced_memory()[1] < volume.data.nbytes / 4
    finally:
        tracemalloc.stop()
