"""What the network is made to lessen: smooth-L1, and by choice correlation, structure, spectrum."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from cryosamu.config import LossSettings

_SIGMA, _RADIUS = 1.5, 5
_LUMINANCE, _CONTRAST = 0.01**2, 0.03**2
# Against the square root of zero where a shell is empty; far below a crop's power in any shell.
_SMALL = 1e-6
# Of a low-pass: width of its cosine edge over its frequency, and the voxels at a crop's faces
# that are left out after it, since there it mixes in what lies at the opposite face.
_EDGE, _RIM = 0.2, 4


def training_loss(
    answer: Tensor, target: Tensor, weights: LossSettings, detail: Tensor | None = None
) -> Tensor:
    """Return the weighted sum of the chosen losses, a mean over the examples.

    Parameters
    ----------
    answer, target
        float [batch, 1, z, y, x]; compared in float32 whatever precision the network ran in.
    detail
        float [batch]: the maps' resolutions in voxels, NaN where not known; None where none is.
    """
    answer, target = answer.float(), target.float()
    total = answer.new_zeros(())
    if weights.smooth_l1:
        total = total + weights.smooth_l1 * F.smooth_l1_loss(answer, target)
    if weights.ssim:
        total = total + weights.ssim * (1 - structural_similarity(answer, target).mean())
    if weights.correlation:
        total = total + weights.correlation * (1 - correlation(answer, target).mean())
    if weights.low_pass_correlation:
        similarity = low_pass_correlation(answer, target, detail)
        total = total + weights.low_pass_correlation * (1 - similarity.mean())
    if weights.fourier_shell:
        total = total + weights.fourier_shell * (1 - shell_correlation(answer, target).mean())
    return total


def correlation(answer: Tensor, target: Tensor) -> Tensor:
    """Return Pearson's correlation over each example's voxels [batch], 0 where one is constant.

    Parameters
    ----------
    answer, target
        float32 [batch, 1, z, y, x].
    """
    a, b = (
        values.flatten(1) - values.flatten(1).mean(1, keepdim=True) for values in (answer, target)
    )
    return F.cosine_similarity(a, b, dim=1, eps=_SMALL)


def low_pass_correlation(answer: Tensor, target: Tensor, detail: Tensor | None) -> Tensor:
    """Return Pearson's correlation of what both show at the map's resolution [batch].

    Enhanced maps are judged so: what is finer than the resolution, neither rewarded nor punished
    here, is left to the other losses. Low-passed as a periodic crop; without a rim of 4 voxels
    the correlation is within 0.0005 of that of the same voxels of whole low-passed maps.

    Parameters
    ----------
    answer, target
        float32 [batch, 1, z, y, x], edges of 12 and more.
    detail
        float32 [batch]: the resolutions in voxels; an example is not filtered where this is NaN,
        none where it is None.
    """
    if detail is not None:
        answer, target = (_low_passed(values, detail) for values in (answer, target))
    inner = slice(_RIM, -_RIM)
    return correlation(*(values[..., inner, inner, inner] for values in (answer, target)))


def _low_passed(values: Tensor, detail: Tensor) -> Tensor:
    """Return cubes [batch, 1, z, y, x] without detail finer than so many voxels, the edge soft."""
    shape = values.shape[2:]
    relative = _frequencies(tuple(shape), values.device) * detail.view(-1, 1, 1, 1, 1)
    phase = ((relative - (1 - _EDGE / 2)) / _EDGE).clamp(0, 1)
    gain = (0.5 + 0.5 * torch.cos(torch.pi * phase)).nan_to_num(1.0)
    filtered: Tensor = torch.fft.irfftn(
        torch.fft.rfftn(values, dim=(2, 3, 4)) * gain, s=shape, dim=(2, 3, 4)
    )
    return filtered


@cache
def _frequencies(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Return the frequency, per voxel, of each of the coefficients [z, y, x/2 + 1]."""
    z, y, x = (
        make(edge, device=device)
        for make, edge in zip((torch.fft.fftfreq,) * 2 + (torch.fft.rfftfreq,), shape, strict=True)
    )
    squares: Tensor = z[:, None, None] ** 2 + y[:, None] ** 2 + x**2
    return squares.sqrt()


def structural_similarity(answer: Tensor, target: Tensor) -> Tensor:
    """Return the SSIM of each example [batch], for values in [0, 1].

    Wang et al. 2004 (equation 13) in three dimensions: Gaussian weights of σ = 1.5 voxels within 5
    voxels, K1 = 0.01, K2 = 0.03, mean over the places where the weights lie within the crop.

    Parameters
    ----------
    answer, target
        float32 [batch, 1, z, y, x], edges of 11 and more.
    """
    moments = torch.cat((answer, target, answer**2, target**2, answer * target), dim=1)
    a, b, aa, bb, ab = _weighted_means(moments).unbind(1)
    variances = (aa - a * a) + (bb - b * b)
    similarity = ((2 * a * b + _LUMINANCE) * (2 * (ab - a * b) + _CONTRAST)) / (
        (a * a + b * b + _LUMINANCE) * (variances + _CONTRAST)
    )
    return similarity.flatten(1).mean(dim=1)


def _weighted_means(values: Tensor) -> Tensor:
    """Return Gaussian means [batch, channels, z - 10, y - 10, x - 10], one axis at a time."""
    places = torch.arange(-_RADIUS, _RADIUS + 1, device=values.device, dtype=values.dtype)
    kernel = torch.exp(-(places**2) / (2 * _SIGMA**2))
    kernel = kernel / kernel.sum()
    channels = values.shape[1]
    for axis in range(3):
        shape = [1, 1, 1, 1, 1]
        shape[2 + axis] = len(kernel)
        weight = kernel.view(shape).expand(channels, *[-1] * 4)
        values = F.conv3d(values, weight, groups=channels)
    return values


def shell_correlation(answer: Tensor, target: Tensor) -> Tensor:
    """Return the Fourier shell correlation of each example, a mean over its shells [batch].

    Re Σ A·B* / √(Σ|A|² Σ|B|²) over the shells 1 to edge/2 (Harauz & van Heel 1986), each one
    coefficient thick. A Hann window first: a crop's faces would otherwise be its strongest signal.

    Parameters
    ----------
    answer, target
        float32 [batch, 1, edge, edge, edge].
    """
    edge = answer.shape[-1]
    shells, multiplicity = _shells(edge, answer.device)
    a, b = (_spectrum(values) for values in (answer, target))
    sums = [
        torch.zeros(len(a), edge // 2 + 1, device=a.device).index_add(1, shells, power)
        for power in (
            (a * b.conj()).real.flatten(1) * multiplicity,
            a.abs().square().flatten(1) * multiplicity,
            b.abs().square().flatten(1) * multiplicity,
        )
    ]
    both, first, second = (shell[:, 1:] for shell in sums)
    correlation = both / torch.sqrt(first * second + _SMALL)
    return correlation.mean(dim=1)


def _spectrum(values: Tensor) -> Tensor:
    """Return half of the Fourier coefficients [batch, z, y, x/2 + 1] under a Hann window."""
    edge = values.shape[-1]
    window = torch.hann_window(edge, device=values.device, dtype=values.dtype)
    for axis in range(3):
        shape = [1, 1, 1]
        shape[axis] = edge
        values = values * window.view(shape)
    spectrum: Tensor = torch.fft.rfftn(values[:, 0], dim=(1, 2, 3))
    return spectrum


@cache
def _shells(edge: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return each coefficient's shell, 0 for those beyond edge/2, and how often it counts."""
    whole = torch.fft.fftfreq(edge, 1 / edge)
    half = torch.arange(edge // 2 + 1, dtype=whole.dtype)
    squares = whole[:, None, None] ** 2 + whole[None, :, None] ** 2 + half**2
    shells = squares.sqrt().round().long()
    shells[shells > edge // 2] = 0
    # The half along x that is not stored mirrors all but its first and last plane.
    mirrored = (half > 0) & (half < edge / 2)
    multiplicity = (1.0 + mirrored).expand(shells.shape)
    return shells.flatten().to(device), multiplicity.flatten().to(device)
