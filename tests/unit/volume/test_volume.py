import numpy as np
import pytest

from cryosamu.volume.volume import Volume

FRAME = Volume(np.zeros((4, 5, 6), np.float32), (1.5, 2.0, 2.5), (10.0, -20.0, 30.0))


def test_positions_and_indices_are_inverse_and_in_x_y_z_order():
    indices = np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0], [-4.5, 0.25, 6.0]])
    positions = FRAME.to_model_frame(indices)
    assert positions[1].tolist() == [11.5, -16.0, 37.5]
    assert np.allclose(FRAME.to_grid(positions), indices)


def test_the_box_is_voxels_times_size_in_x_y_z_order():
    assert FRAME.shape == (4, 5, 6)
    assert FRAME.box == (9.0, 10.0, 10.0)


def test_other_voxels_keep_the_frame_and_must_fit_it():
    ones = FRAME.with_data(np.ones((4, 5, 6)))
    assert ones.data.dtype == np.float32
    assert (ones.voxel_size, ones.origin) == (FRAME.voxel_size, FRAME.origin)
    with pytest.raises(ValueError, match=r"\(5, 4, 6\).*\(4, 5, 6\)"):
        FRAME.with_data(np.ones((5, 4, 6), np.float32))


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (np.zeros((2, 2), np.float32), 1.0),
        (np.zeros((2, 2, 2), np.float64), 1.0),
        (np.zeros((2, 2, 2), np.float32), 0.0),
    ],
)
def test_what_is_no_volume_is_refused(data, size):
    with pytest.raises(ValueError, match=r"volume|voxel size"):
        Volume(data, (1.0, size, 1.0))
