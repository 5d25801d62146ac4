"""What MTCNN's networks see: the image at falling sizes, and crops of it."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.mtcnn_networks import Floats
from preprocessing.types import Image

WINDOW = 12  # side of the face that the first network looks for, in pixels of a level


def scales(height: int, width: int, largest: float, factor: float) -> list[float]:
    """Return the scales at which a window still fits the image, falling from the largest."""
    found = []
    scale = largest
    while min(height, width) * scale >= WINDOW:
        found.append(scale)
        scale *= factor
    return found


def pyramid(
    image: Image, largest: float, factor: float, *, exact: bool
) -> Iterator[tuple[float, Image]]:
    """Yield scales and the image (H, W, 3) at these scales.

    Each level is made from the one before, which takes a fraction of the time of making it from
    the full image; `exact` makes it from the full image, as facenet-pytorch does.
    """
    height, width = image.shape[:2]
    level = image
    for scale in scales(height, width, largest, factor):
        size = int(height * scale + 1), int(width * scale + 1)
        level = area_resize(image, size) if exact else cv2_resize(level, size)
        yield scale, level


def crops(image: Image, boxes: Floats, side: int, *, exact: bool) -> tuple[Floats, Image]:
    """Return the boxes that show some of the image, and what they show (N, side, side, 3).

    What lies outside the image is left out and the rest stretched, as the networks were used in
    facenet-pytorch.
    """
    height, width = image.shape[:2]
    corners = np.trunc(boxes).astype(np.int64)
    x0, y0 = np.maximum(corners[:, 0], 1) - 1, np.maximum(corners[:, 1], 1) - 1
    x1, y1 = np.minimum(corners[:, 2], width), np.minimum(corners[:, 3], height)
    inside = np.flatnonzero((x1 > x0) & (y1 > y0))
    faces = np.empty((len(inside), side, side, 3), np.uint8)
    for face, i in zip(faces, inside, strict=True):
        region = image[y0[i] : y1[i], x0[i] : x1[i]]
        face[:] = area_resize(region, (side, side)) if exact else cv2_resize(region, (side, side))
    return boxes[inside], faces


def cv2_resize(image: Image, size: tuple[int, int]) -> Image:
    """Return the image at size (height, width), each pixel the mean of the area it covers."""
    resized: Image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
    return resized


def area_resize(image: Image, size: tuple[int, int]) -> Image:
    """Return the image at size (height, width) as torch's adaptive average pooling makes it.

    A pixel is the plain mean of every source pixel that it touches.
    """
    table = cv2.integral(image)
    (y0, y1), (x0, x1) = (bins(*sides) for sides in zip(image.shape[:2], size, strict=True))
    columns = table[y1] - table[y0]
    sums = columns[:, x1] - columns[:, x0]
    count = (y1 - y0)[:, None] * (x1 - x0)[None]
    return np.rint(sums / count[..., None]).astype(np.uint8)


def bins(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return where each of `target` bins over `source` pixels starts and stops."""
    i = np.arange(target)
    return i * source // target, -(-(i + 1) * source // target)
