"""How a face and a scene look, in a few numbers, to tell people and scenes apart."""

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.crops.cropping import alignment
from preprocessing.types import Detection, Image

FACE_SIDE = 32  # pixels of the aligned face that is compared
ENOUGH_ROWS = 720  # of a frame; from here every second one tells the same of a scene
SCENE_CUT = 0.6  # shared part of two colour histograms; within a scene of our clips 0.75 or more


def look_of(image: Image, detection: Detection) -> NDArray[np.float32]:
    """Return a unit vector for a face's look: its aligned grey image, mean and contrast removed.

    The dot product of two is their normalised correlation: on the clips that this was chosen on,
    0.6 or more for one person in neighbouring frames and 0.5 or less for two people.

    Args:
        image: The frame (H, W, 3).
        detection: The face in it.
    """
    matrix = alignment(detection.landmarks, FACE_SIDE, 0.1)
    aligned = cv2.warpAffine(image, matrix, (FACE_SIDE, FACE_SIDE), flags=cv2.INTER_AREA)
    grey = aligned.astype(np.float32).mean(axis=2).ravel()
    grey -= grey.mean()
    unit: NDArray[np.float32] = grey / (float(np.linalg.norm(grey)) + 1e-3)
    return unit


def scene_of(image: Image) -> NDArray[np.float32]:
    """Return a frame's colour histogram, which adds up to 1."""
    rows = image[1::2] if len(image) >= ENOUGH_ROWS else image
    small = cv2.resize(rows, (64, 36), interpolation=cv2.INTER_AREA)
    hsv = cv2.cvtColor(small, cv2.COLOR_RGB2HSV)
    counts = cv2.calcHist([hsv], [0, 1, 2], None, [8, 4, 4], [0, 180, 0, 256, 0, 256])
    shares: NDArray[np.float32] = counts.ravel() / counts.sum()
    return shares


def is_cut(before: NDArray[np.float32], after: NDArray[np.float32]) -> bool:
    """Tell whether a new scene starts between two frames, from their histograms."""
    return float(np.minimum(before, after).sum()) < SCENE_CUT
