from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from preprocessing.pipeline import extract_faces
from preprocessing.types import Detection, Image, PreprocessOptions


class OneFace:
    """Finds a face that fills most of a picture."""

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        five = np.array([[50, 50], [90, 50], [70, 75], [55, 100], [85, 100]], np.float32)
        return [[Detection(0, 0.0, (20, 10, 120, 150), 0.99, five)] for _ in images]


def test_the_crop_of_a_photograph_shows_no_black(tmp_path: Path) -> None:
    white = np.full((160, 140, 3), 255, np.uint8)
    cv2.imwrite(str(tmp_path / "tight.png"), white)
    found = extract_faces(tmp_path / "tight.png", PreprocessOptions(margin=0.3), OneFace())
    (face,) = found.faces
    assert face.image.shape == (140, 140, 3)
    assert face.image.min() == 255
