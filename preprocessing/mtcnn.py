"""The MTCNN face detector: facenet-pytorch's networks under a faster schedule.

Zhang et al., Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks,
IEEE Signal Processing Letters 2016, https://arxiv.org/abs/1604.02878
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from preprocessing.boxes import area, nms, square
from preprocessing.mtcnn_networks import Floats, Network, probability
from preprocessing.mtcnn_pyramid import WINDOW, crops, pyramid
from preprocessing.types import Detection, Image

STRIDE = 2  # between neighbouring windows of the pnet, in pixels of its level


class MTCNN:
    """Find faces and their five landmarks.

    Boxes are neither clipped to the image nor rounded. The landmarks are left eye, right eye (as
    seen in the image), nose, left and right corner of the mouth.

    Args:
        thresholds: Lowest probability of a face that each of the three networks lets through.
        min_face_size: Smallest face searched for, in pixels; None chooses it from the image.
        factor: Size of a level of the image pyramid over that of the one below.
        exact: Resize as facenet-pytorch does, for the same boxes to rounding. Slower.
        threads: Threads that a network uses; None leaves it to ONNX Runtime.
    """

    def __init__(
        self,
        *,
        thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7),
        min_face_size: int | None = None,
        factor: float = 0.709,
        exact: bool = False,
        threads: int | None = 1,
    ) -> None:
        if len(thresholds) != 3 or not all(0 < threshold < 1 for threshold in thresholds):
            raise ValueError(f"thresholds must be three numbers between 0 and 1, got {thresholds}")
        if min_face_size is not None and min_face_size < WINDOW:
            raise ValueError(f"min_face_size must be at least {WINDOW}, got {min_face_size}")
        if not 0 < factor < 1:
            raise ValueError(f"factor must lie between 0 and 1, got {factor}")
        self.thresholds = thresholds
        self.min_face_size = min_face_size
        self.factor = factor
        self.exact = exact
        self.threads = threads

    @cached_property
    def _networks(self) -> tuple[Network, Network, Network]:
        pnet, rnet, onet = (Network(f"{n}net", threads=self.threads) for n in "pro")
        return pnet, rnet, onet

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        """Return the faces of each RGB image (H, W, 3), the largest first.

        `frame` is the position in `images` and `time_s` is 0. The images may differ in size.
        """
        return [self._detect(image, frame) for frame, image in enumerate(images)]

    def _detect(self, image: Image, frame: int) -> list[Detection]:
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(
                "MTCNN wants RGB images (H, W, 3) of uint8, "
                f"got shape {image.shape} of {image.dtype}"
            )
        boxes = self._propose(image)
        boxes = self._refine(image, boxes)
        boxes, scores, landmarks = self._finish(image, boxes)
        return [
            Detection(
                frame=frame,
                time_s=0.0,
                box=(
                    float(boxes[i, 0]),
                    float(boxes[i, 1]),
                    float(boxes[i, 2]),
                    float(boxes[i, 3]),
                ),
                score=float(scores[i]),
                landmarks=landmarks[i],
            )
            for i in np.argsort(-area(boxes), kind="stable")
        ]

    def _propose(self, image: Image) -> Floats:
        """Return the squares (N, 4) that the first network takes for faces."""
        size = self.min_face_size or default_min_face_size(*image.shape[:2])
        threshold = logit(self.thresholds[0])
        found = [np.zeros((0, 9), np.float32)]
        for scale, level in pyramid(image, WINDOW / size, self.factor, exact=self.exact):
            outputs = self._networks[0](level[None])[0]  # (5, rows, columns)
            rows, columns = np.nonzero(outputs[0] >= threshold)
            corners = np.stack([columns, rows], 1) * STRIDE + 1
            boxes = np.concatenate([corners, corners + WINDOW - 1], 1) / np.float32(scale)
            scored = np.concatenate([np.floor(boxes), outputs[:, rows, columns].T], 1)
            keep = nms(scored[:, :4], scored[:, 4], 0.5)
            found.append(scored[keep].astype(np.float32))
        candidates = np.concatenate(found)
        candidates = candidates[nms(candidates[:, :4], candidates[:, 4], 0.7)]
        boxes, offsets = candidates[:, :4], candidates[:, 5:]
        return np.asarray(square(boxes + offsets * sides(boxes)), np.float32)

    def _refine(self, image: Image, boxes: Floats) -> Floats:
        """Return the squares (N, 4) that the second network lets through, moved."""
        boxes, faces = crops(image, boxes, 24, exact=self.exact)
        if not len(boxes):
            return boxes
        outputs = self._networks[1](faces)
        passed = outputs[:, 0] > logit(self.thresholds[1])
        boxes, outputs = boxes[passed], outputs[passed]
        keep = nms(boxes, outputs[:, 0], 0.7)
        boxes, offsets = boxes[keep], outputs[keep, 1:]
        return np.asarray(square(boxes + offsets * (sides(boxes) + 1)), np.float32)

    def _finish(self, image: Image, boxes: Floats) -> tuple[Floats, Floats, Floats]:
        """Return boxes (N, 4), probabilities (N,) and landmarks (N, 5, 2) of the faces."""
        boxes, faces = crops(image, boxes, 48, exact=self.exact)
        if not len(boxes):
            return boxes, np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32)
        outputs = self._networks[2](faces)
        passed = outputs[:, 0] > logit(self.thresholds[2])
        boxes, outputs = boxes[passed], outputs[passed]
        size = sides(boxes) + 1
        points = outputs[:, 5:].reshape(-1, 2, 5).transpose(0, 2, 1)  # (N, 5, 2)
        landmarks = points * size[:, None, :2] + boxes[:, None, :2] - 1
        boxes = boxes + outputs[:, 1:5] * size
        keep = nms(boxes + np.array([0, 0, 1, 1], np.float32), outputs[:, 0], 0.7, over="smaller")
        return boxes[keep], probability(outputs[keep, 0]), landmarks[keep]


def sides(boxes: Floats) -> Floats:
    """Return width, height, width, height of boxes (N, 4), which scale their offsets."""
    return np.tile(boxes[:, 2:] - boxes[:, :2], 2)


def logit(probability: float) -> float:
    """Return the logit of a probability."""
    return float(np.log(probability / (1 - probability)))


def default_min_face_size(height: int, width: int) -> int:
    """Return the smallest face worth searching for in an image, in pixels."""
    return max(20, round(0.04 * min(height, width)))
