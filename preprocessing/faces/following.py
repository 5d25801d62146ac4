"""Following faces from frame to frame: a full search in every few frames only.

Of the frames that are looked at, every `EVERY`th is searched in full, sooner where they lie far
apart in time. Where two of these agree, the frames between are searched by `MTCNN.follow`: for
large faces everywhere, for small ones around the known faces only. Where they do not agree, the
frame in the middle is searched in full, and so on in both halves. They agree where no new scene
starts between them, little time lies between them, and each clear face of one has a face near it in
the other. A frame followed is searched in full after all where a face has gone astray.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from preprocessing.faces.detection import FaceDetector, FaceFollower
from preprocessing.types import Box, Detection, Frame

EVERY = 6  # frames from one full search to the next, at most
BATCH = 16  # frames that a detector which cannot follow is given at once
MAX_SPAN_S = 2.0  # from one full search to the next; in longer times small faces come and go
MAX_PIXELS = 32_000_000  # held from one full search to the next: four frames of 4K
NEAR = 1.0  # sides of a face that it may lie from a known one, as far as `MTCNN.follow` looks


@dataclass(frozen=True, eq=False)
class Shot:
    """A frame to look at.

    Args:
        number: Of the frames read.
        frame: The frame.
        cut: Whether a new scene starts with it, or since the last one looked at.
    """

    number: int
    frame: Frame
    cut: bool = False


@dataclass(frozen=True, eq=False)
class Sight:
    """A frame and the faces found in it."""

    shot: Shot
    faces: list[Detection]


def follow(shots: Iterable[Shot], detector: FaceDetector, min_score: float) -> Iterator[Sight]:
    """Yield frames, in order, with their faces as the detector gives them.

    Args:
        shots: In order of time.
        detector: One that cannot follow searches every frame in full, `BATCH` at a time.
        min_score: Probability from which a face is clear.
    """
    if not isinstance(detector, FaceFollower):
        for span in _spans(shots, BATCH):
            faces = detector.detect([shot.frame.image for shot in span])
            yield from (Sight(shot, found) for shot, found in zip(span, faces, strict=True))
        return
    start: Sight | None = None
    for span in _spans(shots, EVERY, MAX_SPAN_S):
        end = _in_full(span[-1], detector)
        if start is not None:
            yield from _between(span[:-1], start, end, detector, min_score)
        yield (start := end)
        del span  # or its frames would be held until the next ones are read


def _spans(shots: Iterable[Shot], most: int, longest_s: float = math.inf) -> Iterator[list[Shot]]:
    """Yield the first frame alone, then a few at a time; the last of each is searched in full."""
    span: list[Shot] = []
    start_s = -math.inf
    for shot in shots:
        if span and shot.frame.time_s - start_s > longest_s:
            yield span
            span, start_s = [], span[-1].frame.time_s
        span.append(shot)
        full = len(span) == most or len(span) * shot.frame.image.size >= 3 * MAX_PIXELS
        if full or start_s == -math.inf:
            yield span
            span, start_s = [], shot.frame.time_s
    if span:
        yield span


def _between(
    shots: Sequence[Shot], start: Sight, end: Sight, detector: FaceFollower, min_score: float
) -> list[Sight]:
    """Return the faces of frames between two that are searched in full."""
    if not shots:
        return []
    if (
        any(shot.cut for shot in (*shots, end.shot))
        or end.shot.frame.time_s - start.shot.frame.time_s > MAX_SPAN_S
        or _astray(start.faces, end.faces, min_score, 2 * NEAR)
        or _astray(end.faces, start.faces, min_score, 2 * NEAR)
    ):
        half = len(shots) // 2
        middle = _in_full(shots[half], detector)
        return [
            *_between(shots[:half], start, middle, detector, min_score),
            middle,
            *_between(shots[half + 1 :], middle, end, detector, min_score),
        ]
    found: list[Sight] = []
    for shot in shots:
        known = [*start.faces, *(found[-1].faces if found else []), *end.faces]
        faces = detector.follow(shot.frame.image, [face.box for face in known])
        lost = _astray(known, faces, min_score, 2 * NEAR)
        new = _astray(faces, known, min_score, NEAR)
        found.append(_in_full(shot, detector) if lost or new else Sight(shot, faces))
    return found


def _in_full(shot: Shot, detector: FaceDetector) -> Sight:
    return Sight(shot, detector.detect([shot.frame.image])[0])


def _astray(
    faces: Sequence[Detection], others: Sequence[Detection], min_score: float, reach: float
) -> bool:
    """Tell whether a clear face has no other, clear or not, within so many sides of itself."""
    return any(
        face.score >= min_score and not any(_apart(face.box, o.box) <= reach for o in others)
        for face in faces
    )


def _apart(a: Box, b: Box) -> float:
    """Return the larger distance of the centres along x and y, in sides of the larger box."""
    x, y = (abs(a[i] + a[i + 2] - b[i] - b[i + 2]) / 2 for i in (0, 1))
    side = max(a[2] - a[0], a[3] - a[1], b[2] - b[0], b[3] - b[1])
    return max(x, y) / max(side, 1e-6)
