"""What a face detector is."""

from collections.abc import Sequence
from typing import Protocol

from preprocessing.types import Detection, Image


class FaceDetector(Protocol):
    """Finds faces in images of any size.

    The caller knows which frames the images are; in what is returned, `frame` is the position in
    `images` and `time_s` is 0.
    """

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        """Return the faces of each image (H, W, 3), the largest first."""
        ...
