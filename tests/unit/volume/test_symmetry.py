"""Point groups in place: what they are, where they lie, and that a map takes them on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryosamu.errors import CryosamuError
from cryosamu.volume.symmetry import (
    Symmetry,
    correlation_under,
    find_symmetry,
    point_group,
    symmetrised,
)
from cryosamu.volume.volume import Volume

ORDERS = {"C1": 1, "C2": 2, "C7": 7, "D2": 4, "D5": 10, "T": 12, "O": 24, "I": 60}
SIZE, ORIGIN = 1.3, (-11.0, 4.0, 70.0)


def blobs(name: str, middle: float, edge: int = 48, copies: slice = slice(None)) -> Volume:
    """Gaussians of σ = 2.5 Å at the places of two points under the group, about index `middle`."""
    rotations = Rotation.create_group(name).as_matrix()
    rotations = rotations[np.argsort(-np.trace(rotations, axis1=1, axis2=2))][copies]
    points = np.array([[9.0, 3.0, 8.0], [4.0, 10.0, -6.0]])
    places = np.einsum("gij,pj->gpi", rotations, points).reshape(-1, 3)
    axis = (np.arange(edge) - middle) * SIZE
    factors = [np.exp(-((axis - places[:, [d]]) ** 2) / (2 * 2.5**2)) for d in range(3)]
    data = np.einsum("ax,ay,az->zyx", *factors)
    return Volume(data.astype(np.float32), (SIZE,) * 3, ORIGIN)


@pytest.mark.parametrize("name", ORDERS)
def test_a_point_group_is_closed_and_of_its_order(name: str) -> None:
    rotations = point_group(name)
    assert len(rotations) == ORDERS[name]
    assert np.allclose(rotations[0], np.eye(3))
    assert np.allclose(np.linalg.det(rotations), 1)
    products = np.einsum("aij,bjk->abik", rotations, rotations).reshape(-1, 1, 3, 3)
    assert (np.abs(products - rotations).max(axis=(2, 3)).min(axis=1) < 1e-9).all()


def test_the_axes_lie_as_single_particle_programs_put_them() -> None:
    c4 = point_group("c4")
    assert any(np.allclose(one @ [1, 0, 0], [0, 1, 0]) for one in c4), "the axis is not z"
    assert any(np.allclose(one, np.diag([1, -1, -1])) for one in point_group("D3")), "two-fold on x"


@pytest.mark.parametrize("name", ["C", "C0", "D1", "K", "C61", "TO", ""])
def test_what_is_no_group_is_refused(name: str) -> None:
    with pytest.raises(CryosamuError, match="no point group"):
        point_group(name)


@pytest.mark.parametrize("middle", [24.0, 23.5])
@pytest.mark.parametrize("name", ["C3", "D2"])
def test_the_middle_that_the_map_means_is_found(name: str, middle: float) -> None:
    volume = blobs(name, middle)
    found = find_symmetry(volume, name)
    assert found.centre[:2] == pytest.approx(volume.to_model_frame(np.full(3, middle))[:2])
    assert correlation_under(volume, found) > 0.9999


def test_a_map_without_the_symmetry_is_refused() -> None:
    with pytest.raises(CryosamuError, match="does not have the symmetry C5"):
        find_symmetry(blobs("C4", 24.0), "C5")


@pytest.mark.parametrize("name", ["C3", "C4", "C7", "D3", "O"])
def test_one_copy_becomes_all_of_them(name: str) -> None:
    """The mean over the group of one asymmetric unit is the whole, divided by the copies."""
    whole, one = blobs(name, 24.0), blobs(name, 24.0, copies=slice(1))
    centre = tuple(whole.to_model_frame(np.full(3, 24.0)).tolist())
    symmetry = Symmetry(name, point_group(name), centre)
    made = symmetrised(one, symmetry).data * len(symmetry.rotations)
    assert np.abs(made - whole.data).max() < 2e-3 * whole.data.max()


def test_ninety_degree_turns_are_exact_to_the_bit() -> None:
    random = np.random.default_rng(3)
    volume = Volume(random.normal(size=(33, 33, 33)).astype(np.float32), (1.1,) * 3)
    centre = tuple(volume.to_model_frame(np.full(3, 16.0)).tolist())
    symmetry = Symmetry("C4", point_group("C4"), centre)
    made = symmetrised(volume, symmetry).data
    # Four float32 values in another order: their float64 sum may differ in its last bit.
    assert np.array_equal(np.rot90(made, axes=(1, 2)), made) or np.allclose(
        np.rot90(made, axes=(1, 2)), made, rtol=0, atol=2e-7
    )


def test_unequal_boxes_and_voxels_keep_what_leaves_the_box() -> None:
    random = np.random.default_rng(4)
    volume = Volume(random.normal(size=(20, 24, 40)).astype(np.float32), (1.0, 1.2, 1.5))
    centre = tuple(volume.to_model_frame(np.array([19.5, 11.5, 9.5])).tolist())
    made = symmetrised(volume, Symmetry("C2", point_group("C2"), centre)).data
    assert np.allclose(made, (volume.data + volume.data[:, ::-1, ::-1]) / 2, atol=1e-6)
    made = symmetrised(volume, Symmetry("C4", point_group("C4"), centre)).data
    assert np.array_equal(made[:, :, 0], volume.data[:, :, 0])


def test_a_large_map_is_judged_on_a_coarser_grid_alike() -> None:
    edge = 200
    axis = (np.arange(edge) - 99.5) * SIZE
    rotations = Rotation.create_group("C3").as_matrix()
    places = np.einsum("gij,j->gi", rotations, np.array([45.0, 20.0, 30.0]))
    factors = [np.exp(-((axis - places[:, [d]]) ** 2) / (2 * 6.0**2)) for d in range(3)]
    data = sum(np.multiply.outer(np.outer(z, y), x) for x, y, z in zip(*factors, strict=True))
    volume = Volume(data.astype(np.float32), (SIZE,) * 3, ORIGIN)
    found = find_symmetry(volume, "C3")
    assert found.centre[:2] == pytest.approx(volume.to_model_frame(np.full(3, 99.5))[:2])
