"""Seven damages of five levels, and what sharing on social media does, on frames of a video.

Damages and levels are those of Jiang et al., DeeperForensics-1.0, CVPR 2020,
https://arxiv.org/abs/2001.03024, section 4 and its published settings; "downscale" is what is
called JPEG there.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from deepfake.data.degrade import h264
from preprocessing.types import Image

LEVELS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "saturation": (0.4, 0.3, 0.2, 0.1, 0.0),  # factor on the chroma
        "contrast": (0.85, 0.725, 0.6, 0.475, 0.35),  # factor on the pixels
        "block": (16, 32, 48, 64, 80),  # grey squares of 8 pixels, per 256 pixels of shorter side
        "noise": (0.001, 0.002, 0.005, 0.01, 0.05),  # variance in YCbCr of range 0..1
        "blur": (7, 9, 13, 17, 21),  # side of the Gaussian kernel, in pixels
        "downscale": (2, 3, 4, 5, 6),  # factor, and back up
        "h264": (30, 32, 35, 38, 40),  # CRF
        "social": (720, 540, 480, 360, 240),  # shorter side, in pixels, sent twice at CRF 28
    }
)
SOCIAL_CRF = 28
BLOCK = 8
LUMA, CHROMA = 255 / 219, 255 / 224  # the noise is added in the studio range of 8-bit video


def damage(frames: Sequence[Image], kind: str, level: int, generator: np.random.Generator) -> Image:
    """Return the last of some consecutive frames as it looks in the damaged video.

    Args:
        frames: Frames (H, W, 3) that lead up to the one wanted; only encoders need more than one.
        kind: A key of `LEVELS`.
        level: 1 to 5.
        generator: Source of the noise and of the places of blocks.
    """
    amount = LEVELS[kind][level - 1]
    if kind == "h264":
        return h264(frames, crf=int(amount))[-1]
    if kind == "social":
        return _shared(frames, side=int(amount))
    image = frames[-1]
    if kind == "saturation":
        ycc = _to_ycc(image)
        ycc[:, :, 1:] = 0.5 + (ycc[:, :, 1:] - 0.5) * amount
        return _from_ycc(ycc)
    if kind == "contrast":
        return (image * np.float32(amount)).astype(np.uint8)
    if kind == "block":
        return _blocks(image, amount, generator)
    if kind == "noise":
        noise = generator.standard_normal(image.shape, dtype=np.float32) * np.sqrt(amount)
        return _from_ycc(
            _to_ycc(image) + noise * np.array((LUMA, CHROMA, CHROMA), dtype=np.float32)
        )
    if kind == "blur":
        size = int(amount)
        return np.asarray(cv2.GaussianBlur(image, (size, size), amount / 6), dtype=np.uint8)
    height, width = image.shape[:2]
    small = cv2.resize(image, (max(1, width // int(amount)), max(1, height // int(amount))))
    return np.asarray(cv2.resize(small, (width, height)), dtype=np.uint8)


def _shared(frames: Sequence[Image], *, side: int) -> Image:
    """Return the last frame, shrunk to a shorter side and encoded twice, at its former size."""
    height, width = frames[-1].shape[:2]
    ratio = min(1.0, side / min(height, width))
    size = (max(16, round(width * ratio)), max(16, round(height * ratio)))
    small = [
        np.asarray(cv2.resize(f, size, interpolation=cv2.INTER_AREA), np.uint8) for f in frames
    ]
    for _ in range(2):
        small = h264(small, crf=SOCIAL_CRF)
    return np.asarray(cv2.resize(small[-1], (width, height)), dtype=np.uint8)


def _blocks(image: Image, amount: float, generator: np.random.Generator) -> Image:
    height, width = image.shape[:2]
    out = image.copy()
    count = round(amount * min(height, width) / 256)
    lefts = generator.integers(max(1, width - BLOCK), size=count)
    tops = generator.integers(max(1, height - BLOCK), size=count)
    for left, top in zip(lefts, tops, strict=True):
        out[top : top + BLOCK, left : left + BLOCK] = 128
    return out


def _to_ycc(image: Image) -> NDArray[np.float32]:
    ycc = cv2.cvtColor(image.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2YCrCb)
    return np.asarray(ycc, dtype=np.float32)


def _from_ycc(ycc: NDArray[np.float32]) -> Image:
    rgb = cv2.cvtColor(ycc.astype(np.float32), cv2.COLOR_YCrCb2RGB)
    return np.clip(np.rint(rgb * 255), 0, 255).astype(np.uint8)
