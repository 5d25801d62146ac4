"""Face detection per frame: our MTCNN beside facenet-pytorch's, one thread each."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np

from benchmarks.measure import Row, compare, cpu_s, row
from preprocessing.faces.boxes import iou
from preprocessing.faces.mtcnn import MTCNN
from preprocessing.types import Image

FRAMES = 6  # per size: one from each of as many clips as there are
PLACE = 24  # which frame of a clip


def run(clips: Sequence[Path]) -> list[Row]:
    """Return CPU time per frame, and how alike the boxes are, for each size of frame."""
    import facenet_pytorch
    import torch

    torch.set_num_threads(1)
    facenet = facenet_pytorch.MTCNN(keep_all=True)
    rows = []
    for size, images in frames(clips).items():
        ours, theirs = MTCNN(), partial(facenet.detect, landmarks=True)
        equal = MTCNN(min_face_size=20)
        for case, detector in ((size, ours), (f"{size}, smallest face 20 px", equal)):
            figures = compare(
                partial(cpu_s, partial(each, detector, images)),
                partial(cpu_s, partial(each_reference, theirs, images)),
            )
            rows.append(row("detect", case, figures, "CPU ms per frame", 1000 / len(images)))
            rows += parity(case, detector, theirs, images)
    return rows


def each(detector: MTCNN, images: Sequence[Image]) -> None:
    """Detect in one image after the other."""
    for image in images:
        detector.detect([image])


def each_reference(detect: Any, images: Sequence[Image]) -> None:  # noqa: ANN401
    """Detect in one image after the other, the reference's way."""
    for image in images:
        detect(image)


def parity(case: str, detector: MTCNN, reference: Any, images: Sequence[Image]) -> list[Row]:  # noqa: ANN401
    """Return how many of the reference's clear faces are found, how exactly, and how many more.

    Clear is a face over 40 pixels with a probability over 0.95.
    """
    overlaps: list[float] = []
    more = faces = 0
    for image in images:
        boxes, scores, _ = reference(image)
        theirs = np.zeros((0, 4)) if boxes is None else np.asarray(boxes, float)
        ours = np.array([face.box for face in detector.detect([image])[0]]).reshape(-1, 4)
        overlap = iou(theirs, ours)
        more += int((overlap.max(0, initial=0) < 0.5).sum())
        for i in range(len(theirs)):
            if scores[i] > 0.95 and (theirs[i, 2:] - theirs[i, :2]).max() > 40:
                faces += 1
                overlaps.append(float(overlap[i].max(initial=0)))
    if not faces:
        return []
    found = sum(overlap >= 0.9 for overlap in overlaps)
    mean = float(np.mean(overlaps))
    return [
        Row("detect", f"{case}: found", found, faces, found / faces, 0, "clear faces, IoU >= 0.9"),
        Row("detect", f"{case}: overlap", mean, 1, mean, 1 - min(overlaps), "IoU of clear faces"),
        Row("detect", f"{case}: other faces", more, 0, 1, 0, "faces the reference lacks"),
    ]


def frames(clips: Sequence[Path]) -> dict[str, list[Image]]:
    """Return frames by size, such as "720p"; of the shared clips only 720p and 1080p."""
    found: dict[str, list[Image]] = {}
    for clip in clips:
        with av.open(str(clip)) as container:
            height = container.streams.video[0].height
            if len(found.get(f"{height}p", [])) >= FRAMES:
                continue
            image: Image | None = None
            for number, frame in enumerate(container.decode(video=0)):
                if number == PLACE:
                    image = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
                    break
        if image is not None:
            found.setdefault(f"{height}p", []).append(image)
    large = {size: images for size, images in found.items() if size in ("720p", "1080p")}
    return large or found
