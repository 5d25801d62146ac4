"""What happens to both faces of a pair on their way to the network: mild, as the paper's."""

import cv2
import numpy as np
from numpy.typing import NDArray

from deepfake.data.degrade import recompress_video
from preprocessing.types import Image

STRONG = 0.3  # of the pairs are compressed as hard as FaceForensics++'s c40
FINAL = (cv2.INTER_AREA, cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)


def damaged(image: Image, rng: np.random.Generator, *, strong: float = STRONG) -> Image:
    """Change colours, blur, add noise, resample and compress a crop (H, W, 3), each at times.

    The draws depend on `rng` and the crop's size alone, so that two crops of one size get the same
    from equal generators.

    Args:
        image: The crop.
        rng: Draws everything random.
        strong: Chance that it is compressed as hard as FaceForensics++'s c40.
    """
    image = _recoloured(image, rng)
    if rng.random() < 0.08:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.3, 1.2))), np.uint8)
    if rng.random() < 0.1:
        strength, seed = float(rng.uniform(1, 7)), int(rng.integers(2**31))
        noise = np.random.default_rng(seed).standard_normal(image.shape, dtype=np.float32)
        image = np.clip(image + strength * noise + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        image = _resampled(image, rng)
    if rng.random() < strong:
        return _as_shared(image, rng)
    choice = rng.random()
    if choice < 0.4:
        image = _jpeg(image, int(rng.integers(40, 101)))
    elif choice < 0.7:
        image = recompress_video([image], crf=int(rng.integers(18, 36)))[0]
    return image


def _as_shared(image: Image, rng: np.random.Generator) -> Image:
    """Degrade as what has been shared many times: soft, small, and compressed hard."""
    if rng.random() < 0.4:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.6, 1.8))), np.uint8)
    if rng.random() < 0.5:
        image = _resampled(image, rng)
    if rng.random() < 0.7:
        return recompress_video([image], crf=int(rng.integers(28, 43)))[0]
    return _jpeg(image, int(rng.integers(20, 60)))


def to_input(image: Image, size: int, rng: np.random.Generator) -> Image:
    """Return a crop as the network's input (S, S, 3), by an interpolation at random."""
    way = FINAL[rng.integers(len(FINAL))]
    if image.shape[0] < size and way == cv2.INTER_AREA:
        way = cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (size, size), interpolation=way), dtype=np.uint8)


def _recoloured(image: Image, rng: np.random.Generator) -> Image:
    chances, levels = rng.random(3), np.arange(256, dtype=np.float32)[:, None]
    table: NDArray[np.floating] = np.repeat(levels, 3, axis=1)
    shift, gain, offset = rng.uniform(-20, 20, 3), rng.uniform(0.75, 1.25), rng.uniform(-40, 40)
    gamma = np.exp(rng.uniform(-0.25, 0.25))
    if chances[0] < 0.25:
        table = table + shift
    if chances[1] < 0.3:
        table = (table - 128) * gain + 128 + offset
    if chances[2] < 0.15:
        table = 255 * (np.clip(table, 0, 255) / 255) ** gamma
    if (chances >= (0.25, 0.3, 0.15)).all():
        return image
    return np.asarray(cv2.LUT(image, np.clip(table, 0, 255).astype(np.uint8)[None]), np.uint8)


def _resampled(image: Image, rng: np.random.Generator) -> Image:
    height, width = image.shape[:2]
    scale, down, up = rng.uniform(0.4, 1.0), rng.integers(len(FINAL)), rng.integers(1, len(FINAL))
    small = (max(24, round(width * scale)), max(24, round(height * scale)))
    shrunk = cv2.resize(image, small, interpolation=FINAL[down])
    return np.asarray(cv2.resize(shrunk, (width, height), interpolation=FINAL[up]), np.uint8)


def _jpeg(image: Image, quality: int) -> Image:
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)
