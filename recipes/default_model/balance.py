"""Make the real face of a pair as soft as the fake one, so that softness tells nothing.

Most fakes are softer than the real face they were made of, and a network learns that before
anything else: it then takes soft films for fakes. Here the picture that is too sharp, real or fake,
is softened as a whole, or the other one sharpened, until the two differ by chance alone. That the
face is unlike what surrounds it stays.
"""

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.types import Image

LIKE = 0.3  # standard deviation of what is left of the logarithms' difference
LOOK = 128  # side at which sharpness is measured, as `deepfake.evaluation.faces.appearance` does
STEPS = np.linspace(0, 1, 9)[1:]  # strengths tried
Way = Literal["blur", "resample", "smooth", "sharpen"]
SOFTENING: tuple[Way, ...] = ("blur", "resample", "smooth")
SHARPENED = 0.3  # of the pairs are balanced by sharpening the softer picture


def balanced(real: Image, fake: Image, rng: np.random.Generator) -> tuple[Image, Image]:
    """Return both crops (H, W, 3), one of them softened or sharpened as a whole."""
    looks = [_look(image) for image in (real, fake)]
    sharpness = [_log_sharpness(look) for look in looks]
    wanted = rng.normal(0, LIKE)
    excess = sharpness[1] - sharpness[0] - wanted  # of the fake
    sharpen = rng.random() < SHARPENED
    which = int(excess > 0) if not sharpen else int(excess < 0)
    way: Way = "sharpen" if sharpen else SOFTENING[rng.integers(len(SOFTENING))]
    target = sharpness[which] + (abs(excess) if sharpen else -abs(excess))
    strength, off = _strength(looks[which], way, sharpness[which], target)
    if off > LIKE and not sharpen:  # a bilateral filter leaves edges
        way = "blur"
        strength, off = _strength(looks[which], way, sharpness[which], target)
    pair = [real, fake]
    pair[which] = _changed(pair[which], way, strength)
    return pair[0], pair[1]


def _look(image: Image) -> NDArray[np.uint8]:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (LOOK, LOOK), interpolation=cv2.INTER_AREA), np.uint8)


def _log_sharpness(look: NDArray[np.uint8]) -> float:
    return float(np.log(cv2.Laplacian(look, cv2.CV_32F).var() + 1))


def _strength(look: NDArray[np.uint8], way: Way, now: float, target: float) -> tuple[float, float]:
    """Return the strength in [0, 1] that comes nearest to the sharpness wanted, and what is off."""
    best, least = 0.0, abs(now - target)
    for strength in STEPS:
        off = abs(_log_sharpness(_changed(look, way, float(strength))) - target)
        if off > least:
            break
        best, least = float(strength), off
    return best, least


def _changed(image: NDArray[np.uint8], way: Way, strength: float) -> NDArray[np.uint8]:
    if strength == 0:
        return image
    height, width = image.shape[:2]
    unit = max(height, width) / LOOK
    if way == "blur":
        changed = cv2.GaussianBlur(image, (0, 0), 1.8 * strength * unit)
    elif way == "resample":
        scale = (1 - 0.75 * strength) / max(unit, 1)
        small = (max(8, round(width * scale)), max(8, round(height * scale)))
        shrunk = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        changed = cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_CUBIC)
    elif way == "smooth":
        changed = cv2.bilateralFilter(image, 5, 90 * strength, 1.5 * unit)
    else:
        soft = cv2.GaussianBlur(image, (0, 0), 1.2 * unit)
        changed = cv2.addWeighted(image, 1 + 2 * strength, soft, -2 * strength, 0)
    return np.asarray(changed, dtype=np.uint8)
