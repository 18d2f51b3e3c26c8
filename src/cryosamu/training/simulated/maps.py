"""Scenes made into maps and their targets, many at a time, on any device.

All that is linear happens in one spectrum: atoms with their B factors, solvent, noise, sharpening
and filters. A map is cut from the middle of a larger periodic box, so that nothing of one face
reaches the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cryosamu.training.simulated.columns import ConditionColumns
from cryosamu.training.simulated.deposit import deposit, inverse_spline
from cryosamu.training.simulated.scene import Scene

MARGIN = 8
"""Voxels of the box around what is used of it."""

_ATOM_B_FACTOR = 13.5
"""Å²: C, N and O in proteins fall off so as electron scatterers, to 4 Å (ITC C 4.3.2.2)."""

_NODES = (0.0, 1 / 9, 4 / 9, 1.0)
"""Shares of the largest B factor for which densities are made; atoms lie between two of them."""

_ATOM_VOLUME = 17.0
"""Å³ of a protein for each of its heavy atoms: 1.21 Å³ a dalton, 14 dalton an atom."""

_ATOM_WEIGHT, _ATOM_POWER, _ATOM_NUMBER = 5.6, 33.0, 6.7
"""Means over the heavy atoms of proteins: weight in the map, its square, atomic number."""

_HIGHEST = 2.5
"""Limit of the exponent by which noise outgrows what it is at its resolution."""


@dataclass(frozen=True)
class SimulatedMaps:
    """Maps and targets in [0, 1], float32 [scenes, view, view, view], axes z, y, x."""

    density: Tensor
    target: Tensor


@dataclass(frozen=True)
class Frequencies:
    """The half spectrum [edge, edge, edge/2 + 1] of a box.

    Attributes
    ----------
    x, y, z
        1/Å, broadcastable to the spectrum.
    square
        s² in 1/Å².
    """

    x: Tensor
    y: Tensor
    z: Tensor
    square: Tensor

    @classmethod
    def of(cls, edge: int, voxel_size: float, device: torch.device) -> Frequencies:
        """Return the frequencies of a cube of `edge` voxels of so many Å."""
        whole = torch.fft.fftfreq(edge, voxel_size, device=device)
        x = torch.fft.rfftfreq(edge, voxel_size, device=device)[None, None, :]
        y, z = whole[None, :, None], whole[:, None, None]
        return cls(x, y, z, x**2 + y**2 + z**2)


def box_edge(view: int) -> int:
    """Return the edge in voxels of the box that a view of so many is cut from."""
    return view + 2 * MARGIN


def make_maps(
    scenes: Sequence[Scene],
    view: int,
    voxel_size: float,
    percentile: float,
    target_sigma: Callable[[float], float],
    device: torch.device,
) -> SimulatedMaps:
    """Simulate scenes; the same scenes give the same bits on a CPU with as many threads.

    Parameters
    ----------
    scenes
        Drawn in a box of `box_edge(view)` voxels.
    percentile
        Of the positive voxels, that becomes 1, as `volume.normalise` has it.
    target_sigma
        The width in Å of the target's Gaussians at a resolution in Å.
    """
    edge = box_edge(view)
    frequencies = Frequencies.of(edge, voxel_size, device)
    spectra = _atom_spectra(scenes, edge, device)
    numbers = ConditionColumns(scenes, device)
    atoms, wanted = spectra[:, :-1], spectra[:, -1]
    envelope = 1 - torch.exp(
        -2 * _atoms_within(atoms.sum(1) / _ATOM_WEIGHT, 2.5, 1.0, frequencies).clamp(min=0)
    )
    signal = _signal(atoms, envelope, numbers, frequencies, voxel_size)
    noise = _noise(scenes, envelope, numbers, frequencies, voxel_size)
    band = _band(numbers, frequencies)
    density = _inverse((signal + noise) * _transfer(numbers, frequencies) * band)
    density = _levelled(density, envelope, numbers)
    if any(scene.conditions.mask_radius is not None for scene in scenes):
        density = density * _masks(scenes, wanted, frequencies)
        density = _inverse(torch.fft.rfftn(density, dim=(1, 2, 3)) * band)
    sigmas = [target_sigma(scene.conditions.resolution) for scene in scenes]
    width = 2 * math.pi**2 * torch.tensor(sigmas, device=device).view(-1, 1, 1, 1) ** 2
    target = _inverse(wanted * torch.exp(-width * frequencies.square))
    middle = (slice(None), *[slice(MARGIN, MARGIN + view)] * 3)
    return SimulatedMaps(
        normalised(density[middle], percentile, numbers.gain),
        normalised(target[middle], percentile, torch.ones_like(numbers.gain)),
    )


def normalised(maps: Tensor, percentile: float, gain: Tensor) -> Tensor:
    """Divide each map by `gain` times a percentile of its positive voxels; clip to [0, 1].

    With a gain of 1 the same as `volume.normalise`.

    Parameters
    ----------
    maps
        float32 [n, z, y, x].
    gain
        float32 [n, 1, 1, 1].
    """
    flat = maps.flatten(1)
    positive = (flat > 0).sum(dim=1)
    rest = 1 - percentile / 100
    # Ranks from the top; numpy's percentile interpolates between neighbours.
    rank = (positive - 1).clamp(min=0).double() * rest
    most = min(math.ceil(rest * flat.shape[1]) + 2, flat.shape[1])
    top = flat.topk(most, dim=1).values
    below = rank.floor().long()[:, None]
    higher, lower = top.gather(1, below), top.gather(1, (below + 1).clamp(max=most - 1))
    scale = torch.lerp(higher, lower, (rank[:, None] - below).to(top.dtype))
    scale = scale.clamp(min=torch.finfo(top.dtype).tiny).view(-1, 1, 1, 1)
    return (maps / (scale * gain)).clamp(0, 1)


def _inverse(spectrum: Tensor) -> Tensor:
    edge = spectrum.shape[1]
    values: Tensor = torch.fft.irfftn(spectrum, s=(edge, edge, edge), dim=(1, 2, 3))
    return values


def _atom_spectra(scenes: Sequence[Scene], edge: int, device: torch.device) -> Tensor:
    """Return the spectra of point atoms, complex [scenes, nodes + 1, edge, edge, edge/2 + 1].

    An atom is shared out between the two nearest nodes of mobility; the last is the target's.
    """
    channels = len(_NODES) + 1
    nodes = torch.tensor(_NODES)
    places, grids, weights = [], [], []
    for number, scene in enumerate(scenes):
        positions = torch.from_numpy(scene.positions)
        mobility = torch.from_numpy(scene.mobility)
        lower = torch.bucketize(mobility, nodes[1:-1], right=True)
        upper_share = (mobility - nodes[lower]) / (nodes[lower + 1] - nodes[lower])
        weight = torch.from_numpy(scene.weights)
        wanted = torch.from_numpy(scene.target_weights)
        told = wanted != 0
        first = number * channels
        places += [positions, positions, positions[told]]
        grids += [first + lower, first + lower + 1]
        grids.append(torch.full((int(told.sum()),), first + channels - 1))
        weights += [weight * (1 - upper_share), weight * upper_share, wanted[told]]
    laid = torch.zeros(len(scenes) * channels, edge, edge, edge, device=device)
    deposit(laid, *(torch.cat(column).to(device) for column in (places, grids, weights)))
    spectra: Tensor = torch.fft.rfftn(laid, dim=(1, 2, 3)) * inverse_spline(edge, device)
    return spectra.view(len(scenes), channels, edge, edge, -1)


def _atoms_within(
    spectrum: Tensor, radius: float | Tensor, blur: float | Tensor, frequencies: Frequencies
) -> Tensor:
    """Return how many atoms lie within `radius` Å of each voxel, smoothed by `blur` Å.

    The transform of a ball of radius r is 4π (sin q − q cos q) / k³ with q = 2π s r, k = 2π s.
    """
    k = 2 * math.pi * frequencies.square.sqrt().clamp(min=1e-4)
    q = k * radius
    ball = 4 * math.pi * (torch.sin(q) - q * torch.cos(q)) / k**3
    smooth = torch.exp(-2 * math.pi**2 * blur**2 * frequencies.square)
    voxel = _voxel_volume(frequencies)
    return _inverse(spectrum * (ball * smooth / voxel))


def _voxel_volume(frequencies: Frequencies) -> float:
    """Return Å³, from the step of the frequencies: 1 / (edge · voxel size)."""
    edge = frequencies.z.shape[0]
    return float(1 / (frequencies.x[0, 0, 1] * edge)) ** 3


def _signal(
    atoms: Tensor,
    envelope: Tensor,
    numbers: ConditionColumns,
    frequencies: Frequencies,
    voxel_size: float,
) -> Tensor:
    """Return the spectrum of the molecule in solvent, blurred as its places are."""
    signal = torch.zeros_like(atoms[:, 0])
    for node, share in enumerate(_NODES):
        width = (_ATOM_B_FACTOR + share * numbers.local) / 4
        signal += atoms[:, node] * torch.exp(-width * frequencies.square)
    density = _ATOM_WEIGHT / _ATOM_VOLUME * voxel_size**3
    displaced = torch.fft.rfftn(numbers.solvent * density * envelope, dim=(1, 2, 3))
    x, y, z = numbers.axis
    along: Tensor = (x * frequencies.x + y * frequencies.y + z * frequencies.z) ** 2
    seen: Tensor = (signal - displaced) * torch.exp(-numbers.anisotropy / 4 * along)
    return seen


def _noise(
    scenes: Sequence[Scene],
    envelope: Tensor,
    numbers: ConditionColumns,
    frequencies: Frequencies,
    voxel_size: float,
) -> Tensor:
    """Return the spectrum of the noise, its power against Wilson's mean power of the atoms.

    Where half maps have an FSC of 0.143, the FSC of the whole map to the truth is 0.5 and its
    noise has three times the signal's power (Rosenthal and Henderson 2003). Both are taken within
    a mask `noise_volume` times as large as the molecule, as programs do that report resolution.
    """
    shape = envelope.shape[1:]
    white = torch.stack([_white(scene, shape, envelope.device) for scene in scenes])
    white *= numbers.outside + (1 - numbers.outside) * envelope
    growth = numbers.noise / 2 * (frequencies.square - numbers.noise_square)
    power = numbers.mismatch + 3 * torch.exp(growth.clamp(max=_HIGHEST))
    of_atoms = _ATOM_POWER / _ATOM_VOLUME * voxel_size**3 / numbers.volume
    fall = torch.exp(-(_ATOM_B_FACTOR + numbers.mean_local) / 4 * frequencies.square)
    coloured: Tensor = torch.fft.rfftn(white, dim=(1, 2, 3)) * ((power * of_atoms).sqrt() * fall)
    return coloured


def _white(scene: Scene, shape: torch.Size, device: torch.device) -> Tensor:
    generator = torch.Generator(device).manual_seed(scene.noise_seed)
    return torch.randn(shape, generator=generator, device=device)


def _transfer(numbers: ConditionColumns, frequencies: Frequencies) -> Tensor:
    """Return what sharpening, low-pass and the loss of the lowest frequencies multiply by."""
    sharpening = (numbers.mean_local - numbers.net) / 4 * frequencies.square
    relative = frequencies.square.sqrt() * numbers.low_pass
    width = numbers.low_pass_edge.clamp(min=1e-3)
    phase = ((relative - 1) / width + 0.5).clamp(0, 1)
    kept = 0.5 + 0.5 * torch.cos(math.pi * phase)
    lost = numbers.halo * torch.exp(-frequencies.square * numbers.halo_length**2)
    # Limited where it would run over, far beyond any low-pass.
    transfer: Tensor = torch.exp(sharpening.clamp(max=40)) * kept * (1 - lost)
    return transfer


def _band(numbers: ConditionColumns, frequencies: Frequencies) -> Tensor:
    """Return 1 for what the depositors' grid can hold, 0 beyond."""
    inside = frequencies.x.abs() <= numbers.nyquist
    inside = inside & (frequencies.y.abs() <= numbers.nyquist)
    return (inside & (frequencies.z.abs() <= numbers.nyquist)).to(frequencies.square.dtype)


def _levelled(density: Tensor, envelope: Tensor, numbers: ConditionColumns) -> Tensor:
    """Put the solvent at zero on average, then off it by `offset`."""
    axes = (1, 2, 3)
    outside = 1 - envelope
    level = (density * outside).sum(axes, keepdim=True) / outside.sum(axes, keepdim=True)
    density = density - level
    inside = envelope.sum(axes, keepdim=True).clamp(min=1)
    spread = ((density**2 * envelope).sum(axes, keepdim=True) / inside).sqrt()
    return density + numbers.offset * spread


def _masks(scenes: Sequence[Scene], wanted: Tensor, frequencies: Frequencies) -> Tensor:
    """Return masks around the target's atoms, 1 where a scene has none."""
    masks = []
    for number, scene in enumerate(scenes):
        radius, edge = scene.conditions.mask_radius, scene.conditions.mask_edge
        if radius is None:
            masks.append(wanted.new_ones(wanted.shape[1], *wanted.shape[1:3], dtype=torch.float32))
            continue
        blur = max(edge / 2.5, 0.5)
        spectrum = wanted[number : number + 1] / _ATOM_NUMBER
        count = _atoms_within(spectrum, radius, blur, frequencies)[0]
        masks.append((count > 0.5).float() if edge == 0 else 1 - torch.exp(-3 * count.clamp(min=0)))
    return torch.stack(masks)
