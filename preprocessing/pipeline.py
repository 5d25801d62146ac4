"""From a video to its faces: the same code for a training set and for one clip."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preprocessing.crops.cropping import crop_face
from preprocessing.errors import VideoError
from preprocessing.faces.detection import FaceDetector
from preprocessing.faces.following import Shot, follow
from preprocessing.faces.mtcnn import MTCNN
from preprocessing.limits import DEFAULT, Limits
from preprocessing.people.appearance import is_cut, look_of, scene_of
from preprocessing.people.recognition import recogniser
from preprocessing.people.tracking import SeenFace, SeenFrame, is_still, link
from preprocessing.types import (
    Box,
    Detection,
    Face,
    Frame,
    Image,
    PreprocessOptions,
    ReadReport,
    Track,
    VideoInfo,
)
from preprocessing.video.index import index_frames
from preprocessing.video.read import read_frames
from preprocessing.video.shots import Schedule, grown, schedule

MIN_FACES = 3  # of a track; shorter ones are mostly no faces
MIN_BRIGHTNESS = 20.0  # mean of 0..255 inside the box: darker faces are silhouettes
MAX_CROP_BYTES = 256 * 2**20  # held per video; beyond, every second frame is let go


@dataclass(frozen=True)
class Extraction:
    """The faces of a video and how they were come by.

    Args:
        info: What the container says.
        report: Frames wanted, read, damaged.
        tracks: One per person.
        faces: The crops, by track and frame.
        rejected: Faces found but left out, by reason.
        cuts_s: Times at which a new scene starts, in seconds.
        stride: Of the frames read, every so manieth was kept, to bound memory; 1 for all.
        sizes: Width and height of the frames looked at, in pixels; they may change on the way.
        times_s: Of the frames that were searched for faces, in seconds.
        shots: Scenes that there may be, as far as was searched for them.
        shots_seen: Of these, the ones that a frame was read of.
    """

    info: VideoInfo
    report: ReadReport
    tracks: tuple[Track, ...]
    faces: tuple[Face, ...]
    rejected: dict[str, int] = field(default_factory=dict)
    cuts_s: tuple[float, ...] = ()
    stride: int = 1
    sizes: dict[int, tuple[int, int]] = field(default_factory=dict)
    times_s: tuple[float, ...] = ()
    shots: int = 1
    shots_seen: int = 1


def make_detector(options: PreprocessOptions, device: str = "cpu") -> FaceDetector:
    """Return the face detector that some options ask for, on a device as torch names it."""
    settings: Any = {"thresholds": options.thresholds, "min_face_size": options.min_face_size}
    if device == "cpu":
        return MTCNN(**settings)
    from preprocessing.faces.mtcnn_gpu import BatchedMTCNN  # imports torch

    return BatchedMTCNN(**settings, device=device)


detector_for = cache(make_detector)  # this process's, whose networks are loaded once


def extract_faces(
    path: Path,
    options: PreprocessOptions,
    detector: FaceDetector,
    *,
    start_s: float = 0.0,
    end_s: float | None = None,
    fps: float | None = None,
    shots: bool = False,
    grow: bool = False,
    shrink: Callable[[Image], Image] | None = None,
    limits: Limits = DEFAULT,
    device: str = "cpu",
) -> Extraction:
    """Find the people in a video and cut their faces out.

    Args:
        path: A video, or a photograph, which counts as a video of one frame.
        options: Which frames, which crops.
        detector: Finds the faces.
        start_s: Begin of the span that is looked at, in seconds.
        end_s: Its end; None for the end of the video.
        fps: Frames per second of video, instead of the number in `options`. However long the video
            is, crops of no more than `MAX_CROP_BYTES` are held: where they would be more, every
            second frame is let go, and so on.
        shots: Look for scenes and give each its share of frames, see `preprocessing.video.shots`.
        grow: Give videos of more than a minute more frames, unless `fps` says how many.
        shrink: Applied to each crop before it is kept, where there are more than `options` say.
        limits: What the video may cost.
        device: Decodes the video, as in `read_frames`.

    Raises:
        VideoError: The file cannot be used, is over a limit, or no frame of it can be decoded.
    """
    report = ReadReport()
    index = index_frames(path, limits)
    info = index.info
    if index.still is not None:
        start_s, end_s = 0.0, None
        options = replace(options, inside="always")
    last = info.duration_s if end_s is None else min(end_s, info.duration_s)
    span_s = last - max(start_s, 0.0)
    count = options.frames if fps is None else max(1, round(span_s * fps))
    if grow and fps is None:
        count = grown(count, span_s)
    chosen = schedule(path, index, count, start_s=start_s, end_s=end_s, shots=shots, limits=limits)
    if not chosen.positions:
        raise VideoError(
            f"{path.name} has no frame from {start_s:g} s"
            f"{'' if end_s is None else f' to {end_s:g} s'}; it lasts {info.duration_s:.1f} s"
        )
    frames = read_frames(path, index, chosen.positions, report, limits, device)
    bounded = fps is not None or len(chosen.positions) > options.frames
    max_bytes = MAX_CROP_BYTES if bounded else math.inf
    looks = _Looks(chosen)
    _look_at(frames, looks, options, detector, limits, shrink if bounded else None, max_bytes)
    if report.read == 0:
        raise VideoError(
            f"{path.name}: none of {report.wanted} frames could be decoded "
            f"({report.corrupt} damaged, {report.errors} decoder errors)"
        )
    people = link(looks.seen, describe if options.crop == "square" else None)
    people, left_out = _keep_people(people, looks.seen, most=limits.tracks)
    tracks = tuple(
        Track(number, tuple(face.detection for face in person), is_still(person))
        for number, person in enumerate(people)
    )
    faces = tuple(
        Face(number, face.detection, face.crop, face.region)
        for number, person in enumerate(people)
        for face in person
    )
    return Extraction(
        info,
        report,
        tracks,
        faces,
        dict(looks.rejected + left_out),
        tuple(looks.cuts),
        looks.stride,
        looks.sizes,
        tuple(frame.time_s for frame in looks.seen),
        len(chosen.starts_s) + 1,
        chosen.seen,
    )


def crop_known(
    path: Path,
    options: PreprocessOptions,
    tracks: Sequence[Track],
    *,
    limits: Limits = DEFAULT,
    device: str = "cpu",
) -> Extraction:
    """Cut faces out of a video at places known from another one that shows the same frames.

    Args:
        path: The video, such as a fake made frame by frame.
        options: Which crops.
        tracks: The people of its original.
        limits: What the video may cost.
        device: Decodes the video, as in `read_frames`.

    Raises:
        VideoError: The file cannot be used, or no frame of it can be decoded.
    """
    index = index_frames(path, limits)
    if index.still is not None:
        options = replace(options, inside="always")
    report = ReadReport()
    wanted: dict[int, list[tuple[int, Detection]]] = {}
    for track in tracks:
        for detection in track.detections:
            wanted.setdefault(detection.frame, []).append((track.id, detection))
    faces = []
    for frame in read_frames(path, index, sorted(wanted), report, limits, device):
        for number, detection in wanted[frame.index]:
            faces.append(Face(number, detection, *_cut(frame.image, detection, options)))
    if wanted and report.read == 0:
        raise VideoError(f"{path.name}: none of {report.wanted} frames could be decoded")
    faces.sort(key=lambda face: (face.track, face.detection.frame))
    return Extraction(index.info, report, tuple(tracks), tuple(faces))


def _cut(image: Image, detection: Detection, options: PreprocessOptions) -> tuple[Image, Box]:
    inside = options.inside == "always"
    size, shape = options.crop_size, options.crop
    return crop_face(
        image, detection, margin=options.margin, shape=shape, max_size=size, inside=inside
    )


def describe(face: SeenFace) -> NDArray[np.float64] | None:
    """Return who a face is, from its square crop; None where nothing can tell."""
    tell = recogniser()
    if tell is None:
        return None
    x0, y0, x1, y1 = face.region
    scale = np.array([face.crop.shape[1] / (x1 - x0), face.crop.shape[0] / (y1 - y0)])
    points = (face.detection.landmarks - np.array([x0, y0])) * scale
    return tell(face.crop, points.astype(np.float32))


@dataclass
class _Looks:
    """What is seen of a video so far; only crops are kept of its frames."""

    chosen: Schedule
    seen: list[SeenFrame] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)
    cuts: list[float] = field(default_factory=list)
    sizes: dict[int, tuple[int, int]] = field(default_factory=dict)
    stride: int = 1
    held: int = 0

    def shots(self, frames: Iterable[Frame]) -> Iterator[Shot]:
        """Yield every `stride`th frame; note where scenes start."""
        scene: NDArray[np.float32] | None = None
        cut, size, time_s = False, (0, 0), 0.0
        for number, frame in enumerate(frames):
            before, scene = scene, scene_of(frame.image)
            size_before, size = size, (frame.image.shape[1], frame.image.shape[0])
            self.sizes[frame.index] = size
            if before is not None and (size != size_before or is_cut(before, scene)):
                self._note_cut(time_s, frame.time_s)
                cut = True
            time_s = frame.time_s
            if number % self.stride == 0:
                yield Shot(number, frame, cut)
                cut = False

    def _note_cut(self, after_s: float, until_s: float) -> None:
        """Note a cut between two frames, where the encoder saw one too."""
        if self.chosen.keys_s is None:
            self.cuts.append(until_s)
            return
        for known in (self.chosen.starts_s, self.chosen.keys_s):
            if between := [time_s for time_s in known if after_s < time_s <= until_s]:
                self.cuts.append(between[-1])
                return

    def thin(self) -> None:
        """Let every second frame go; a cut at one counts at the next."""
        cuts = [False, *(frame.cut for frame in self.seen)]
        kept = zip(self.seen[::2], cuts[::2], strict=False)
        self.seen = [replace(frame, cut=frame.cut or before) for frame, before in kept]
        self.stride *= 2
        self.held = sum(face.crop.nbytes for frame in self.seen for face in frame.faces)


def _look_at(
    frames: Iterable[Frame],
    looks: _Looks,
    options: PreprocessOptions,
    detector: FaceDetector,
    limits: Limits,
    shrink: Callable[[Image], Image] | None,
    max_bytes: float,
) -> None:
    """Detect, describe and crop."""
    cut = False
    for sight in follow(looks.shots(frames), detector, options.min_score):
        shot = sight.shot
        cut |= shot.cut
        if shot.number % looks.stride:  # chosen before the stride was doubled
            continue
        frame, faces = shot.frame, []
        for detection in _accept(frame, sight.faces, options, looks.rejected, limits.faces):
            crop, region = _cut(frame.image, detection, options)
            crop = crop if shrink is None else shrink(crop)
            looks.held += crop.nbytes
            faces.append(SeenFace(detection, look_of(frame.image, detection), crop, region))
        looks.seen.append(SeenFrame(frame.time_s, faces, cut))
        cut = False
        while looks.held > max_bytes and len(looks.seen) > 1:
            looks.thin()


def _accept(
    frame: Frame,
    detections: Sequence[Detection],
    options: PreprocessOptions,
    rejected: "Counter[str]",
    most: int,
) -> list[Detection]:
    height, width = frame.image.shape[:2]
    accepted: list[Detection] = []
    for found in detections:
        x0, y0, x1, y1 = found.box
        if found.score < options.min_score:
            rejected["probability of a face too low"] += 1
        elif min(x1, width) - max(x0, 0) < (x1 - x0) / 2 or min(y1, height) - max(y0, 0) < (
            (y1 - y0) / 2
        ):
            rejected["mostly outside the frame"] += 1
        elif _brightness(frame.image, found.box) < MIN_BRIGHTNESS:
            rejected["too dark"] += 1
        elif len(accepted) == most:
            rejected[f"more than {most} faces in a frame"] += 1
        else:
            accepted.append(
                Detection(frame.index, frame.time_s, found.box, found.score, found.landmarks)
            )
    return accepted


def _brightness(image: Image, box: Box) -> float:
    x0, y0, x1, y1 = (max(0, round(edge)) for edge in box)
    inside = image[y0 : y1 + 1, x0 : x1 + 1]
    return float(inside.mean()) if inside.size else 0.0


def _keep_people(
    people: Sequence[list[SeenFace]], seen: Sequence[SeenFrame], *, most: int
) -> tuple[list[list[SeenFace]], Counter[str]]:
    """Leave out tracks too short to be a person, unless there is no other.

    Where a scene has fewer frames than a person needs faces, one in all of them will do.
    """
    scenes = np.cumsum([frame.cut for frame in seen])
    times = np.array([frame.time_s for frame in seen])
    frames = np.bincount(scenes) if len(seen) else scenes

    def enough(person: Sequence[SeenFace]) -> bool:
        places = np.searchsorted(times, [face.detection.time_s for face in person])
        counts = np.bincount(scenes[places], minlength=len(frames))
        return bool((counts >= np.minimum(frames, MIN_FACES))[counts > 0].any())

    least = min(MIN_FACES, max(map(len, people), default=0))
    kept = [person for person in people if len(person) >= least or enough(person)]
    left_out: Counter[str] = Counter()
    if short := sum(map(len, people)) - sum(map(len, kept)):
        left_out["track too short"] = short
    if len(kept) > most:
        longest = sorted(range(len(kept)), key=lambda k: -len(kept[k]))[:most]
        best = [kept[k] for k in sorted(longest)]
        left_out[f"more than {most} people"] = sum(map(len, kept)) - sum(map(len, best))
        kept = best
    return kept, left_out
