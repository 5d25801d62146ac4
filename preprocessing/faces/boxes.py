"""Arithmetic on boxes (N, 4): x0, y0, x1, y1 in pixels."""

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Boxes: TypeAlias = NDArray[Any]  # a floating type, which the results share

NMS_BLOCK = 256  # boxes compared with each other at once; bounds the memory


def area(boxes: Boxes) -> Boxes:
    """Return the areas (N,); a box whose corners are swapped has none."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    areas: Boxes = sides[:, 0] * sides[:, 1]
    return areas


def intersection(boxes: Boxes, others: Boxes) -> Boxes:
    """Return the areas (N, M) that boxes (N, 4) share with others (M, 4)."""
    x0, y0, x1, y1 = boxes.T[:, :, None]
    left, top, right, bottom = others.T
    width = np.maximum(np.minimum(x1, right) - np.maximum(x0, left), 0)
    height = np.maximum(np.minimum(y1, bottom) - np.maximum(y0, top), 0)
    areas: Boxes = width * height
    return areas


def iou(boxes: Boxes, others: Boxes) -> Boxes:
    """Return intersection over union (N, M); 0 where both boxes are empty."""
    shared = intersection(boxes, others)
    return _ratio(shared, area(boxes)[:, None] + area(others)[None] - shared)


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
    keep = np.zeros(0, np.intp)
    for start in range(0, len(order), NMS_BLOCK):
        block = order[start : start + NMS_BLOCK]
        others = boxes[keep]
        block = block[(_overlap(boxes[block], others, over) <= threshold).all(1)]
        blocked = _overlap(boxes[block], boxes[block], over) > threshold
        alive = np.ones(len(block), bool)
        for i in range(len(block)):
            if alive[i]:
                alive[i + 1 :] &= ~blocked[i, i + 1 :]
        keep = np.concatenate([keep, block[alive]])
    return keep


def _overlap(boxes: Boxes, others: Boxes, over: Literal["union", "smaller"]) -> Boxes:
    if over == "union":
        return iou(boxes, others)
    smaller = np.minimum(area(boxes)[:, None], area(others)[None])
    return _ratio(intersection(boxes, others), smaller)


def _ratio(part: Boxes, whole: Boxes) -> Boxes:
    """Return part / whole; 0 where both are 0."""
    ratio: Boxes = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
    return ratio


def square(boxes: Boxes) -> Boxes:
    """Return the squares (N, 4) on the same centres whose side is the longer one."""
    sides = boxes[:, 2:] - boxes[:, :2]
    half = sides.max(1, keepdims=True) / 2
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    squares: Boxes = np.concatenate([centres - half, centres + half], 1)
    return squares
