"""Cutting a face out of its frame."""

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.types import Box, Detection, Image

# Eyes, nose and mouth corners of a frontal face of side 1 (Deng et al., ArcFace, CVPR 2019).
TEMPLATE = np.array(
    [[0.342, 0.461], [0.657, 0.460], [0.500, 0.641], [0.370, 0.825], [0.632, 0.823]],
    dtype=np.float32,
)


def crop_region(
    box: Box, margin: float, *, square: bool, width: int, height: int, inside: bool = False
) -> Box:
    """Return the region to cut for a face, in whole pixels of the frame.

    A square that reaches outside the frame is moved inside where it fits, so that the crop shows
    true pixels; where it does not fit, it reaches out on both sides.

    Args:
        box: The face.
        margin: Added on each side, as a fraction of the face's longer side (square) or of its
            width and height.
        square: Widen to a square around the centre.
        width: Of the frame, in pixels.
        height: Of the frame, in pixels.
        inside: Shrink a square that is larger than the frame to it.
    """
    x0, y0, x1, y1 = box
    across, down = x1 - x0, y1 - y0
    if not square:
        left, top = max(0.0, x0 - margin * across), max(0.0, y0 - margin * down)
        right = min(float(width), x1 + margin * across)
        bottom = min(float(height), y1 + margin * down)
        return (
            float(np.floor(left)),
            float(np.floor(top)),
            float(np.ceil(right)),
            float(np.ceil(bottom)),
        )
    side = max(2, round(max(across, down) * (1 + 2 * margin)))
    side = max(2, min(side, width, height)) if inside else side
    left = _inside((x0 + x1 - side) / 2, side, width)
    top = _inside((y0 + y1 - side) / 2, side, height)
    return (left, top, left + side, top + side)


def _inside(start: float, side: int, length: int) -> float:
    if side >= length:
        return float(-((side - length) // 2))
    return float(round(min(max(start, 0.0), length - side)))


def cut(image: Image, region: Box) -> Image:
    """Return the pixels of a region in whole pixels; what lies outside the frame is black."""
    x0, y0, x1, y1 = (int(edge) for edge in region)
    height, width = image.shape[:2]
    inner = image[max(y0, 0) : min(y1, height), max(x0, 0) : min(x1, width)]
    if inner.shape[:2] == (y1 - y0, x1 - x0):
        return np.ascontiguousarray(inner)
    out = np.zeros((y1 - y0, x1 - x0, 3), dtype=np.uint8)
    top, left = max(-y0, 0), max(-x0, 0)
    out[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return out


def alignment(landmarks: NDArray[np.float32], size: int, margin: float) -> NDArray[np.float64]:
    """Return the similarity transform (2, 3) from the frame to an aligned crop.

    Args:
        landmarks: Five points (5, 2), in pixels of the frame.
        size: Side of the crop, in pixels.
        margin: Added on each side, as a fraction of the face's side.
    """
    target = (TEMPLATE.astype(np.float64) + margin) * (size / (1 + 2 * margin))
    return similarity(landmarks, target)


def similarity(start: NDArray[np.floating], end: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the rotation, scale and shift (2, 3) that takes points nearest to others (N, 2).

    Umeyama, TPAMI 1991: least squares.
    """
    a, b = start.astype(np.float64), end.astype(np.float64)
    mean_a, mean_b = a.mean(axis=0), b.mean(axis=0)
    x, y = (a - mean_a).T
    u, v = (b - mean_b).T
    spread = max(float((x * x + y * y).sum()), 1e-9)
    cos, sin = (x @ u + y @ v) / spread, (x @ v - y @ u) / spread
    turn = np.array([[cos, -sin], [sin, cos]])
    return np.concatenate([turn, (mean_b - turn @ mean_a)[:, None]], axis=1)


def crop_face(
    image: Image,
    detection: Detection,
    *,
    margin: float,
    shape: Literal["square", "box", "aligned"],
    max_size: int,
    inside: bool = False,
) -> tuple[Image, Box]:
    """Return a face's crop and the region of the frame that it shows.

    Args:
        image: The frame (H, W, 3).
        detection: The face.
        margin: Added on each side, as a fraction of the face's side.
        shape: See `PreprocessOptions.crop`. Of an aligned crop, the region is its square hull.
        max_size: Larger crops are shrunk to this longer side, in pixels.
        inside: Shrink a square that is larger than the frame to it.
    """
    height, width = image.shape[:2]
    region = crop_region(
        detection.box,
        margin,
        square=shape != "box",
        width=width,
        height=height,
        inside=inside and shape == "square",
    )
    if shape == "aligned":
        size = min(max_size, int(region[2] - region[0]))
        matrix = alignment(detection.landmarks, size, margin)
        aligned = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR)
        return np.asarray(aligned, dtype=np.uint8), region
    crop = cut(image, region)
    longest = max(crop.shape[:2])
    if longest > max_size:
        ratio = max_size / longest
        size_wh = (max(1, round(crop.shape[1] * ratio)), max(1, round(crop.shape[0] * ratio)))
        crop = np.asarray(cv2.resize(crop, size_wh, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return crop, region
