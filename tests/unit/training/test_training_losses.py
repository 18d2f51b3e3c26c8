"""The losses against other implementations, and what each must and must not notice."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity as their_similarity

from cryosamu.config import LossSettings
from cryosamu.errors import ConfigError
from cryosamu.training.losses import (
    correlation,
    low_pass_correlation,
    shell_correlation,
    structural_similarity,
    training_loss,
)

ALONE = {"smooth_l1": 0, "ssim": 0, "fourier_shell": 0}
PEARSON = LossSettings(**ALONE | {"correlation": 1})
LOW_PASS = LossSettings(**ALONE | {"low_pass_correlation": 1})
SSIM = LossSettings(**ALONE | {"ssim": 1})
FOURIER = LossSettings(**ALONE | {"fourier_shell": 1})


def cubes(seed, edge=20, batch=2):
    """Two batches of smooth cubes in [0, 1] that have something in common."""
    random = np.random.default_rng(seed)
    shape = (batch, 1, edge, edge, edge)
    common = gaussian_filter(random.random(shape), (0, 0, 1.5, 1.5, 1.5))
    both = [common + 0.05 * random.random(shape) for _ in range(2)]
    return [torch.tensor((cube / cube.max()).astype(np.float32)) for cube in both]


def shells_by_hand(one, other):
    """Mean FSC over the shells 1 to edge/2 by numpy's whole transform, shell after shell."""
    edge = one.shape[-1]
    line = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(edge) / edge)
    window = line[:, None, None] * line[:, None] * line
    a, b = (np.fft.fftn(cube.astype(float) * window) for cube in (one, other))
    k = np.fft.fftfreq(edge) * edge
    radius = np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2).round().astype(int)
    found = []
    for shell in range(1, edge // 2 + 1):
        x, y = a[radius == shell], b[radius == shell]
        powers = (np.abs(x) ** 2).sum() * (np.abs(y) ** 2).sum()
        found.append((x * y.conj()).sum().real / np.sqrt(powers + 1e-6))
    return np.mean(found)


def low_passed_by_hand(cube, detail):
    """A cube without detail finer than so many voxels, a cosine from 0.9 to 1.1 of that."""
    k = np.fft.fftfreq(cube.shape[-1])
    relative = detail * np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)
    phase = np.clip((relative - 0.9) / 0.2, 0, 1)
    return np.fft.ifftn(np.fft.fftn(cube.astype(float)) * (1 + np.cos(np.pi * phase)) / 2).real


@pytest.mark.parametrize("edge", [20, 25])
def test_low_passed_correlations_are_numpys_at_each_examples_own_resolution(edge):
    one, other = cubes(7, edge, batch=3)
    one += 0.1 * torch.randn(one.shape, generator=torch.Generator().manual_seed(1))
    details = [4.0, 7.5, np.nan]
    found = low_pass_correlation(one, other, torch.tensor(details))
    inner = (slice(4, edge - 4),) * 3
    wanted = []
    for a, b, detail in zip(one[:, 0].numpy(), other[:, 0].numpy(), details, strict=True):
        if detail == detail:
            a, b = low_passed_by_hand(a, detail), low_passed_by_hand(b, detail)
        wanted.append(np.corrcoef(a[inner].ravel(), b[inner].ravel())[0, 1])
    assert found.numpy() == pytest.approx(wanted, abs=2e-5)
    assert wanted[2] < wanted[0] - 0.1  # noise is what the filter takes out
    unfiltered = low_pass_correlation(one, other, None)
    unknown = low_pass_correlation(one, other, torch.full((3,), torch.nan))
    torch.testing.assert_close(unfiltered, unknown, rtol=0, atol=1e-5)
    assert float(unfiltered[2]) == pytest.approx(wanted[2], abs=2e-5)


def test_low_passed_crops_agree_with_whole_low_passed_maps():
    """That is what the rim is for: a crop's Fourier transform joins opposite faces."""
    (one,), (other,) = (cube[:, 0].numpy() for cube in cubes(9, 96, batch=1))
    other = gaussian_filter(other, 1.0)
    whole = [low_passed_by_hand(cube, 8.0)[24:64, 24:64, 24:64] for cube in (one, other)]
    wanted = np.corrcoef(*(cube.ravel() for cube in whole))[0, 1]
    crops = [torch.from_numpy(cube[None, None, 20:68, 20:68, 20:68]) for cube in (one, other)]
    found = low_pass_correlation(*crops, torch.tensor([8.0]))
    assert float(found) == pytest.approx(wanted, abs=3e-4)


def test_finer_detail_than_the_resolution_is_neither_rewarded_nor_punished():
    answer, target = cubes(9, 24)
    answer.requires_grad_()
    training_loss(answer, target, LOW_PASS, torch.tensor([6.0, torch.nan])).backward()
    power = torch.fft.fftn(answer.grad[:, 0], dim=(1, 2, 3)).abs().square()
    k = torch.fft.fftfreq(24)
    fine = (k[:, None, None] ** 2 + k[:, None] ** 2 + k**2).sqrt() > 1.1 / 6
    share = (power * fine).sum(dim=(1, 2, 3)) / power.sum(dim=(1, 2, 3))
    # The rim has a gradient of its own, through the filter alone.
    assert share[0] < 1e-9 < 0.5 < share[1]


def test_the_correlation_is_numpys_and_knows_neither_scale_nor_offset():
    random = np.random.default_rng(5)
    answer, target = random.normal(size=(2, 3, 1, 9, 9, 9)).astype(np.float32)
    target += answer
    found = correlation(torch.from_numpy(4 * answer + 2), torch.from_numpy(target))
    expected = [
        np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(answer, target, strict=True)
    ]
    assert found.numpy() == pytest.approx(expected, abs=1e-5)
    assert correlation(torch.ones(1, 1, 3, 3, 3), torch.rand(1, 1, 3, 3, 3)) == 0


@pytest.mark.parametrize("edge", [16, 21])
def test_the_similarity_is_that_of_scikit_image(edge):
    one, other = cubes(1, edge)
    wanted = [
        their_similarity(
            a[0].numpy(),
            b[0].numpy(),
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=1,
        )
        for a, b in zip(one.double(), other.double(), strict=True)
    ]
    found = structural_similarity(one, other)
    np.testing.assert_allclose(found, wanted, rtol=1e-3)
    assert max(wanted) < 0.98


@pytest.mark.parametrize("edge", [16, 21])
def test_the_shells_are_those_of_the_whole_transform(edge):
    one, other = cubes(2, edge)
    wanted = [shells_by_hand(a[0].numpy(), b[0].numpy()) for a, b in zip(one, other, strict=True)]
    np.testing.assert_allclose(shell_correlation(one, other), wanted, rtol=1e-4)


@settings(max_examples=20, deadline=None)
@given(scale=st.floats(0.1, 10), seed=st.integers(0, 100))
def test_the_shells_do_not_know_the_scale(scale, seed):
    one, other = cubes(seed)
    same = shell_correlation(one * scale, other)
    torch.testing.assert_close(same, shell_correlation(one, other), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "weights",
    [LossSettings(), PEARSON, LOW_PASS, SSIM, FOURIER],
    ids=["l1", "pearson", "low_pass", "ssim", "shell"],
)
def test_every_loss_falls_where_its_gradient_points(weights):
    answer, target = cubes(3)
    answer.requires_grad_()
    loss = training_loss(answer, target, weights)
    assert float(training_loss(target, target, weights)) == pytest.approx(0, abs=1e-4)
    loss.backward()
    assert torch.isfinite(answer.grad).all()
    with torch.no_grad():
        step = 0.01 * answer.grad / answer.grad.norm()
        assert training_loss(answer - step, target, weights) < loss
        assert training_loss(answer + step, target, weights) > loss


@pytest.mark.parametrize(
    "weights", [PEARSON, LOW_PASS, SSIM, FOURIER], ids=["pearson", "low_pass", "ssim", "shell"]
)
def test_empty_crops_give_finite_gradients(weights):
    answer = torch.zeros(2, 1, 16, 16, 16, requires_grad=True)
    detail = torch.tensor([5.0, torch.nan])
    training_loss(answer, torch.zeros(2, 1, 16, 16, 16), weights, detail).backward()
    assert torch.isfinite(answer.grad).all()


def test_the_losses_are_summed_by_their_weights():
    one, other = cubes(4)
    mixed = LossSettings(smooth_l1=2, ssim=0.5, fourier_shell=0.25)
    single = [float(training_loss(one, other, w)) for w in (LossSettings(), SSIM, FOURIER)]
    wanted = 2 * single[0] + 0.5 * single[1] + 0.25 * single[2]
    assert float(training_loss(one, other, mixed)) == pytest.approx(wanted)
    squared = 0.5 * (one - other).square().mean()  # below 1, smooth-L1 is half the square
    assert single[0] == pytest.approx(float(squared))


def test_the_loss_of_a_batch_is_the_mean_of_its_parts():
    one, other = cubes(5, batch=4)
    mixed = LossSettings(ssim=1, fourier_shell=1)
    parts = [training_loss(one[i : i + 2], other[i : i + 2], mixed) for i in (0, 2)]
    torch.testing.assert_close(training_loss(one, other, mixed), sum(parts) / 2)


def test_lower_precision_is_compared_in_float32():
    one, other = cubes(6)
    loss = training_loss(one.bfloat16(), other, FOURIER)
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(float(training_loss(one, other, FOURIER)), rel=0.05)


def test_a_training_without_any_loss_is_refused():
    from cryosamu.config import parse_config

    with pytest.raises(ConfigError, match="nothing to learn from"):
        parse_config({"training": {"losses": {"smooth_l1": 0}}})
