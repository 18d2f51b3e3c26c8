"""The nets that surfaces are drawn from, made by the page's own script."""

import numpy as np
import pytest


def test_a_net_around_a_ball_is_closed_and_encloses_it(opened):
    page, _ = opened
    radius, voxel = 7.3, (1.0, 1.1, 0.9)
    size = (24, 22, 26)
    steps = [voxel[k] * (np.arange(size[k]) - (size[k] - 1) / 2) for k in range(3)]
    z, y, x = np.meshgrid(steps[2], steps[1], steps[0], indexing="ij")
    distance = np.sqrt(x**2 + y**2 + z**2)
    values = np.clip(np.rint(128 + 12 * (radius - distance)), 0, 255).astype(int)
    net = page.evaluate(
        "([values, size, voxel]) =>"
        " surfaceOf(Uint8Array.from(values), size, 128, voxel, [5, 6, 7])",
        [values.ravel().tolist(), list(size), list(voxel)],
    )
    points = np.array([[p["x"], p["y"], p["z"]] for p in net["vertexArr"]])
    normals = np.array([[p["x"], p["y"], p["z"]] for p in net["normalArr"]])
    faces = np.reshape(net["faceArr"], (-1, 3))
    centre = np.array([5, 6, 7]) + [voxel[k] * (size[k] - 1) / 2 for k in range(3)]
    np.testing.assert_allclose(np.linalg.norm(points - centre, axis=1), radius, atol=0.15)
    outwards = (points - centre) / np.linalg.norm(points - centre, axis=1, keepdims=True)
    assert ((normals * outwards).sum(axis=1) > 0.97).all()
    # Each side of a triangle is walked once in either direction: closed and of one orientation.
    walked = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    assert {tuple(e) for e in walked} == {tuple(e) for e in walked[:, ::-1]}
    assert len({tuple(e) for e in walked}) == len(walked)
    a, b, c = (points[faces[:, k]] - centre for k in range(3))
    volume = np.einsum("ij,ij->", a, np.cross(b, c)) / 6
    assert volume == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.03)
