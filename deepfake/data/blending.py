"""What self-blending and face swapping share: colour, frequency and mask changes, and the blend."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.types import Image

Mask = NDArray[np.float32]
RATIOS = (0.25, 0.5, 0.75, 1.0, 1.0, 1.0)


@dataclass(frozen=True, eq=False)
class Blend:
    """A real face and the fake made from it.

    Args:
        real: Image (H, W, 3) that the fake equals outside its mask.
        fake: The blended image (H, W, 3).
        mask: Share of the inserted face in every pixel (H, W), in [0, 1].
    """

    real: Image
    fake: Image
    mask: Mask

    @property
    def change(self) -> float:
        """Mean absolute change inside the mask, in levels of 0 to 255."""
        inside = self.mask > 0.05
        if not inside.any():
            return 0.0
        change = np.abs(self.fake[inside].astype(np.int16) - self.real[inside])
        return float(change.mean())


def blend(inserted: Image, target: Image, mask: Mask) -> Blend:
    """Put the inserted face over the target where the mask says so."""
    weight = mask[:, :, None]
    fake = inserted * weight + target * (1 - weight)
    return Blend(target, np.clip(fake + 0.5, 0, 255).astype(np.uint8), mask)


def change_colour(image: Image, rng: np.random.Generator) -> Image:
    """Shift channels, brightness and contrast, hue and saturation, each at times."""
    levels = np.arange(256, dtype=np.float32)
    table: NDArray[np.floating] = np.stack([levels] * 3, axis=1)
    if rng.random() < 0.5:
        table = table + rng.uniform(-20, 20, 3)
    if rng.random() < 0.5:
        table = (table - 128) * rng.uniform(0.85, 1.15) + 128 + rng.uniform(-20, 20)
    lookup = np.clip(table, 0, 255).astype(np.uint8)
    image = np.asarray(cv2.LUT(image, lookup[None]), dtype=np.uint8)
    if rng.random() < 0.3:
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        shift, gain = int(rng.integers(-6, 7)), rng.uniform(0.75, 1.25)
        hue = ((np.arange(256) + shift) % 180).astype(np.uint8)
        saturation = np.clip(levels * gain, 0, 255).astype(np.uint8)
        table = np.stack([hue, saturation, levels.astype(np.uint8)], axis=1)
        hsv = cv2.LUT(hsv, table[None])
        image = np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), dtype=np.uint8)
    return image


def change_frequency(image: Image, rng: np.random.Generator) -> Image:
    """Shrink and enlarge, or sharpen."""
    height, width = image.shape[:2]
    if rng.random() < 0.5:
        scale = rng.uniform(0.25, 0.75)
        size = (max(8, round(width * scale)), max(8, round(height * scale)))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        up = cv2.INTER_CUBIC if rng.random() < 0.5 else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(small, (width, height), interpolation=up), dtype=np.uint8)
    soft = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.6, 1.5)))
    amount = float(rng.uniform(0.3, 1.2))
    return np.asarray(cv2.addWeighted(image, 1 + amount, soft, -amount, 0), dtype=np.uint8)


def move(image: Image, over: Image, matrix: NDArray[np.float32], mask: Mask) -> tuple[Image, Mask]:
    """Warp an image and its mask; where the image does not reach, `over` shows.

    So neither a black nor a mirrored border can enter the blend.
    """
    height, width = over.shape[:2]
    moved = cv2.warpAffine(
        image,
        matrix,
        (width, height),
        dst=over.copy(),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_TRANSPARENT,
    )
    shape = cv2.warpAffine(mask, matrix, (width, height), flags=cv2.INTER_LINEAR)
    return np.asarray(moved, dtype=np.uint8), np.asarray(shape, dtype=np.float32)


def jitter(
    size: tuple[int, int], centre: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return a small random scaling and shift (2, 3) about a centre, for images of (H, W)."""
    scale_x, scale_y = np.exp(rng.uniform(-0.05, 0.05, 2))
    shift_x, shift_y = rng.uniform(-0.03, 0.03) * size[1], rng.uniform(-0.015, 0.015) * size[0]
    return np.array(
        [
            [scale_x, 0, centre[0] * (1 - scale_x) + shift_x],
            [0, scale_y, centre[1] * (1 - scale_y) + shift_y],
        ],
        dtype=np.float32,
    )


def true_pixels(image: Image) -> Mask:
    """Return 1 where a crop shows its frame, 0 on and near the black that fills up the rest (H, W).

    Crops of faces at the edge of a frame are filled up; a blend must not carry that black around.
    """
    height, width = image.shape[:2]
    lit = image.max(axis=2) > 0
    rows, columns = np.flatnonzero(lit.any(axis=1)), np.flatnonzero(lit.any(axis=0))
    inside = np.zeros((height, width), dtype=np.float32)
    if not len(rows):
        return inside
    keep_y, keep_x = round(0.04 * height), round(0.04 * width)
    top = 0 if rows[0] == 0 else rows[0] + keep_y
    left = 0 if columns[0] == 0 else columns[0] + keep_x
    bottom = height if rows[-1] == height - 1 else rows[-1] + 1 - keep_y
    right = width if columns[-1] == width - 1 else columns[-1] + 1 - keep_x
    inside[top:bottom, left:right] = 1
    return inside


def hull_mask(size: tuple[int, int], outline: NDArray[np.float32]) -> Mask:
    """Return the filled convex hull of points (N, 2) in an image of (H, W), 0 or 1."""
    mask = np.zeros(size, dtype=np.float32)
    hull = cv2.convexHull((outline * 16).round().astype(np.int32))
    cv2.fillConvexPoly(mask, hull, 1.0, lineType=cv2.LINE_AA, shift=4)
    return mask


def soften(mask: Mask, span: float, rng: np.random.Generator) -> Mask:
    """Bend a mask elastically, then blur its edge inwards or outwards.

    The two blurs are the paper's: after the first only what stayed 1 is kept, which erodes the
    mask by that kernel; the second makes the edge soft.

    Args:
        mask: Filled hull (H, W), 0 or 1.
        span: Width of the face, in pixels; kernels and bends scale with it.
        rng: Draws the bend and the kernels.

    Returns:
        Mask (H, W) in [0, 1], with 1 as its largest value; all 0 where nothing is left.
    """
    height, width = mask.shape
    # A coarse field of shifts, enlarged, is as smooth as a blurred fine one and far cheaper.
    bends = rng.normal(0, 0.025 * span, (2, 8, 8)).astype(np.float32)
    fields = [cv2.resize(bend, (width, height), interpolation=cv2.INTER_CUBIC) for bend in bends]
    columns, rows = np.meshgrid(
        np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    )
    bent = cv2.remap(mask, columns + fields[0], rows + fields[1], cv2.INTER_LINEAR)
    first, second = rng.uniform(0.02, 0.16, 2) * span / 2
    inner = cv2.GaussianBlur(bent, (0, 0), max(float(first) / 2, 0.3))
    kept = (inner > 0.98).astype(np.float32)
    edge = cv2.GaussianBlur(kept, (0, 0), max(float(second), 0.3))
    largest = float(edge.max())
    return np.asarray(edge / largest if largest > 0 else edge, dtype=np.float32)
