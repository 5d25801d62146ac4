"""What MTCNN's networks see: an image at falling sizes, and crops of it.

facenet-pytorch resizes by torch's adaptive average pooling: a target pixel is the plain mean of
every source pixel that it touches. All these means come from one table of sums, so that a level of
the pyramid costs as much as it has pixels, however large the image is.
"""

from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.types import Image

WINDOW = 12  # side of the face that the first network looks for, in pixels of a level
STRIDE = 2  # between neighbouring windows, in pixels of a level
REACH = 1.0  # how far around a face windows of its size are searched, in sides of the face
LIKE = (0.4, 2.5)  # sides of the windows that matter to a face, in sides of the face
STRIP = 32  # rows of a level that are made at once, so that they stay in the processor's cache

Floats = NDArray[np.float32]
Integers = NDArray[np.signedinteger]
Part: TypeAlias = tuple[int, int, int, int]  # top, left, bottom, right in pixels of a level

ZERO = np.array([0])


class SumTable:
    """The sums of an image above and left of every pixel.

    Crow, Summed-area tables for texture mapping, SIGGRAPH 1984.

    Args:
        image: RGB (H, W, 3).
        spare: A table of no more use, whose memory is taken: new pages cost more than the sums.
    """

    def __init__(self, image: Image, spare: "SumTable | None" = None) -> None:
        self.height, self.width = image.shape[:2]
        # 32 bits wrap around above 8 million white pixels, and back when sums are subtracted
        self._sums: Any = cv2.integral(image, spare._sums if spare else None)  # (H + 1, W + 1, 3)

    def resize(self, height: int, width: int, part: Part | None = None) -> Floats:
        """Return the image at another size (height, width, 3), or a part of it at that size."""
        top, left, bottom, right = part or (0, 0, height, width)
        y0, y1 = (edge[0, top:bottom] for edge in bins(ZERO, np.array([self.height]), height))
        x0, x1 = (edge[0, left:right] for edge in bins(ZERO, np.array([self.width]), width))
        starts, ends = (np.add.outer(3 * (x - x0[0]), range(3)).ravel() for x in (x0, x1))
        widths = np.repeat(x1 - x0, 3).astype(np.float32)
        table = self._sums.reshape(self.height + 1, -1)[:, 3 * x0[0] : 3 * x1[-1] + 3]
        level = np.empty((bottom - top, len(widths)), np.float32)
        for start in range(0, bottom - top, STRIP):
            strip = slice(start, start + STRIP)
            rows = table[y1[strip]]
            rows -= table[y0[strip]]
            sums = rows.take(ends, 1)
            sums -= rows.take(starts, 1)
            np.divide(sums, (y1 - y0)[strip, None] * widths, out=level[strip], dtype=np.float32)
        return level.reshape(bottom - top, right - left, 3)

    def crop(self, boxes: Floats, side: int) -> tuple[NDArray[np.intp], Floats]:
        """Return which boxes (N, 4) show some of the image, and what they show.

        What lies outside the image is left out and the rest stretched to a square, as
        facenet-pytorch does. The crops are (M, side, side, 3).
        """
        corners = np.trunc(boxes).astype(np.int64)
        left, top = (np.maximum(corners[:, :2], 1) - 1).T
        right, bottom = np.minimum(corners[:, 2:], (self.width, self.height)).T
        seen = np.flatnonzero((right > left) & (bottom > top))
        y0, y1 = bins(top[seen], bottom[seen], side)
        x0, x1 = bins(left[seen], right[seen], side)
        sums = self._at(y1, x1)
        sums -= self._at(y1, x0)
        sums -= self._at(y0, x1)
        sums += self._at(y0, x0)
        areas = (y1 - y0)[:, :, None, None] * (x1 - x0)[:, None, :, None]
        return seen, np.divide(sums, areas, dtype=np.float32)

    def _at(self, y: Integers, x: Integers) -> NDArray[np.int32]:
        """Return the sums (N, side, side, 3) at every pair of y (N, side) and x (N, side)."""
        flat = self._sums.reshape(-1, 3)
        sums: NDArray[np.int32] = flat.take(y[:, :, None] * (self.width + 1) + x[:, None, :], 0)
        return sums


def bins(start: Integers, stop: Integers, target: int) -> tuple[Integers, Integers]:
    """Return where the `target` bins over pixels start to stop (N,) begin and end (N, target)."""
    i = np.arange(target)
    start, size = start[:, None], (stop - start)[:, None]
    return start + i * size // target, start - (-(i + 1) * size // target)


def scales(height: int, width: int, largest: float, factor: float) -> list[float]:
    """Return the scales at which a window still fits the image, falling from the largest."""
    found = []
    scale = largest
    side = min(height, width) * scale
    while side >= WINDOW:
        found.append(scale)
        scale *= factor
        side *= factor
    return found


def parts_around(boxes: Floats, scale: float, height: int, width: int) -> list[Part]:
    """Return the parts of a level in which windows like some boxes (N, 4) lie, on the stride.

    Args:
        boxes: In pixels of the image.
        scale: Of the level.
        height: Of the level, in pixels.
        width: Of the level, in pixels.
    """
    side = (boxes[:, 2:] - boxes[:, :2]).max(1)
    like = (LIKE[0] * side <= WINDOW / scale) & (WINDOW / scale <= LIKE[1] * side)
    reach = np.stack([side, side], 1)[like] * REACH
    start = np.floor((boxes[like, :2] - reach) * (scale / STRIDE)).astype(int) * STRIDE
    stop = np.ceil((boxes[like, 2:] + reach) * (scale / STRIDE)).astype(int) * STRIDE
    start, stop = np.maximum(start, 0), np.minimum(stop, (width, height))
    parts = [
        (int(top), int(left), int(bottom), int(right))
        for (left, top), (right, bottom) in zip(start, stop, strict=True)
        if right - left >= WINDOW and bottom - top >= WINDOW
    ]
    area = sum((bottom - top) * (right - left) for top, left, bottom, right in parts)
    return parts if area < height * width else [(0, 0, height, width)]
