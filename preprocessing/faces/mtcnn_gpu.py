"""The MTCNN face detector on a GPU: facenet-pytorch's own, many frames at a time."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from preprocessing.faces.detection import detections
from preprocessing.faces.mtcnn import FACTOR, default_min_face_size
from preprocessing.types import Detection, Image


class BatchedMTCNN:
    """Find faces and their five landmarks as `preprocessing.faces.mtcnn.MTCNN` does, on any device.

    Every frame is searched in full. All frames of a call that have the same size go through the
    networks together, in float32 without TF32, so that the boxes are those of the CPU to rounding.

    Args:
        thresholds: Lowest probability of a face that each of the three networks lets through.
        min_face_size: Smallest face searched for, in pixels; None chooses it from the image's size.
        device: As torch names it, such as "cuda" or "cuda:1".
    """

    def __init__(
        self,
        *,
        thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7),
        min_face_size: int | None = None,
        device: str = "cuda",
    ) -> None:
        from facenet_pytorch import MTCNN

        self.min_face_size = min_face_size
        self._mtcnn: Any = MTCNN(
            thresholds=list(thresholds), factor=FACTOR, keep_all=True, device=device
        )

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        """Return the faces of each RGB image (H, W, 3), the largest first.

        `frame` is the position in `images` and `time_s` is 0. The images may differ in size.
        """
        sizes: dict[tuple[int, ...], list[int]] = {}
        for number, image in enumerate(images):
            sizes.setdefault(image.shape[:2], []).append(number)
        found: dict[int, list[Detection]] = {}
        for (height, width), numbers in sizes.items():
            size = self.min_face_size or default_min_face_size(height, width, FACTOR)
            faces = self._detect(np.stack([images[number] for number in numbers]), size)
            for number, face in zip(numbers, faces, strict=True):
                parts = (np.asarray(part, np.float32) for part in face)
                found[number] = [] if face[0] is None else detections(number, *parts)
        return [found[number] for number in range(len(images))]

    def _detect(self, images: Image, min_face_size: float) -> list[tuple[Any, Any, Any]]:
        """Return boxes, probabilities and landmarks of each image of (B, H, W, 3)."""
        import torch

        self._mtcnn.min_face_size = min_face_size
        with torch.backends.cudnn.flags(allow_tf32=False):
            return list(zip(*self._mtcnn.detect(images, landmarks=True), strict=True))
