"""What a face detector is."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from preprocessing.faces.boxes import Boxes
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


def detections(frame: int, boxes: Boxes, scores: Boxes, landmarks: Boxes) -> list[Detection]:
    """Return boxes (N, 4), probabilities (N,) and landmarks (N, 5, 2) as values, the time as 0."""
    rows = zip(boxes.tolist(), scores.tolist(), landmarks, strict=True)
    return [Detection(frame, 0.0, (x0, y0, x1, y1), s, p) for (x0, y0, x1, y1), s, p in rows]
