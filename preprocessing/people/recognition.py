"""Whether two faces are one person's, by a network that comes with the extra "recognition"."""

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from preprocessing.people.dlib_models import LANDMARKS, RECOGNITION, dlib_model
from preprocessing.types import Image

SMALLEST = 40.0  # pixels between forehead and chin, below which a face is not described
TURNED = 0.2  # the nose's place between the eyes, 0 to 1, at least this far from both
CHIP = 150  # side of the aligned face that the network takes, in pixels
PADDING = 0.25  # of it around the face

Description = NDArray[np.float64]
Describe = Callable[[Image, NDArray[np.float32]], Description | None]


@cache
def recogniser() -> Describe | None:
    """Return what describes a face in 128 numbers; None where the extra is not installed.

    King, 2017, http://blog.dlib.net/2017/02/high-quality-face-recognition-with-deep.html: faces
    of one person lie within 0.6 of each other (Euclidean). The returned function takes a crop
    (H, W, 3), RGB, and five landmarks in its pixels, and gives None for faces that are small or
    seen from the side, where it took different people for one.
    """
    network, landmarks = dlib_model(RECOGNITION), dlib_model(LANDMARKS)
    if network is None or landmarks is None:
        return None
    import dlib

    describing = dlib.face_recognition_model_v1(str(network))
    shape = dlib.shape_predictor(str(landmarks))

    def describe(image: Image, points: NDArray[np.float32]) -> Description | None:
        eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
        side = 2.25 * float(np.linalg.norm(mouth - eyes))  # brows to chin
        across = points[1] - points[0]
        nose = float((points[2] - points[0]) @ across) / max(float(across @ across), 1e-6)
        if side < SMALLEST or not TURNED <= nose <= 1 - TURNED:
            return None
        left, top = (float(at) for at in eyes + 0.775 * (mouth - eyes) - side / 2)
        box = dlib.rectangle(round(left), round(top), round(left + side), round(top + side))
        pixels = np.ascontiguousarray(image)
        chip = dlib.get_face_chip(pixels, shape(pixels, box), CHIP, PADDING)
        return np.array(describing.compute_face_descriptor(chip))

    return describe
