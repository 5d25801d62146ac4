"""The clip again, with a box, name and score at each face and a timeline along the bottom."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import cv2
import numpy as np
from av.error import FFmpegError

from deepfake.calibration import Calibration
from deepfake.report.outputs import file_stem
from deepfake.timeline import Timeline
from deepfake.types import Verdict, shown
from preprocessing.errors import VideoError
from preprocessing.limits import Limits
from preprocessing.pipeline import Extraction
from preprocessing.types import Box, Frame, FrameIndex, Image, Track
from preprocessing.video import index_frames, read_frames
from preprocessing.video.container import opened
from preprocessing.video.files import MARK, marked
from preprocessing.video.index import BACK_S

if TYPE_CHECKING:
    from deepfake.inference import VideoPredictor

COLOURS = {"fake": (230, 60, 50), "real": (60, 170, 100), "undecided": (225, 160, 40)}  # RGB
NO_COLOUR = (150, 150, 150)  # where scores are not calibrated
IN_MP4 = frozenset(("aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"))
CRF = "20"  # of libx264: no visible loss
TO_MP4 = ".mp4"
CLOCK = 90_000  # ticks a second
TRUSTED = Limits(pixels=2**31 - 1, duration_s=1e9, decoded_bytes=2**62)  # it was judged already


@dataclass(frozen=True, eq=False)
class Overlay:
    """What is drawn, and when."""

    people: Sequence[tuple[Track, Timeline]]  # each person's track and smoothed scores
    calibration: Calibration  # says which scores are called fake or real
    cuts_s: Sequence[float]  # boxes do not move across these times, in seconds
    duration_s: float  # of the clip

    def on(self, size: tuple[int, int], sizes: Mapping[int, tuple[int, int]]) -> "Overlay":
        """Return what is drawn on frames of one size (width, height), made of those of others."""
        return replace(
            self, people=[(_fitted(track, size, sizes), line) for track, line in self.people]
        )

    def draw(self, image: Image, time_s: float, bar: Image | None) -> Image:
        """Return a frame (H, W, 3) with what is known of that time; the input is not changed."""
        drawn = np.ascontiguousarray(image).copy()
        for track, line in self.people:
            score = line.at(time_s)
            box = box_at(track, time_s, self.cuts_s)
            if score is not None and box is not None:
                text = f"person {track.id + 1}: {shown(score)}"
                _draw_face(drawn, box, text, self._colour(score))
        if bar is not None:
            drawn[-bar.shape[0] :] = bar
            at = round(time_s / self.duration_s * (drawn.shape[1] - 1))
            half = max(1, drawn.shape[1] // 400)
            drawn[-bar.shape[0] - half :, max(0, at - half) : at + half + 1] = 255
        return drawn

    def _colour(self, score: float) -> tuple[int, int, int]:
        if not self.calibration.fitted:
            return NO_COLOUR
        return COLOURS[self.calibration.verdict(score)]

    def bar(self, height: int, width: int) -> Image | None:
        """Return the timeline (h, W, 3): the colour of the highest score at each time."""
        if self.duration_s <= 0:
            return None
        bar = np.full((max(6, height // 45), width, 3), 40, dtype=np.uint8)
        for column in range(width):
            time_s = (column + 0.5) / width * self.duration_s
            scores = [s for _, line in self.people if (s := line.at(time_s)) is not None]
            if scores:
                bar[:, column] = self._colour(max(scores))
        return bar


def annotate(
    folder: Path, verdict: Verdict, extraction: Extraction, predictor: "VideoPredictor"
) -> Path:
    """Write a clip with boxes, names, scores and a timeline; sound is copied as it is.

    The verdict is what the predictor said of the extraction. The file is named after the clip and
    its content: .mp4, or .mkv where the sound does not fit that, or .png of a photograph.

    Raises:
        OSError: It cannot be written.
        VideoError: The clip cannot be read again.
    """
    tracks = {track.id: track for track in extraction.tracks}
    overlay = Overlay(
        [(tracks[line.track], line) for line in verdict.timelines],
        predictor.calibration,
        extraction.cuts_s,
        extraction.info.duration_s,
    )
    source = Path(verdict.video)
    stem = file_stem(verdict.video, verdict.provenance["sha256"])
    index = index_frames(source, TRUSTED)
    frames = read_frames(source, index, range(len(index.times_s)), limits=TRUSTED)
    if index.still is not None:
        drawn = overlay.draw(next(frames).image, 0.0, None)
        target = folder / f"{stem}.png"
        done, data = cv2.imencode(".png", cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))
        assert done
        target.write_bytes(marked(data.tobytes()))
        return target
    try:
        return _write_video(source, index, frames, folder / stem, overlay, extraction.sizes)
    except FFmpegError as error:
        raise VideoError(f"{source.name} cannot be annotated ({error.strerror})") from error


def box_at(track: Track, time_s: float, cuts_s: Sequence[float]) -> Box | None:
    """Return where a face is between the frames looked at: on a straight line, up to a cut."""
    scene = sum(cut <= time_s for cut in cuts_s)
    same = [d for d in track.detections if sum(cut <= d.time_s for cut in cuts_s) == scene]
    if not same:
        return None
    times = [detection.time_s for detection in same]
    edges = np.array([detection.box for detection in same])
    x0, y0, x1, y1 = (float(np.interp(time_s, times, edges[:, k])) for k in range(4))
    return (x0, y0, x1, y1)


def _write_video(
    source: Path,
    index: FrameIndex,
    frames: Iterator[Frame],
    stem: Path,
    overlay: Overlay,
    sizes: Mapping[int, tuple[int, int]],
) -> Path:
    with _sound_of(source, index) as audio:
        fits = audio is None or audio.codec_context.name in IN_MP4
        target = stem.with_name(f"{stem.name}{TO_MP4 if fits else '.mkv'}")
        partial = target.with_name(f".{target.name}.part{target.suffix}")
        try:
            with av.open(str(partial), "w") as made:
                made.metadata["comment"] = MARK.decode()
                _write(made, index, frames, audio, overlay, sizes)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    return target


@contextmanager
def _sound_of(source: Path, index: FrameIndex) -> Iterator["av.AudioStream | None"]:
    """Open the sound of a clip; a picture has none."""
    if index.is_picture:
        yield None
        return
    with opened(source, TRUSTED) as given:
        audio = given.streams.best("audio")
        assert audio is None or isinstance(audio, av.AudioStream)
        yield audio


def _write(
    made: "av.container.OutputContainer",
    index: FrameIndex,
    frames: Iterator[Frame],
    audio: "av.AudioStream | None",
    overlay: Overlay,
    sizes: Mapping[int, tuple[int, int]],
) -> None:
    out = made.add_stream("libx264", rate=Fraction(index.info.fps or 25).limit_denominator(1001))
    assert isinstance(out, av.VideoStream)
    out.pix_fmt = "yuv420p"
    out.options = {"crf": CRF, "preset": "veryfast"}
    out.codec_context.time_base = Fraction(1, CLOCK)
    sound = _shifted(audio, made.add_stream_from_template(audio), index) if audio else iter(())
    waiting: tuple[float, av.Packet[Any]] | None = None
    bar: Image | None = None
    last = -1
    for frame in frames:
        if last < 0:
            height, width = (side + side % 2 for side in frame.image.shape[:2])
            out.width, out.height = width, height  # even, as the encoder needs them
            overlay = overlay.on((width, height), sizes)
            bar = overlay.bar(height, width)
        pts = max(round(frame.time_s * CLOCK), last + 1)
        drawn = overlay.draw(_on(frame.image, (width, height)), frame.time_s, bar)
        last, shown = pts, av.VideoFrame.from_ndarray(drawn, format="rgb24")
        shown.pts, shown.time_base = pts, Fraction(1, CLOCK)
        made.mux(out.encode(shown))
        while (waiting := waiting or next(sound, None)) and waiting[0] <= frame.time_s:
            made.mux(waiting[1])
            waiting = None
    if last >= 0:
        made.mux(out.encode())
        made.mux([packet for _, packet in ([waiting] if waiting else []) + list(sound)])


def _shifted(
    audio: "av.AudioStream", stream: "av.AudioStream", index: FrameIndex
) -> Iterator[tuple[float, "av.Packet[Any]"]]:
    """Yield the sound's packets and their times, on the clock on which the first frame is at 0."""
    base = float(audio.time_base or 1)
    part, before = 0, -math.inf
    given = audio.container
    assert isinstance(given, av.container.InputContainer)
    for packet in given.demux(audio):
        if packet.dts is None:
            continue
        stamp = packet.dts * base
        if stamp < before - BACK_S:
            part = min(part + 1, len(index.origins_s) - 1)
        before = stamp
        shift = round(index.origins_s[part] / base)
        packet.dts -= shift
        packet.pts = packet.dts if packet.pts is None else packet.pts - shift
        packet.stream = stream
        yield packet.dts * base, packet


def _fit(size: tuple[int, int], canvas: tuple[int, int]) -> tuple[float, int, int]:
    """Return scale and place (x, y) of a frame in the middle of another size, as players do it."""
    if all(0 <= b - a <= 1 for a, b in zip(size, canvas, strict=True)):
        return 1.0, 0, 0
    scale = min(b / a for a, b in zip(size, canvas, strict=True))
    x, y = (round((b - a * scale) / 2) for a, b in zip(size, canvas, strict=True))
    return scale, x, y


def _fitted(track: Track, canvas: tuple[int, int], sizes: Mapping[int, tuple[int, int]]) -> Track:
    found = []
    for detection in track.detections:
        scale, x, y = _fit(sizes.get(detection.frame, canvas), canvas)
        x0, y0, x1, y1 = (edge * scale for edge in detection.box)
        found.append(replace(detection, box=(x0 + x, y0 + y, x1 + x, y1 + y)))
    return replace(track, detections=tuple(found))


def _on(image: Image, canvas: tuple[int, int]) -> Image:
    """Return a frame on a canvas (width, height); a line is repeated where one is missing."""
    width, height = canvas
    size = (image.shape[1], image.shape[0])
    scale, x, y = _fit(size, canvas)
    if scale == 1.0 and not x and not y:
        return np.pad(image, ((0, height - size[1]), (0, width - size[0]), (0, 0)), mode="edge")
    inner = (min(width, round(size[0] * scale)), min(height, round(size[1] * scale)))
    whole = np.zeros((height, width, 3), np.uint8)
    whole[y : y + inner[1], x : x + inner[0]] = cv2.resize(image, inner)
    return whole


def _draw_face(image: Image, box: Box, text: str, colour: tuple[int, int, int]) -> None:
    height, width = image.shape[:2]
    scale = max(0.4, min(height, width) / 900)
    thick = max(1, round(2 * scale))
    x0, y0, x1, y1 = (round(edge) for edge in box)
    cv2.rectangle(image, (x0, y0), (x1, y1), colour, thick, cv2.LINE_AA)
    (across, up), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
    pad = max(2, round(4 * scale))
    left = min(max(x0, 0), max(width - across - 2 * pad, 0))
    top = y0 - up - below - 2 * pad
    if top < 0:  # no room above the face
        top = min(max(y1, 0), height - up - below - 2 * pad)
    end = (left + across + 2 * pad, top + up + below + 2 * pad)
    cv2.rectangle(image, (left, top), end, colour, cv2.FILLED)
    ink = (255, 255, 255) if sum(colour) < 400 else (0, 0, 0)
    place = (left + pad, top + up + pad)
    cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, ink, thick, cv2.LINE_AA)
