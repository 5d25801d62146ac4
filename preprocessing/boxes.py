"""Arithmetic on boxes (N, 4): x0, y0, x1, y1 in pixels."""

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Boxes: TypeAlias = NDArray[Any]  # a floating type, which the results share


def area(boxes: Boxes) -> Boxes:
    """Return the areas (N,); a box whose corners are swapped has none."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    areas: Boxes = sides[:, 0] * sides[:, 1]
    return areas


def intersection(boxes: Boxes, others: Boxes) -> Boxes:
    """Return the areas (N, M) that boxes (N, 4) share with others (M, 4)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    sides = np.maximum(high - low, 0)
    areas: Boxes = sides[..., 0] * sides[..., 1]
    return areas


def iou(boxes: Boxes, others: Boxes) -> Boxes:
    """Return intersection over union (N, M); 0 where both boxes are empty."""
    shared = intersection(boxes, others)
    union = area(boxes)[:, None] + area(others)[None] - shared
    overlap: Boxes = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return overlap


def nms(
    boxes: Boxes,
    scores: NDArray[np.floating],
    threshold: float,
    *,
    over: Literal["union", "smaller"] = "union",
) -> NDArray[np.intp]:
    """Return which boxes to keep, best first: those that overlap no better one.

    Args:
        boxes: (N, 4).
        scores: (N,).
        threshold: Largest overlap allowed, in [0, 1].
        over: What the intersection is divided by: the union of both boxes, or the smaller box,
            which also drops a small box inside a large one.
    """
    order = np.argsort(-scores, kind="stable")
    x0, y0, x1, y1 = boxes[order].T
    areas = area(boxes[order])
    keep = []
    left = np.arange(len(order))
    while left.size:
        best, left = left[0], left[1:]
        keep.append(best)
        width = np.minimum(x1[best], x1[left]) - np.maximum(x0[best], x0[left])
        height = np.minimum(y1[best], y1[left]) - np.maximum(y0[best], y0[left])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        if over == "union":
            whole = areas[best] + areas[left] - shared
        else:
            whole = np.minimum(areas[best], areas[left])
        left = left[shared <= threshold * whole]
    return order[np.array(keep, dtype=np.intp)]


def square(boxes: Boxes) -> Boxes:
    """Return the squares (N, 4) on the same centres whose side is the longer one."""
    sides = boxes[:, 2:] - boxes[:, :2]
    half = sides.max(1, keepdims=True) / 2
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    squares: Boxes = np.concatenate([centres - half, centres + half], 1)
    return squares


def pad(boxes: Boxes, margin: float) -> Boxes:
    """Return boxes (N, 4) widened on each side by a fraction of their width and height."""
    grow = (boxes[:, 2:] - boxes[:, :2]) * margin
    padded: Boxes = np.concatenate([boxes[:, :2] - grow, boxes[:, 2:] + grow], 1)
    return padded


def clip(boxes: Boxes, *, height: int, width: int) -> Boxes:
    """Return the parts (N, 4) of the boxes inside an image of that size, in pixels."""
    limits = np.array([width, height, width, height], dtype=boxes.dtype)
    return np.clip(boxes, 0, limits)
