"""Fakes made from two real faces: the nearest other person's face is blended in."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from deepfake.data.degrade import five_points
from deepfake.data.fakes.blending import (
    RATIOS,
    Blend,
    blend,
    change_frequency,
    hull_mask,
    soften,
    true_pixels,
)
from deepfake.data.fakes.hulls import HULLS, Points, hull_points
from deepfake.data.fakes.self_blend import HULL_CHANCES
from preprocessing.crops.cropping import similarity
from preprocessing.types import Image


@dataclass(frozen=True)
class FaceSwapBlend:
    """Blend the face of somebody else, warped to the same landmarks and recoloured.

    Li et al., "Face X-ray for more general face forgery detection", CVPR 2020,
    https://arxiv.org/abs/1912.13458, section 3.2. Unlike there, the edge and ratio are drawn as in
    self-blended images.

    Args:
        min_change: Least mean absolute change inside the mask, in levels of 0 to 255.
        attempts: Tries before giving up on a pair.
    """

    min_change: float = 2.5
    attempts: int = 3

    def __call__(
        self,
        image: Image,
        points: Points,
        donor: Image,
        donor_points: Points,
        rng: np.random.Generator,
    ) -> Blend | None:
        """Return the real face, the fake and its mask; None where every try changed too little.

        Args:
            image: Real crop (H, W, 3), RGB, that gets another face.
            points: Its five or 68 landmarks, in pixels of the crop.
            donor: Real crop (H', W', 3) of somebody else.
            donor_points: Landmarks of the donor.
            rng: Draws everything random.
        """
        size = (image.shape[0], image.shape[1])
        warped, covered = _align(donor, donor_points, points, size)
        covered = covered * true_pixels(image)
        for _ in range(self.attempts):
            outline = hull_points(points, HULLS[rng.choice(len(HULLS), p=HULL_CHANCES)])
            mask = hull_mask(size, outline) * covered
            recoloured = match_colour(warped, image, mask)
            if rng.random() < 0.5:
                recoloured = change_frequency(recoloured, rng)
            # The edge must lie where the donor still reaches.
            mask = soften(mask, float(np.ptp(outline[:, 0])), rng) * covered
            made = blend(recoloured, image, mask * np.float32(rng.choice(RATIOS[1:])))
            if made.change >= self.min_change:
                return made
        return None


def match_colour(image: Image, like: Image, mask: NDArray[np.float32]) -> Image:
    """Give an image the mean per channel that `like` has inside the mask.

    Deviations stay: to stretch them too (Reinhard et al., 2001) makes dark patches of shadows.
    """
    inside = mask > 0.5
    if inside.sum() < 16:
        return image
    shift = like[inside].mean(axis=0) - image[inside].mean(axis=0)
    levels = np.arange(256, dtype=np.float64)[:, None] + shift
    return np.asarray(
        cv2.LUT(image, np.clip(levels + 0.5, 0, 255).astype(np.uint8)[None]), np.uint8
    )


def shape_features(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what "nearest by landmarks" compares (N, 10): five points, centred and scaled.

    Args:
        landmarks: Five or 68 points (N, 5 or 68, 2), in any unit.
    """
    five = np.stack([five_points(points) for points in landmarks])
    five = five - five.mean(axis=1, keepdims=True)
    scale = np.linalg.norm(five, axis=(1, 2), keepdims=True)
    return np.asarray((five / np.maximum(scale, 1e-6)).reshape(len(five), 10), dtype=np.float32)


def _align(
    donor: Image, donor_points: Points, points: Points, size: tuple[int, int]
) -> tuple[Image, NDArray[np.float32]]:
    """Warp the donor so that its landmarks lie on the others; also where it reaches, 0 or 1."""
    start, end = five_points(donor_points), five_points(points)
    matrix = similarity(start, end)
    warped = cv2.warpAffine(
        donor, matrix, size[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    covered = cv2.warpAffine(true_pixels(donor), matrix, size[::-1], flags=cv2.INTER_NEAREST)
    return np.asarray(warped, dtype=np.uint8), np.asarray(covered, dtype=np.float32)
