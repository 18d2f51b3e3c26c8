import numpy as np
import pytest
from small_pairs import empty, molecule

from cryosamu.evaluation.frame import in_box
from cryosamu.evaluation.masks import gaussian_blur, model_mask, soft_model_mask

RADII = {"C": 1.775, "N": 1.50, "O": 1.45, "S": 1.80, "H": 1.20, "P": 1.90, "Zn": 1.39}


def periodic_distances(grid, position):
    """Distance in Å of each voxel to the nearest image of a position, [nz, ny, nx]."""
    squared = 0
    for axis, shape in zip((0, 1, 2), ((1, 1, -1), (1, -1, 1), (-1, 1, 1)), strict=True):
        edge = grid.box[axis]
        points = np.arange(grid.shape[2 - axis]) * grid.voxel_size[axis]
        apart = (points - position[axis] + edge / 2) % edge - edge / 2
        squared = squared + (apart**2).reshape(shape)
    return np.sqrt(squared)


def by_definition(boxed, grid, extra):
    """The mask of metrics.md, one distance at a time."""
    core, shell = np.zeros(grid.shape, bool), np.zeros(grid.shape, bool)
    for site in boxed[0].all():
        distance = periodic_distances(grid, site.atom.pos.tolist())
        radius = RADII[site.atom.element.name] + extra
        core |= distance < radius
        shell |= distance < radius + 1.1
    near_outside = np.zeros(grid.shape, bool)
    for k, j, i in np.ndindex(5, 5, 5):
        offset = np.array([i - 2, j - 2, k - 2]) * grid.voxel_size
        if np.linalg.norm(offset) < 0.9:
            near_outside |= np.roll(~shell, (k - 2, j - 2, i - 2), (0, 1, 2))
    return core | (shell & ~near_outside)


@pytest.mark.parametrize("extra", [0.0, 3.0])
@pytest.mark.parametrize("voxel", [(1.1, 1.2, 1.3), (0.5, 0.6, 0.9), (2.0, 2.0, 2.0)])
def test_mask_follows_its_definition(voxel, extra):
    grid = empty((40, 36, 38), voxel)
    structure = molecule(atoms=14, centre=(3.0, 5.0, 30.0))  # reaches over the box's edges
    for site, element in zip(structure[0].all(), ("H", "P", "Zn"), strict=False):
        site.atom.element = type(site.atom.element)(element)
        site.atom.occ = 0.0
    boxed = in_box(structure, grid)
    np.testing.assert_array_equal(model_mask(boxed, grid, extra), by_definition(boxed, grid, extra))


def test_blur_is_a_periodic_gaussian():
    grid = empty((24, 24, 24), (1.0, 1.0, 1.0))
    point = grid.data.copy()
    point[0, 0, 0] = 1
    blurred = gaussian_blur(grid.with_data(point), 2.0).data
    distance = periodic_distances(grid, (0, 0, 0))
    expected = np.exp(-(distance**2) / 8) / (2 * np.pi * 4) ** 1.5
    np.testing.assert_allclose(blurred, expected, atol=1e-6)


def test_soft_mask_is_one_deep_inside_and_nothing_far_away():
    grid = empty((60, 60, 60), (2.0, 2.0, 2.0))
    boxed = in_box(molecule(centre=(30.0, 30.0, 30.0)), grid)
    mask = soft_model_mask(boxed, grid, 3.0)
    assert mask.min() >= 0
    assert mask[45, 45, 45] < 1e-4
    wide = model_mask(boxed, grid, 6.0)
    assert mask.sum() == pytest.approx(wide.sum(), rel=1e-3)
    assert 0.6 < mask[15, 15, 15] <= 1.001
