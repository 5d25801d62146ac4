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
        inside = (self.mask > 0.05).astype(np.uint8)
        return float(np.mean(cv2.mean(cv2.absdiff(self.fake, self.real), inside)[:3]))


def blend(inserted: Image, target: Image, mask: Mask) -> Blend:
    """Put the inserted face over the target where the mask says so."""
    fake = cv2.blendLinear(inserted, target, mask, 1 - mask)  # an eighth of the time of products
    return Blend(target, np.asarray(fake, dtype=np.uint8), mask)


def change_colour(image: Image, rng: np.random.Generator) -> Image:
    """Change brightness and contrast by up to a tenth, and in 30 % of the draws shift channels.

    The paper's code also draws hue and saturation, by less than half a level: left out.
    """
    levels = np.arange(256, dtype=np.float32)[:, None]
    shift = rng.uniform(-20, 20, 3) if rng.random() < 0.3 else np.zeros(3)
    contrast, brightness = rng.uniform(0.9, 1.1), rng.uniform(-25.5, 25.5)
    table = np.clip((levels + shift) * contrast + brightness, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table[None]), dtype=np.uint8)


def change_frequency(image: Image, rng: np.random.Generator, *, span: float = 160) -> Image:
    """Shrink to a half or a quarter by dropping pixels and enlarge again, or sharpen and darken.

    Args:
        image: Crop (H, W, 3).
        rng: Draws which, and how much.
        span: Width of the face, in pixels. One that would keep under 40 is shrunk less.
    """
    height, width = image.shape[:2]
    if rng.random() < 0.5:
        ratio = max(1.5, min(float(rng.choice((2, 4))), span / 40))
        size = (max(8, int(width / ratio)), max(8, int(height / ratio)))
        small = cv2.resize(image, size, interpolation=cv2.INTER_NEAREST)  # aliases, as the paper's
        return np.asarray(cv2.resize(small, (width, height)), dtype=np.uint8)
    alpha, lightness = rng.uniform(0.2, 0.5), rng.uniform(0.5, 1.0)
    kernel = np.full((3, 3), -alpha, dtype=np.float32)
    kernel[1, 1] = 1 - alpha + alpha * (8 + lightness)
    return np.asarray(cv2.filter2D(image, -1, kernel), dtype=np.uint8)


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
    flat = image.reshape(height, -1)  # maxima along whole rows take a fiftieth of `any` over axes
    rows = np.flatnonzero(flat.max(axis=1))
    columns = np.flatnonzero(flat.max(axis=0).reshape(width, -1).any(axis=1))
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
    """Bend a mask elastically, then erode it and blur its edge.

    The paper keeps of a first blur only what stayed 1, which erodes the mask by its kernel, and
    blurs again; both kernels are 5 to 25 pixels of a face about 150 wide.

    Args:
        mask: Filled hull (H, W), 0 or 1.
        span: Width of the face, in pixels; kernels and bends scale with it.
        rng: Draws the bend and the kernels.

    Returns:
        Mask (H, W) in [0, 1], with 1 as its largest value; all 0 where nothing is left.
    """
    height, width = mask.shape
    # A coarse field of shifts, enlarged, is as smooth as a blurred fine one and far cheaper.
    bends = rng.normal(0, 0.007 * span, (2, 24, 24)).astype(np.float32)
    fields = [cv2.resize(bend, (width, height), interpolation=cv2.INTER_CUBIC) for bend in bends]
    columns = fields[0] + np.arange(width, dtype=np.float32)
    rows = fields[1] + np.arange(height, dtype=np.float32)[:, None]
    bent = cv2.remap(mask, columns, rows, cv2.INTER_LINEAR)
    first, second = (odd(float(rng.integers(2, 13)) * span / 75) for _ in range(2))
    kept = cv2.erode((bent > 0.98).astype(np.uint8), np.ones((first, first), np.uint8))
    kept = kept.astype(np.float32)
    edge = cv2.GaussianBlur(kept, (second, second), float(rng.uniform(5, 46)))
    largest = float(edge.max())
    return np.asarray(edge / largest if largest > 0 else edge, dtype=np.float32)


def odd(size: float) -> int:
    """Return the nearest odd number, 1 at least."""
    return max(1, 2 * round((size - 1) / 2) + 1)
