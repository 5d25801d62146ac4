"""The MTCNN face detector: facenet-pytorch's networks under a faster schedule.

Zhang et al., Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks,
IEEE Signal Processing Letters 2016, https://arxiv.org/abs/1604.02878
"""

import threading
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from preprocessing.faces.boxes import Boxes, area, nms, square
from preprocessing.faces.detection import detections
from preprocessing.faces.mtcnn_networks import Network, probability
from preprocessing.faces.mtcnn_pyramid import (
    STRIDE,
    WINDOW,
    Floats,
    Part,
    SumTable,
    parts_around,
    scales,
)
from preprocessing.types import Box, Detection, Image

FACTOR = 0.709  # size of a level of the pyramid over that of the one below, as facenet-pytorch's
FINE = 3  # levels that `follow` searches in parts; the others cost an eighth of all


class MTCNN:
    """Find faces and their five landmarks.

    Boxes are neither clipped to the image nor rounded. The landmarks are left eye, right eye (as
    seen in the image), nose, left and right corner of the mouth.

    Args:
        thresholds: Lowest probability of a face that each of the three networks lets through.
        min_face_size: Smallest face searched for, in pixels; None chooses it from the image's size
            (`default_min_face_size`). With 20 the boxes are those of facenet-pytorch's default.
        factor: Size of a level of the image pyramid over that of the one below.
        threads: Threads that a network uses; None leaves it to ONNX Runtime.
    """

    def __init__(
        self,
        *,
        thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7),
        min_face_size: int | None = None,
        factor: float = FACTOR,
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
        self.threads = threads
        self._spare = threading.local()  # the last table

    @cached_property
    def _networks(self) -> tuple[Network, Network, Network]:
        pnet, rnet, onet = (Network(f"{n}net", threads=self.threads) for n in "pro")
        return pnet, rnet, onet

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        """Return the faces of each RGB image (H, W, 3), the largest first.

        `frame` is the position in `images` and `time_s` is 0. The images may differ in size.
        """
        return [self._detect(image, frame) for frame, image in enumerate(images)]

    def follow(self, image: Image, expected: Sequence[Box]) -> list[Detection]:
        """Return the faces of an RGB image (H, W, 3) as `detect` does, for less work.

        Small faces are searched for around the expected ones only: of the pyramid's `FINE` largest
        levels, which take most of the time, the first network sees no more than the windows there.
        These, and all windows of the other levels, are the ones that `detect` sees.

        Args:
            image: Of a frame near others whose faces are known.
            expected: Boxes of these faces.
        """
        return self._detect(image, 0, np.array(expected, np.float32).reshape(-1, 4))

    def _detect(self, image: Image, frame: int, expected: Floats | None = None) -> list[Detection]:
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(
                "MTCNN wants RGB images (H, W, 3) of uint8, "
                f"got shape {image.shape} of {image.dtype}"
            )
        table = self._spare.table = SumTable(image, getattr(self._spare, "table", None))
        boxes = self._refine(table, self._propose(table, expected))
        boxes, scores, landmarks = self._finish(table, boxes)
        order = np.argsort(-area(boxes), kind="stable")
        return detections(frame, boxes[order], scores[order], landmarks[order])

    def _propose(self, table: SumTable, expected: Floats | None) -> Floats:
        """Return the squares (N, 4) that the first network takes for faces."""
        size = self.min_face_size or default_min_face_size(table.height, table.width, self.factor)
        levels = scales(table.height, table.width, WINDOW / size, self.factor)
        found = [np.zeros((0, 9), np.float32)]
        for number, scale in enumerate(levels):
            shape = int(table.height * scale + 1), int(table.width * scale + 1)
            parts = [(0, 0, *shape)]
            if expected is not None and number < FINE:
                parts = parts_around(expected, scale, *shape)
            windows = np.concatenate(
                [found[0], *(self._windows(table, scale, shape, part) for part in parts)]
            )
            found.append(windows[nms(windows[:, :4], windows[:, 4], 0.5)])
        windows = np.concatenate(found)
        windows = windows[nms(windows[:, :4], windows[:, 4], 0.7)]
        boxes, offsets = windows[:, :4], windows[:, 5:]
        return square(boxes + offsets * sides(boxes))

    def _windows(self, table: SumTable, scale: float, shape: tuple[int, int], part: Part) -> Floats:
        """Return box, logit and offsets (N, 9) of the likely windows in a part of a level."""
        outputs = self._networks[0](table.resize(*shape, part)[None])[0]  # (5, rows, columns)
        rows, columns = np.nonzero(outputs[0] >= logit(self.thresholds[0]))
        corners = np.stack([columns, rows], 1) * STRIDE + (part[1] + 1, part[0] + 1)
        corners = corners.astype(np.float32)
        boxes = np.floor(np.concatenate([corners, corners + WINDOW - 1], 1) / np.float32(scale))
        return np.concatenate([boxes, outputs[:, rows, columns].T], 1)

    def _refine(self, table: SumTable, boxes: Floats) -> Floats:
        """Return the squares (N, 4) that the second network lets through, moved."""
        seen, faces = table.crop(boxes, 24)
        outputs = self._networks[1](faces)
        passed = outputs[:, 0] > logit(self.thresholds[1])
        boxes, outputs = boxes[seen][passed], outputs[passed]
        keep = nms(boxes, outputs[:, 0], 0.7)
        boxes, offsets = boxes[keep], outputs[keep, 1:]
        return square(boxes + offsets * (sides(boxes) + 1))

    def _finish(self, table: SumTable, boxes: Floats) -> tuple[Floats, Floats, Floats]:
        """Return boxes (N, 4), probabilities (N,) and landmarks (N, 5, 2) of the faces."""
        seen, faces = table.crop(boxes, 48)
        outputs = self._networks[2](faces)
        passed = outputs[:, 0] > logit(self.thresholds[2])
        boxes, outputs = boxes[seen][passed], outputs[passed]
        size = sides(boxes) + 1
        points = outputs[:, 5:].reshape(-1, 2, 5).transpose(0, 2, 1)  # (N, 5, 2)
        landmarks = points * size[:, None, :2] + boxes[:, None, :2] - 1
        boxes = boxes + outputs[:, 1:5] * size
        keep = nms(boxes + np.array([0, 0, 1, 1], np.float32), outputs[:, 0], 0.7, over="smaller")
        return boxes[keep], probability(outputs[keep, 0]), landmarks[keep]


def sides(boxes: Boxes) -> Boxes:
    """Return width, height, width, height of boxes (N, 4), which scale their offsets."""
    return np.tile(boxes[:, 2:] - boxes[:, :2], 2)


def logit(probability: float) -> float:
    """Return the logit of a probability."""
    return float(np.log(probability / (1 - probability)))


def default_min_face_size(height: int, width: int, factor: float) -> float:
    """Return the smallest face worth searching for in an image, in pixels.

    It is the largest of 20, 20 / factor, 20 / factor^2, ... within 4 % of the shorter side: 20
    pixels up to 540 rows, 28 at 720, 40 at 1080. Each such step leaves out the largest level of
    the pyramid that facenet-pytorch's default of 20 pixels makes, half the work, and makes the
    other levels exactly as it does, which is what keeps the boxes of larger faces the same.
    """
    size = 20.0
    while size / factor <= 0.04 * min(height, width):
        size /= factor
    return size
