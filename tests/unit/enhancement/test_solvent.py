"""What is taken for solvent: never what a contour would show, and nothing where it is unsure."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from small_networks import Known, header_of, random_network
from torch.nn import functional as F

from cryosamu.config import EnhancementSettings
from cryosamu.enhancement.inference.solvent import Solvent, blended, find_solvent, solvent_outside
from cryosamu.enhancement.whole_map import enhance
from cryosamu.volume.volume import Volume

EXACT = EnhancementSettings(device="cpu", precision="float32")
ONE = (1.0, 1.0, 1.0)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def blob_in_noise(shape=(72, 72, 72), centre=(30, 36, 36), noise=1.0, height=30.0, seed=0):
    """A particle of 12 voxels' radius, noise correlated over two voxels, a negative halo."""
    rng = np.random.default_rng(seed)
    z, y, x = np.ogrid[tuple(slice(0, n) for n in shape)]
    radius = np.sqrt(sum((a - c) ** 2 for a, c in zip((z, y, x), centre, strict=True)))
    rough = gaussian_filter(rng.normal(size=shape), 1.0, mode="wrap")
    halo = -0.15 * height * np.exp(-(((radius - 17) / 3) ** 2))
    data = height * (radius < 12) + halo + noise * rough / rough.std()
    return data.astype(np.float32), radius


def weights_of(solvent):
    whole = tuple(slice(0, length) for length in solvent.shape)
    return np.array([plane.copy() for plane in solvent.planes(whole)])


def test_a_particle_in_noise_is_kept_and_its_surroundings_too():
    data, radius = blob_in_noise()
    solvent = find_solvent(Volume(data, ONE), data.shape)
    assert solvent.source == "noise"
    weights = weights_of(solvent)
    assert (weights[radius < 18] == 1).all()
    assert (weights[radius > 40] == 0).mean() > 0.9
    assert np.abs(np.diff(weights, axis=0)).max() < 0.2


@given(seed=st.integers(0, 50), height=st.floats(15, 60), contour=st.floats(5.5, 12))
@settings(max_examples=15, deadline=None)
def test_what_a_contour_shows_is_never_solvent(seed, height, contour):
    """A faint island of 2 voxels' radius, far from the particle, that the contour would show."""
    data, _ = blob_in_noise(height=height, seed=seed)
    data[60:64, 8:12, 8:12] += contour
    solvent = find_solvent(Volume(data, ONE), data.shape)
    shown = data > contour
    if solvent is not None:
        assert (weights_of(solvent)[shown] == 1).all()


def test_outside_a_mask_the_map_is_constant_and_left_out():
    data, radius = blob_in_noise()
    for background in (0.0, -0.37):
        masked = np.where(radius < 14, data, np.float32(background))
        solvent = find_solvent(Volume(masked, ONE), masked.shape)
        assert solvent.source == "constant"
        assert (weights_of(solvent)[radius < 15] == 1).all()
        assert solvent.kept < 0.5


def test_noise_within_a_spherical_mask_is_still_noise():
    data, _ = blob_in_noise((96, 96, 96), centre=(48, 48, 48))
    z, y, x = np.ogrid[:96, :96, :96]
    inside = (z - 47.5) ** 2 + (y - 47.5) ** 2 + (x - 47.5) ** 2 < 46**2
    solvent = find_solvent(Volume(np.where(inside, data, np.float32(0)), ONE), data.shape)
    assert solvent.source == "noise"
    assert solvent.kept < 0.5


def test_arrays_that_cannot_be_written_to_or_run_backwards_will_do():
    data, radius = blob_in_noise()
    backwards = np.ascontiguousarray(np.where(radius < 14, data, np.float32(0))[::-1])[::-1]
    backwards.flags.writeable = False
    assert find_solvent(Volume(backwards, ONE), data.shape).source == "constant"


@pytest.mark.parametrize("kind", ["noise alone", "density alone", "tiny", "crystal"])
def test_maps_without_solvent_are_computed_whole(kind):
    rng = np.random.default_rng(1)
    shape = (9, 9, 9) if kind == "tiny" else (64, 64, 64)
    data = gaussian_filter(rng.normal(size=shape), 1.5, mode="wrap").astype(np.float32)
    if kind == "density alone":
        data = np.exp(3 * data / data.std()).astype(np.float32)
    if kind == "crystal":
        data = np.maximum(data, 0) ** 2
    assert find_solvent(Volume(data, ONE), shape) is None


def test_a_given_mask_says_what_is_solvent_on_any_grid():
    mask = np.zeros((60, 60, 60), np.float32)
    mask[5:20, 5:20, 5:20] = 1
    size, values = (1.5, 1.5, 1.5), np.where(mask > 0, 9, 4).astype(np.float32)
    solvent = solvent_outside(Volume(mask, size), Volume(values, size), (90, 90, 90))
    assert solvent.level == 4
    weights = weights_of(solvent)
    assert (weights[8:30, 8:30, 8:30] == 1).all()
    assert (weights[55:] == 0).all()
    box = solvent.box(16, 4)
    assert all(cut.start == 0 and cut.stop < 80 for cut in box)
    full = Volume(np.ones((9, 9, 9), np.float32), ONE)
    assert solvent_outside(full, full, (9, 9, 9)) is None


def test_leaving_out_changes_nothing_where_the_answer_counts():
    data, radius = blob_in_noise((128, 72, 80))
    data[radius > 20] = 0
    volume = Volume(data, ONE)
    settings = EXACT.model_copy(update={"margin": 24})
    whole = enhance(
        volume, random_network(), header_of(),
        settings=settings.model_copy(update={"skip_solvent": False}),
    )  # fmt: skip
    cut = enhance(volume, random_network(), header_of(), settings=settings)
    assert whole.record["solvent"] is None
    assert cut.record["windows"]["passes_per_voxel"] < 0.9
    difference = np.abs(cut.volume.data - whole.volume.data)
    scale = whole.volume.data[radius < 20].std()
    assert difference[radius < 22].max() < 1e-5 * scale
    # Far from density the network answers as to empty input, but for the box's own faces.
    assert difference[12:-12, 12:-12, 12:-12].max() < 1e-3 * scale


def test_no_step_shows_where_the_answer_ends():
    data, _ = blob_in_noise()
    slow = Known(lambda d: 0.5 + 0 * d)
    made = enhance(Volume(data, ONE), slow, header_of(), settings=EXACT)
    assert made.record["solvent"]["told_by"] == "noise"
    assert np.ptp(made.volume.data) < 1e-5 * made.volume.data.mean()
    # An answer that differs from that to empty input everywhere fades over 8 Å.
    solvent = Solvent(np.array([[[1, 1, 0.5, 0, 0]]], np.float32), (4, 4, 20), "mask")
    box, into = (slice(0, 4), slice(0, 4), slice(0, 20)), np.full((4, 4, 20), 7, np.float32)
    faded = blended(np.ones((4, 4, 20), np.float32), box, solvent, 0, into)
    assert faded[0, 0, 0] == 1
    assert faded[0, 0, -1] == 0
    assert np.abs(np.diff(faded[0, 0])).max() <= 0.126


def test_a_user_mask_reaches_the_windows():
    data, _ = blob_in_noise((64, 64, 64))
    mask = np.zeros(data.shape, np.float32)
    mask[:16] = 1
    network = Known(lambda d: d)
    made = enhance(Volume(data, ONE), network, header_of(), settings=EXACT, mask=Volume(mask, ONE))
    assert made.record["solvent"]["told_by"] == "mask"
    assert network.shapes[0][0] < 64
    level = max(float(np.median(data[16:])), 0)
    assert np.abs(made.volume.data[50:] - level).max() < 1e-6
    assert made.working.shape == (64, 64, 64)
    assert np.array_equal(made.working.data, made.volume.data)


@pytest.mark.parametrize("kind", ["masked", "noise", "mask"])
def test_a_background_other_than_zero_stays(kind):
    """A network that changes nothing gives back the map: no step, no shell about what is kept."""
    data, radius = blob_in_noise()
    data = data + np.float32(20)
    if kind == "masked":
        data = np.where(radius < 14, data, np.float32(5))
    mask = Volume((radius < 14).astype(np.float32), ONE) if kind == "mask" else None
    network = Known(lambda d: d)
    made = enhance(Volume(data, ONE), network, header_of(), settings=EXACT, mask=mask)
    assert made.record["solvent"]["kept"] < 0.9
    far = made.volume.data[radius > 40]
    if kind == "masked":
        assert np.abs(made.volume.data - np.minimum(data, made.volume.data.max())).max() < 1e-4
    else:
        assert abs(far.mean() - np.median(data[radius > 40])) < 0.2
        assert far.std() < 1


@pytest.mark.parametrize("length", [90, 91, 93])
def test_leaving_out_changes_nothing_in_the_mean_over_rotations(length):
    """A network of stride 4 sees the same lattice in the box as in the whole, reversed or not."""

    def by_fours(density):
        return F.interpolate(F.avg_pool3d(density, 4), scale_factor=4.0)

    rng = np.random.default_rng(0)
    data = np.zeros((length, 90, 88), np.float32)
    data[36:48, 37:50, 40:52] = rng.random((12, 13, 12)) + 0.1
    settings = EXACT.model_copy(update={"margin": 8, "averaging": 8})
    cut, whole = (
        enhance(
            Volume(data, ONE), Known(by_fours), header_of(),
            settings=settings.model_copy(update={"skip_solvent": skip}),
        )
        for skip in (True, False)
    )  # fmt: skip
    assert cut.record["solvent"]["box"][0] < length
    assert np.abs(cut.volume.data - whole.volume.data).max() < 1e-6


@pytest.mark.parametrize("shape", [(1, 29, 27), (2, 64, 64), (29, 1, 27)])
def test_a_map_of_one_section_goes_through(shape):
    data = np.zeros(shape, np.float32)
    data[:, -9:, -9:] = np.random.default_rng(0).random(data[:, -9:, -9:].shape) + 1
    for mask in (None, Volume((data > 0).astype(np.float32), ONE)):
        made = enhance(
            Volume(data, ONE), Known(lambda d: d), header_of(percentile=100), settings=EXACT,
            mask=mask,
        )  # fmt: skip
        assert np.abs(made.volume.data - data).max() < 1e-5
