"""The clip again, with a box, name and score at each face and a timeline along the bottom."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import cv2
import numpy as np
from av.error import FFmpegError

from deepfake.calibration import Calibration
from deepfake.report.verdict_page import file_stem
from deepfake.timeline import Timeline
from deepfake.types import Verdict, shown
from preprocessing.errors import VideoError
from preprocessing.pipeline import Extraction
from preprocessing.types import Box, Image, Track
from preprocessing.video.read import is_image, read_photograph

if TYPE_CHECKING:
    from deepfake.inference import VideoPredictor

COLOURS = {"fake": (230, 60, 50), "real": (60, 170, 100), "undecided": (225, 160, 40)}  # RGB
IN_MP4 = frozenset(("aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"))
CRF = "20"  # of libx264: no visible loss
TO_MP4 = ".mp4"


@dataclass(frozen=True, eq=False)
class Overlay:
    """What is drawn, and when.

    Args:
        people: Each person's track and smoothed scores.
        calibration: Says which scores are called fake or real.
        cuts_s: Boxes do not move across these times, in seconds.
        duration_s: Of the clip.
    """

    people: Sequence[tuple[Track, Timeline]]
    calibration: Calibration
    cuts_s: Sequence[float]
    duration_s: float

    def draw(self, image: Image, time_s: float, bar: Image | None) -> Image:
        """Return a frame (H, W, 3) with what is known of that time; the input is not changed."""
        drawn = np.ascontiguousarray(image).copy()
        for track, line in self.people:
            score = line.at(time_s)
            box = box_at(track, time_s, self.cuts_s)
            if score is not None and box is not None:
                label = self.calibration.verdict(score)
                text = f"person {track.id + 1}: {shown(score)}"
                _draw_face(drawn, box, text, COLOURS[label])
        if bar is not None:
            drawn[-bar.shape[0] :] = bar
            at = round(time_s / self.duration_s * (drawn.shape[1] - 1))
            half = max(1, drawn.shape[1] // 400)
            drawn[-bar.shape[0] - half :, max(0, at - half) : at + half + 1] = 255
        return drawn

    def bar(self, height: int, width: int) -> Image | None:
        """Return the timeline (h, W, 3): the colour of the highest score at each time."""
        if self.duration_s <= 0:
            return None
        bar = np.full((max(6, height // 45), width, 3), 40, dtype=np.uint8)
        for column in range(width):
            time_s = (column + 0.5) / width * self.duration_s
            scores = [s for _, line in self.people if (s := line.at(time_s)) is not None]
            if scores:
                bar[:, column] = COLOURS[self.calibration.verdict(max(scores))]
        return bar


def annotate(
    folder: Path, verdict: Verdict, extraction: Extraction, predictor: "VideoPredictor"
) -> Path:
    """Write a clip with boxes, names, scores and a timeline; sound is copied as it is.

    Args:
        folder: Where the file goes, named after the clip and its content.
        verdict: What `predictor` said.
        extraction: What it was said of.
        predictor: Asked for the scores through time.

    Returns:
        The file: .mp4, or .mkv where the sound does not fit that, or .png of a photograph.

    Raises:
        OSError: It cannot be written.
        VideoError: The clip cannot be read again.
    """
    tracks = {track.id: track for track in extraction.tracks}
    lines = predictor.timelines(verdict.faces, extraction)
    overlay = Overlay(
        [(tracks[line.track], line) for line in lines],
        predictor.checkpoint.calibration,
        extraction.cuts_s,
        extraction.info.duration_s,
    )
    source = Path(verdict.video)
    stem = file_stem(verdict)
    if is_image(source):
        _, frame = read_photograph(source)
        drawn = overlay.draw(frame.image, 0.0, None)
        target = folder / f"{stem}.png"
        done, data = cv2.imencode(".png", cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))
        assert done
        target.write_bytes(data.tobytes())
        return target
    try:
        return _write_video(source, folder, stem, overlay)
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


def _write_video(source: Path, folder: Path, stem: str, overlay: Overlay) -> Path:
    with av.open(str(source), metadata_errors="replace") as given:
        video = given.streams.video[0]
        audio = given.streams.audio[0] if given.streams.audio else None
        fits = audio is None or audio.codec_context.name in IN_MP4
        target = folder / f"{stem}{TO_MP4 if fits else '.mkv'}"
        partial = folder / f".{target.name}.part{target.suffix}"
        try:
            with av.open(str(partial), "w") as made:
                _copy(given, made, video, audio, overlay)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    return target


def _copy(
    given: "av.container.InputContainer",
    made: "av.container.OutputContainer",
    video: "av.VideoStream",
    audio: "av.AudioStream | None",
    overlay: Overlay,
) -> None:
    out = made.add_stream("libx264", rate=video.average_rate or 25)
    assert isinstance(out, av.VideoStream)
    out.pix_fmt = "yuv420p"
    out.options = {"crf": CRF, "preset": "veryfast"}
    out.codec_context.time_base = video.time_base or Fraction(1, 90_000)
    sound = None if audio is None else made.add_stream_from_template(audio)
    first: int | None = None
    last: int | None = None
    bar: Image | None = None
    early: list[av.Packet[Any]] = []  # sound before the first frame, which gives the size
    streams = [stream for stream in (video, audio) if stream is not None]
    for packet in given.demux(streams):
        if sound is not None and packet.stream.type == "audio":
            if packet.dts is not None:
                packet.stream = sound
                early.append(packet)
            if first is not None:
                made.mux(early)
                early = []
            continue
        for frame in _decoded(packet):
            if frame.pts is None or (last is not None and frame.pts <= last):
                continue
            image = _upright_and_even(frame)
            if first is None:
                first = frame.pts
                out.height, out.width = image.shape[:2]
                bar = overlay.bar(*image.shape[:2])
            elif image.shape[:2] != (out.height, out.width):
                image = np.asarray(cv2.resize(image, (out.width, out.height)), np.uint8)
            time_s = float((frame.pts - first) * video.time_base) if video.time_base else 0.0
            drawn = av.VideoFrame.from_ndarray(overlay.draw(image, time_s, bar), format="rgb24")
            drawn.pts, drawn.time_base = frame.pts, video.time_base
            last = frame.pts
            made.mux(out.encode(drawn))
    if first is not None:
        made.mux(early)
        made.mux(out.encode())


def _decoded(packet: "av.Packet[Any]") -> Iterator["av.VideoFrame"]:
    try:
        for frame in packet.decode():
            assert isinstance(frame, av.VideoFrame)
            yield frame
    except FFmpegError:
        return  # a damaged packet is left out, as it was when the clip was judged


def _upright_and_even(frame: "av.VideoFrame") -> Image:
    """Return a frame as it is shown, with even sides, as the encoder needs them."""
    image = np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90) % 4)
    height, width = image.shape[:2]
    return np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


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
