"""What a face detector is."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from preprocessing.types import Box, Detection, Image


class FaceDetector(Protocol):
    """Finds faces in images of any size.

    The caller knows which frames the images are; in what is returned, `frame` is the position in
    `images` and `time_s` is 0.
    """

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        """Return the faces of each image (H, W, 3), the largest first."""
        ...


@runtime_checkable
class FaceFollower(FaceDetector, Protocol):
    """A face detector that has less work where it is told what to expect."""

    def follow(self, image: Image, expected: Sequence[Box]) -> list[Detection]:
        """Return the faces of an image (H, W, 3) as `detect` does, small ones near boxes only."""
        ...
