"""Following faces from frame to frame: a full search in every few frames only.

Of the frames that are looked at, every `EVERY`th is searched in full. In those between, small faces
are searched for only around the faces of the full frames before and after and of the frame just
before, large ones everywhere (`MTCNN.follow`). Such a frame is searched in full as well where
something is amiss: the full frames do not agree on the number of clear faces, it shows another
number itself, a new scene starts on the way, or the full frames lie far apart in time.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from preprocessing.detection import FaceDetector, FaceFollower
from preprocessing.types import Detection, Frame

EVERY = 4  # frames from one full search to the next
MAX_SPAN_S = 2.0  # from one full search to the next; small faces come and go in longer times
MAX_PIXELS = 32_000_000  # held from one full search to the next: four frames of 4K


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


def follow(
    shots: Iterable[Shot], detector: FaceDetector, min_score: float
) -> Iterator[tuple[Shot, list[Detection]]]:
    """Yield frames, in order, with their faces as the detector gives them.

    Args:
        shots: In order of time.
        detector: One that cannot follow searches every frame in full.
        min_score: Probability from which a face is clear.
    """
    start: tuple[Frame, list[Detection]] | None = None
    for span in _spans(shots):
        last = span[-1].frame
        end = detector.detect([last.image])[0]
        near = start is not None and last.time_s - start[0].time_s <= MAX_SPAN_S
        if start is not None and near and not any(shot.cut for shot in span):
            found = _between(span[:-1], start[1], end, detector, min_score)
        else:
            found = [detector.detect([shot.frame.image])[0] for shot in span[:-1]]
        yield from zip(span, [*found, end], strict=True)
        start = last, end


def _spans(shots: Iterable[Shot]) -> Iterator[list[Shot]]:
    """Yield the first frame alone, then a few at a time; the last of each is searched in full."""
    span: list[Shot] = []
    pixels, first = 0, True
    for shot in shots:
        span.append(shot)
        pixels += shot.frame.image.shape[0] * shot.frame.image.shape[1]
        if first or len(span) == EVERY or pixels >= MAX_PIXELS:
            yield span
            span, pixels, first = [], 0, False
    if span:
        yield span


def _between(
    shots: Sequence[Shot],
    start: Sequence[Detection],
    end: Sequence[Detection],
    detector: FaceDetector,
    min_score: float,
) -> list[list[Detection]]:
    """Return the faces of frames between two that are searched in full."""

    def clear(faces: Sequence[Detection]) -> int:
        return sum(face.score >= min_score for face in faces)

    images = [shot.frame.image for shot in shots]
    if not isinstance(detector, FaceFollower) or clear(start) != clear(end):
        return [detector.detect([image])[0] for image in images]
    found: list[list[Detection]] = []
    before = start
    for image in images:
        faces = detector.follow(image, [face.box for face in (*start, *before, *end)])
        if clear(faces) != clear(start):
            faces = detector.detect([image])[0]
        found.append(faces)
        before = faces
    return found
