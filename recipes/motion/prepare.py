"""Landmark tracks of every clip, found once: `python -m recipes.motion.prepare`.

Needs the extra "landmarks". A few stretches of consecutive frames are taken from each clip, at its
own frame rate. The largest face is searched by the project's MTCNN in every tenth frame; between,
its five points are interpolated in time, so that the square in which dlib looks moves smoothly.
Each face is enlarged to one size first: dlib rounds its points to whole pixels.
"""

import argparse
import csv
import dataclasses
import logging
import tempfile
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from deepfake.data.fakes.hulls import dense_from_five
from preprocessing.faces.mtcnn import MTCNN
from preprocessing.people.dlib_models import LANDMARKS, dlib_model
from preprocessing.types import Detection
from recipes.motion.sources import PAGES, Clip, clips

logger = logging.getLogger(__name__)

Floats = NDArray[np.float32]
STRETCHES, STRETCH_S, LEAST, MOST = 1, 3.2, 48, 100  # the last two in frames
WITHIN_S = 10.0  # stretches are spread over the beginning, since all before is decoded
EVERY = 10  # frames from one search to the next
SIDE, FACE = 448, 300  # of the picture that dlib sees and of the face's square in it, in pixels
SURE = 0.9


class Landmarks:
    """Finds 68 landmarks in a grey picture, around five known points.

    Kazemi and Sullivan, CVPR 2014, as trained for dlib.
    """

    def __init__(self) -> None:
        import dlib

        self._shape = dlib.shape_predictor(str(dlib_model(LANDMARKS)))
        low = (SIDE - FACE) // 2
        self._square: Any = dlib.rectangle(low, low, low + FACE, low + FACE)

    def __call__(self, grey: NDArray[np.uint8], five: Floats) -> Floats:
        """Return points (68, 2) in pixels of the picture, to a fraction of one."""
        face = dense_from_five(five)
        low, high = face.min(axis=0), face.max(axis=0)
        scale = FACE / float((high - low).max())
        shift = SIDE / 2 - scale * (low + high) / 2
        move = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
        view = cv2.warpAffine(
            grey, move, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        found = self._shape(view, self._square)
        points = np.array([(part.x, part.y) for part in found.parts()], dtype=np.float32)
        return np.asarray((points - shift) / scale, dtype=np.float32)


def stretches(count: int, fps: float) -> list[range]:
    """Return the numbers of the frames to look at, a range a stretch, spread over the beginning."""
    length = min(count, int(np.clip(round(STRETCH_S * fps), LEAST, MOST)))
    last = min(count, max(length, round(WITHIN_S * fps))) - length
    number = max(1, min(STRETCHES, (last + length) // length))
    return [range(int(s), int(s) + length) for s in np.linspace(0, last, number)]


@cache
def _mtcnn(least: int) -> MTCNN:
    return MTCNN(min_face_size=least)


class Tracker:
    """Follows the largest face through stretches of a clip."""

    def __init__(self) -> None:
        self._landmarks = Landmarks()

    def __call__(self, path: Path) -> dict[str, NDArray[Any]]:
        """Return points (N, 68, 2), the stretch (N,) and the time (N,) in seconds of each frame."""
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            fps = float(stream.average_rate or 25)
            times = [
                p.pts * float(p.time_base) for p in container.demux(stream) if p.pts is not None
            ]
            height, width = stream.height, stream.width
        mtcnn = _mtcnn(24 if min(height, width) < 500 else 48 if min(height, width) < 1000 else 80)
        wanted = stretches(len(times), fps)
        points: list[Floats] = []
        stretch: list[int] = []
        at: list[float] = []
        for number, frames in enumerate(_frames(path, wanted)):
            followed = self._follow(frames, mtcnn)
            points += followed
            stretch += [number] * len(followed)
            at += [frame.time for frame in frames[: len(followed)]]
        return {
            "points": np.array(points, np.float32).reshape(-1, 68, 2),
            "stretch": np.array(stretch, np.int32),
            "time_s": np.array(at, np.float64),
            "size": np.array([width, height], np.int32),
            "bit_rate": np.array(path.stat().st_size * 8 * fps / max(1, len(times))),
        }

    def _follow(self, frames: Sequence[av.VideoFrame], mtcnn: MTCNN) -> list[Floats]:
        """Return the points of a stretch, up to where the face is lost."""
        keys = [*range(0, len(frames) - 1, EVERY), len(frames) - 1]
        fives: list[Floats] = []
        known: Detection | None = None
        for key in keys:
            image = np.asarray(frames[key].to_ndarray(format="rgb24"), np.uint8)
            faces = mtcnn.detect([image])[0] if known is None else mtcnn.follow(image, [known.box])
            near = [f for f in faces if f.score >= SURE and (known is None or _near(f, known))]
            if not near:
                break
            known = max(near, key=_side)
            fives.append(known.landmarks.astype(np.float32))
        if len(fives) < 2:
            return []
        keys = keys[: len(fives)]
        flat = np.stack(fives).reshape(len(fives), 10)
        numbers = np.arange(keys[-1] + 1)
        between = np.stack([np.interp(numbers, keys, column) for column in flat.T], axis=1)
        return [
            self._landmarks(_grey(f), five.reshape(5, 2))
            for f, five in zip(frames, between.astype(np.float32), strict=False)
        ]


def _frames(path: Path, wanted: Sequence[range]) -> Iterator[list[av.VideoFrame]]:
    """Yield the frames of each stretch, which do not overlap but by rounding."""
    held: list[av.VideoFrame] = []
    left = list(wanted)
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number in left[0]:
                held.append(frame)
            if number == left[0][-1]:
                yield held
                held = []
                if not left[1:]:
                    return
                left = left[1:]
    if held:
        yield held


def _grey(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """Return the brightness (H, W), as stored where that is a plane of its own."""
    if not frame.format.name.startswith("yuv"):
        return np.asarray(frame.to_ndarray(format="gray"), np.uint8)
    plane = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return rows[: frame.height, : frame.width]


def _side(face: Detection) -> float:
    return max(face.box[2] - face.box[0], face.box[3] - face.box[1])


def _near(face: Detection, known: Detection) -> bool:
    centre = [abs(face.box[i] + face.box[i + 2] - known.box[i] - known.box[i + 2]) for i in (0, 1)]
    return max(centre) / 2 < _side(known) and 0.5 < _side(face) / _side(known) < 2


def recoded(path: Path, folder: Path, crf: int) -> Path:
    """Write the beginning of a clip anew by libx264, at its own size and rate; return the file."""
    out = folder / "recoded.mp4"
    with av.open(str(path)) as source, av.open(str(out), "w") as target:
        stream = source.streams.video[0]
        fps = stream.average_rate or Fraction(25)
        made = target.add_stream("libx264", rate=fps, options={"crf": str(crf), "preset": "fast"})
        made.width, made.height = stream.width // 2 * 2, stream.height // 2 * 2
        made.pix_fmt = "yuv420p"
        for number, frame in enumerate(source.decode(stream)):
            if number >= WITHIN_S * fps:
                break
            even = frame.reformat(made.width, made.height, "yuv420p")
            even.pts, even.time_base = number, 1 / fps
            target.mux(made.encode(even))
        target.mux(made.encode(None))
    return out


def _track(clip: Clip, tracker: Tracker, crf: int | None) -> dict[str, NDArray[Any]]:
    if crf is None:
        return tracker(clip.path)
    with tempfile.TemporaryDirectory() as folder:
        return tracker(recoded(clip.path, Path(folder), crf))


def _first(clip: Clip) -> tuple[bool, bool, bool, bool]:
    """Put last what is needed least: swaps, and clips that others are made from anew."""
    least = (clip.fake and not clip.talking) or clip.path.stem.endswith(("_SR", "_512"))
    return least, clip.source not in PAGES, clip.use == "train", not clip.fake


def main() -> None:
    """Write a file of landmarks a clip, and a table of all clips."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--more", type=Path, default=Path("../shared/data/more"))
    add("--media", type=Path, default=Path("data/more/clips"), help="rebuilt clips of devval.csv")
    add("--data", type=Path, default=Path("../shared/data"))
    add("--out", type=Path, default=Path("data/motion"))
    add("--crf", type=int, help="encode the clips measured on alike first, at this rate factor")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folder = given.out / ("tracks" if given.crf is None else f"tracks_crf{given.crf}")
    folder.mkdir(parents=True, exist_ok=True)
    tracker = Tracker()
    listed = sorted(clips(given.more, given.media, given.data), key=_first)
    if given.crf is not None:
        listed = [clip for clip in listed if clip.use == "val" and (clip.talking or not clip.fake)]
    for clip in listed:
        file = folder / f"{clip.name}.npz"
        if file.exists():
            continue
        start = time.process_time()
        found = _track(clip, tracker, given.crf)
        spent = time.process_time() - start
        np.savez(file, **found, cpu_s=np.array(spent))
        logger.info("%s: %d frames, %.2f CPU s", clip.name, len(found["points"]), spent)
    with (given.out / "clips.csv").open("w", newline="", encoding="utf-8") as lines:
        rows = [
            {**dataclasses.asdict(c), "name": c.name}
            for c in clips(given.more, given.media, given.data)
        ]
        writer = csv.DictWriter(lines, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
