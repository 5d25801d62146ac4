"""Whole frames of the moments that count, clean, to be looked at and searched for elsewhere."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deepfake.types import FaceScore, Verdict
from preprocessing.video import evenly_spaced, index_frames, read_frames

MOST = 4
SIDE = 1280  # pixels of the longer side
TIMEOUT_S = 120.0


@dataclass(frozen=True)
class KeyFrame:
    """A whole frame and who is in it."""

    image: str  # as a data URI, without anything drawn in
    width: int  # of the frame, in pixels
    height: int
    time_s: float  # when it is, in seconds
    faces: tuple[FaceScore, ...]  # those judged in it


def key_frames(clip: Path, verdict: Verdict, looked_s: Sequence[float]) -> list[KeyFrame]:
    """Ask a worker for the frames with the highest scores, or some of the span looked at, in s."""
    from preprocessing.workers.local import run_local

    wanted = sorted({face.frame for face in highest(verdict.faces, MOST)})
    span_s = min(looked_s, default=0.0), max(looked_s, default=0.0)
    (outcome,) = run_local(read, [(clip, wanted, span_s)], workers=1, timeout_s=TIMEOUT_S)
    return [
        KeyFrame(
            "data:image/jpeg;base64," + base64.b64encode(data).decode(),
            width,
            height,
            time_s,
            tuple(face for face in verdict.faces if face.frame == frame and face.box),
        )
        for frame, time_s, width, height, data in outcome.result or ()
    ]


def read(task: tuple[Path, list[int], Sequence[float]]) -> list[tuple[int, float, int, int, bytes]]:
    """Return number, time, width, height and JPEG of a clip's frames; runs in the worker."""
    from deepfake.report.pictures import jpeg

    clip, numbers, (start_s, end_s) = task
    index = index_frames(clip)
    numbers = numbers or evenly_spaced(index.times_s, MOST, start_s=start_s, end_s=end_s)
    frames = read_frames(clip, index, numbers)
    return [
        (f.index, f.time_s, f.image.shape[1], f.image.shape[0], jpeg(f.image, SIDE)) for f in frames
    ]


def highest(faces: Sequence[FaceScore], most: int) -> list[FaceScore]:
    """Return some faces with the highest scores, each of another frame, apart in time."""
    times = [face.time_s for face in faces]
    apart = (max(times) - min(times)) / (2 * most) if times else 0.0
    chosen: list[FaceScore] = []
    for face in sorted(faces, key=lambda face: -face.score):
        new = all(abs(face.time_s - c.time_s) >= apart and face.frame != c.frame for c in chosen)
        if new and len(chosen) < most:
            chosen.append(face)
    return chosen
