"""Fakes made from a real face alone: self-blended images."""

from dataclasses import dataclass

import numpy as np

from deepfake.data.fakes.blending import (
    RATIOS,
    Blend,
    Mask,
    blend,
    change_colour,
    change_frequency,
    hull_mask,
    jitter,
    move,
    soften,
    true_pixels,
)
from deepfake.data.fakes.hulls import HULLS, Points, hull_points
from preprocessing.types import Image

HULL_CHANCES = (0.25, 0.45, 0.2, 0.1)  # of HULLS, in their order


@dataclass(frozen=True)
class SelfBlend:
    """Blend a face with a changed copy of itself.

    Shiohara and Yamasaki, CVPR 2022, https://arxiv.org/abs/2204.08376. Source and target are the
    same image, one of them changed in colour and frequency; the source is also scaled and shifted a
    little; a bent and blurred face hull decides what of the source goes into the target. What
    remains is what swaps have in common: an edge, and two statistics in one face.

    Args:
        min_change: Least mean absolute change inside the mask, in levels of 0 to 255. Blends that
            change less teach nothing visible and are tried again.
        attempts: Tries before giving up on a crop.
    """

    min_change: float = 2.5
    attempts: int = 5

    def __call__(self, image: Image, points: Points, rng: np.random.Generator) -> Blend | None:
        """Return the real face, the fake and its mask; None where every try changed too little.

        Args:
            image: Real crop (H, W, 3), RGB.
            points: Five or 68 landmarks, in pixels of the crop.
            rng: Draws everything random.
        """
        inside = true_pixels(image)
        for _ in range(self.attempts):
            made = self._try(image, points, inside, rng)
            if made.change >= self.min_change:
                return made
        return None

    def _try(self, image: Image, points: Points, inside: Mask, rng: np.random.Generator) -> Blend:
        hull = HULLS[rng.choice(len(HULLS), p=HULL_CHANCES)]
        outline = hull_points(points, hull)
        span = float(np.ptp(outline[:, 0]))
        changed = change_frequency(change_colour(image, rng), rng, span=span)
        source, target = (changed, image) if rng.random() < 0.5 else (image, changed)
        mask = hull_mask((image.shape[0], image.shape[1]), outline)
        matrix = jitter((image.shape[0], image.shape[1]), outline.mean(axis=0), rng)
        source, mask = move(source, target, matrix, mask)
        mask = soften(mask * inside, span, rng) * inside
        return blend(source, target, mask * np.float32(rng.choice(RATIOS)))
