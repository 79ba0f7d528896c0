"""The similarity transform is the least-squares one, and the warp is bilinear at pixel centres."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import map_coordinates

from edgecmp.data.ijbc.align import TEMPLATE, align, similarity


def by_least_squares(points: NDArray[Any]) -> NDArray[Any]:
    """a x - b y + c = u and b x + a y + d = v, solved for (a, b, c, d)."""
    rows, goals = [], []
    for (x, y), (u, v) in zip(points, TEMPLATE, strict=True):
        rows += [[x, -y, 1, 0], [y, x, 0, 1]]
        goals += [u, v]
    a, b, c, d = np.linalg.lstsq(np.array(rows), np.array(goals), rcond=None)[0]
    return np.array([[a, -b, c], [b, a, d]])


@settings(max_examples=200)
@given(points=st_numpy.arrays(np.float64, (5, 2), elements=st.integers(-50, 400)))
def test_it_is_the_least_squares_solution(points: NDArray[Any]) -> None:
    spread = points.std(0)
    if spread.max() < 1:
        return
    found = similarity(points)
    np.testing.assert_allclose(found, by_least_squares(points), atol=1e-6)
    assert np.linalg.det(found[:, :2]) >= -1e-12  # also where a reflection would fit better


@settings(max_examples=50)
@given(scale=st.floats(0.1, 5), angle=st.floats(-3.1, 3.1), x=st.floats(-99, 99))
def test_it_undoes_a_similarity(scale: float, angle: float, x: float) -> None:
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    found = similarity(TEMPLATE @ turn.T + [x, 7])
    np.testing.assert_allclose(found[:, :2] @ turn, np.eye(2), atol=1e-9)
    np.testing.assert_allclose(found[:, :2] @ [x, 7] + found[:, 2], 0, atol=1e-9)


def test_many_at_once_are_each_alone() -> None:
    points = TEMPLATE + np.random.default_rng(0).normal(0, 9, (20, 5, 2))
    together = similarity(points)
    np.testing.assert_allclose(together, [similarity(one) for one in points], atol=1e-12)


def test_the_warp_is_scipys_bilinear() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (150, 130, 3), np.uint8)
    points = (TEMPLATE - 56) @ np.array([[0.8, -0.3], [0.3, 0.8]]) + 70 + rng.normal(0, 3, (5, 2))
    transform = similarity(points)
    found = np.asarray(align(Image.fromarray(pixels), transform), np.float64)
    inverse = np.linalg.inv(np.vstack([transform, [0, 0, 1]]))
    y, x = np.mgrid[:112, :112]
    source = np.einsum("ij,jyx->iyx", inverse, np.stack([x, y, np.ones_like(x)]))[:2]
    inside = (source >= 0).all(0) & (source[0] <= 129) & (source[1] <= 149)
    assert inside.mean() > 0.9
    for channel in range(3):
        plane = pixels[:, :, channel].astype(np.float64)
        expected = map_coordinates(plane, [source[1], source[0]], order=1)
        assert np.abs(found[:, :, channel] - expected)[inside].max() <= 1


def test_nothing_is_around_the_image() -> None:
    gray = Image.new("L", (40, 40), 200)
    aligned = np.asarray(align(gray, np.array([[1.0, 0, 30], [0, 1, 30]])))
    assert aligned.shape == (112, 112, 3)
    assert (aligned[30:70, 30:70] == 200).all()
    assert aligned.sum() == 200 * 40 * 40 * 3
