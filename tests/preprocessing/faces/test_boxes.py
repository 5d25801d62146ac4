"""Boxes against arithmetic done by hand, torchvision, and properties."""

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from preprocessing.faces.boxes import area, intersection, iou, nms, square

Floats = NDArray[np.float64]


@st.composite
def boxes(draw: st.DrawFn, max_size: int = 8) -> Floats:
    corner = st.integers(-50, 150)
    side = st.integers(1, 120)
    rows = draw(st.lists(st.tuples(corner, corner, side, side), min_size=1, max_size=max_size))
    array = np.array(rows, np.float64)
    array[:, 2:] += array[:, :2]
    return array


def random_boxes(count: int, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 300, (count, 2))
    sides = rng.uniform(10, 90, (count, 2))
    return np.concatenate([corners, corners + sides], 1).astype(np.float32)


def test_iou_by_hand() -> None:
    one = np.array([[0.0, 0, 10, 10], [5, 5, 5, 5]])
    others = np.array([[5.0, 0, 15, 10], [0, 0, 10, 10], [20, 20, 30, 30], [5, 5, 5, 5]])
    np.testing.assert_allclose(iou(one, others)[0], [1 / 3, 1, 0, 0])
    np.testing.assert_array_equal(iou(one, others)[1], 0)


def test_iou_is_torchvisions() -> None:
    a, b = random_boxes(40, 1), random_boxes(30, 2)
    expected = torchvision.ops.box_iou(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    np.testing.assert_allclose(iou(a, b), expected, atol=1e-6)


@given(boxes(), boxes())
def test_iou_is_symmetric_and_bounded(a: Floats, b: Floats) -> None:
    overlap = iou(a, b)
    assert overlap.shape == (len(a), len(b))
    assert (overlap >= 0).all()
    assert (overlap <= 1).all()
    np.testing.assert_array_equal(overlap, iou(b, a).T)
    np.testing.assert_array_equal(np.diag(iou(a, a)), 1)


def test_no_boxes() -> None:
    none = np.zeros((0, 4))
    assert iou(none, np.zeros((3, 4))).shape == (0, 3)
    assert nms(none, np.zeros(0), 0.5).shape == (0,)
    assert square(none).shape == (0, 4)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("count", [1, 50, 700])
def test_nms_is_torchvisions(count: int, threshold: float) -> None:
    array = random_boxes(count)
    scores = np.random.default_rng(1).uniform(size=count).astype(np.float32)
    expected = torchvision.ops.nms(torch.from_numpy(array), torch.from_numpy(scores), threshold)
    np.testing.assert_array_equal(nms(array, scores, threshold), expected.numpy())


def test_nms_over_the_smaller_box_drops_a_box_inside_another() -> None:
    nested = np.array([[0.0, 0, 100, 100], [40, 40, 60, 60]])
    scores = np.array([0.9, 0.8])
    assert nms(nested, scores, 0.7).tolist() == [0, 1]
    assert nms(nested, scores, 0.7, over="smaller").tolist() == [0]


def test_nms_keeps_overlaps_equal_to_the_threshold() -> None:
    halves = np.array([[0.0, 0, 10, 10], [0, 0, 10, 5]])
    assert nms(halves, np.array([0.9, 0.8]), 0.5).tolist() == [0, 1]


@given(boxes(max_size=30), st.floats(0.05, 0.95))
def test_nms_leaves_no_overlap_and_drops_nothing_else(array: Floats, threshold: float) -> None:
    scores = np.random.default_rng(len(array)).permutation(len(array)) / len(array)
    keep = nms(array, scores, threshold)
    overlap = iou(array, array[keep])
    np.testing.assert_array_equal(np.sort(scores[keep])[::-1], scores[keep])
    assert np.triu(overlap[keep], 1).max(initial=0) <= threshold
    for dropped in set(range(len(array))) - set(keep.tolist()):
        better = scores[keep] > scores[dropped]
        assert (overlap[dropped, better] > threshold).any()


@given(boxes())
def test_square_keeps_centre_and_longer_side(array: Floats) -> None:
    squares = square(array)
    sides = squares[:, 2:] - squares[:, :2]
    np.testing.assert_allclose(sides[:, 0], sides[:, 1])
    np.testing.assert_allclose(sides[:, 0], (array[:, 2:] - array[:, :2]).max(1))
    np.testing.assert_allclose(squares[:, :2] + squares[:, 2:], array[:, :2] + array[:, 2:])
    np.testing.assert_allclose(intersection(array, squares).diagonal(), area(array))
