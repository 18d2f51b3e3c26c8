"""What is seen in an input, on maps made to show one thing each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cryosamu.enhancement.checks.input_checks import Finding, check_input
from cryosamu.structure.model import Atoms
from cryosamu.volume.fourier import sharpen
from cryosamu.volume.volume import FileFrame, Volume

RESOLUTION = 5.0


def protein(size: float = 1.5, noise: float = 0.02) -> tuple[Volume, Atoms]:
    """A ball of atoms as Gaussians of B = 200 Å² on a grid, and their positions."""
    random = np.random.default_rng(7)
    count, voxels = 900, 48
    box = voxels * size
    directions = random.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    atoms = box / 2 + directions * (box / 3) * random.random((count, 1)) ** (1 / 3)
    axis = np.arange(voxels) * size
    sigma = np.sqrt(200 / (8 * np.pi**2) + 1)
    factors = [np.exp(-((axis - atoms[:, [d]]) ** 2) / (2 * sigma**2)) for d in range(3)]
    data = np.einsum("ax,ay,az->zyx", *factors)
    data += noise * data.max() * random.normal(size=data.shape)
    origin = (-30.0, 12.5, 100.0)
    one = np.ones(count)
    model = Atoms(atoms + origin, one.astype(np.int64), one * 200, one)
    return Volume(data.astype(np.float32), (size,) * 3, origin), model


def kinds(findings: list[Finding]) -> dict[str, float]:
    return {finding.kind: finding.value for finding in findings}


def test_nothing_is_said_of_an_ordinary_map() -> None:
    volume, atoms = protein()
    assert check_input(volume, RESOLUTION, atoms) == []
    assert check_input(volume) == []


def framed(nstart: tuple[int, int, int], origin: tuple[float, float, float], place) -> Volume:
    """The protein in a file of axis order z, x, y; 48 voxels of 1.5 Å."""
    frame = FileFrame((3, 1, 2), nstart, origin, (48, 48, 48), (72.0, 72.0, 72.0))
    return replace(protein()[0], origin=place, frame=frame)


def test_a_header_with_two_places_is_seen() -> None:
    origin = (15.0, -30.0, 3.0)
    [found] = check_input(framed((5, 10, -20), origin, origin))
    assert found.kind == "place"
    assert found.value == pytest.approx(3.0)  # z: 2 voxels by the origin, 5 by nstart
    assert "15.0, -30.0, 3.0 Å" in found.sentence
    assert "15.0, -30.0, 7.5 Å" in found.sentence
    assert check_input(framed((2, 10, -20), origin, origin)) == []
    assert check_input(framed((5, 10, -20), (0.0, 0.0, 0.0), (15.0, -30.0, 7.5))) == []


def test_inverted_contrast_is_seen() -> None:
    volume, _ = protein()
    assert kinds(check_input(volume.with_data(-volume.data)))["contrast"] > 3


def test_a_masked_map_is_seen_with_its_share() -> None:
    volume, _ = protein()
    data = volume.data.copy()
    data[:24] = 0
    found = check_input(volume.with_data(data))
    assert kinds(found)["masked"] == pytest.approx(0.5, abs=0.001)
    assert "50% of the voxels hold exactly 0" in found[0].sentence


@pytest.mark.parametrize("added", [-50.0, -150.0])
def test_the_b_factor_of_a_sharpened_map_is_measured(added: float) -> None:
    volume, _ = protein(noise=0)
    found = kinds(check_input(sharpen(volume, added - 300), RESOLUTION))
    # The atoms' own fall-off: B = 200 Å² and that of the 1 Å² that was added to their variance.
    own = 200 + 8 * np.pi**2
    assert found["sharpened"] == pytest.approx(own + added - 300, abs=40)


def test_the_fall_off_of_an_unsharpened_map_is_nothing_to_say() -> None:
    volume, _ = protein(noise=0)
    assert "sharpened" not in kinds(check_input(volume, RESOLUTION))


@pytest.mark.parametrize("factor", [0.93, 0.95, 1.07])
def test_a_wrong_voxel_size_is_told_by_the_model(factor: float) -> None:
    volume, atoms = protein()
    centre = atoms.positions.mean(axis=0)
    origin = tuple((centre + (np.array(volume.origin) - centre) * factor).tolist())
    wrong = replace(volume, voxel_size=(1.5 * factor,) * 3, origin=origin)
    assert kinds(check_input(wrong, RESOLUTION, atoms))["voxel_size"] == pytest.approx(
        1 / factor, abs=0.03
    )


def test_a_shell_is_hollow_and_a_ball_is_not() -> None:
    radius = np.linalg.norm(np.indices((40, 40, 40)) - 19.5, axis=0)
    shell = np.exp(-((radius - 14) ** 2) / 8).astype(np.float32)
    assert kinds(check_input(Volume(shell, (2.0,) * 3)))["hollow"] < 0.05
    ball = np.exp(-(radius**2) / 80).astype(np.float32)
    assert "hollow" not in kinds(check_input(Volume(ball, (2.0,) * 3)))


@pytest.mark.parametrize(("resolution", "word"), [(3.2, "lose detail"), (9.0, "guessed")])
def test_a_resolution_that_the_network_does_not_know_is_named(resolution: float, word: str) -> None:
    volume, _ = protein()
    [found] = [one for one in check_input(volume, resolution) if one.kind == "resolution"]
    assert word in found.sentence


def test_a_box_of_few_resolutions_is_small() -> None:
    volume, _ = protein()
    assert kinds(check_input(volume, 24.0))["size"] == pytest.approx(3.0)


def test_a_large_map_is_judged_by_fewer_voxels_and_alike() -> None:
    volume, _ = protein()
    large = Volume(np.tile(-volume.data, (5, 5, 5)), volume.voxel_size)
    small = kinds(check_input(volume.with_data(-volume.data)))
    assert kinds(check_input(large))["contrast"] == pytest.approx(small["contrast"], rel=0.15)


def test_a_constant_map_has_nothing_to_say() -> None:
    assert check_input(Volume(np.ones((8, 8, 8), np.float32), (1.0,) * 3), RESOLUTION) == []
