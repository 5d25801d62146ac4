"""Compare how files are read with ffmpeg: `python -m tests.reliability.reading`.

Makes small numbered clips of every codec, container and treatment that go together, reads each, and
compares numbers, times and pixels with what `ffmpeg` and `ffprobe` give. Prints the table of
docs/reliability.md; `--write FILE` puts it there, between the marks.
"""

import argparse
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError

from preprocessing.errors import VideoError
from preprocessing.types import Image
from preprocessing.video import ReadReport, index_frames, read_frames

W, H, FPS, BITS = 192, 128, 25, 8
COUNT, GOP, CUT = 36, 12, 15
LEVELS = 3  # of 255, on average over a frame, that two conversions to RGB may differ
MARKS = ("<!-- reading: begin -->", "<!-- reading: end -->")

X264 = {"preset": "ultrafast", "crf": "12", "bf": "2"}
CODECS: dict[str, tuple[str, str, dict[str, str]]] = {
    "h264": ("libx264", "yuv420p", X264),
    "hevc": ("libx265", "yuv420p", {"preset": "ultrafast", "x265-params": "log-level=none"}),
    "vp8": ("libvpx", "yuv420p", {"deadline": "realtime", "cpu-used": "8", "b": "4M"}),
    "vp9": ("libvpx-vp9", "yuv420p", {"deadline": "realtime", "cpu-used": "8", "b": "4M"}),
    "av1": ("libsvtav1", "yuv420p", {"preset": "12", "crf": "20"}),
    "mpeg4": ("mpeg4", "yuv420p", {"qmin": "2", "qmax": "3", "b": "4M", "bf": "2"}),
    "mpeg2": ("mpeg2video", "yuv420p", {"qmin": "2", "qmax": "3", "b": "4M", "bf": "2"}),
    "mjpeg": ("mjpeg", "yuvj420p", {"qmin": "2", "qmax": "3"}),
    "prores": ("prores_ks", "yuv422p10le", {}),
}
CONTAINERS = {
    "mp4": ("mp4", "h264 hevc vp9 av1 mpeg4 mpeg2 mjpeg"),
    "mov": ("mov", "h264 hevc mpeg4 mpeg2 mjpeg prores"),
    "mkv": ("matroska", "h264 hevc vp8 vp9 av1 mpeg4 mpeg2 mjpeg prores"),
    "webm": ("webm", "vp8 vp9 av1"),
    "avi": ("avi", "h264 vp8 mpeg4 mpeg2 mjpeg"),
    "ts": ("mpegts", "h264 hevc mpeg4 mpeg2"),
    "ps": ("mpeg", "mpeg2 h264"),
    "flv": ("flv", "h264"),
}


def numbered(number: int) -> Image:
    """Return a frame (H, W, 3) with its number as bars and three coloured corners."""
    image = np.full((H, W, 3), 128, np.uint8)
    quarter, bar = H // 4, W // (BITS + 2)
    image[:quarter, : W // 4] = (220, 30, 30)
    image[:quarter, -W // 4 :] = (30, 200, 30)
    image[-quarter:, : W // 4] = (30, 30, 220)
    for bit in range(BITS):
        level = 235 if number >> bit & 1 else 16
        image[H // 3 : 2 * H // 3, bar * (bit + 1) : bar * (bit + 2)] = level
    return image


def number_of(image: Image) -> int:
    """Return the number on an upright frame; -1 where it is not upright."""
    height, width = image.shape[:2]
    bar, rows = width // (BITS + 2), slice(5 * height // 12, 7 * height // 12)
    corners = [image[4, 4], image[4, -5], image[-5, 4]]
    if [int(corner.argmax()) for corner in corners] != [0, 1, 2]:
        return -1
    bars = [image[rows, bar * k + bar // 3 : bar * (k + 1) - bar // 3] for k in range(1, BITS + 1)]
    return sum(1 << bit for bit, part in enumerate(bars) if part.mean() > 125)


def encode(
    path: Path,
    codec: str,
    container: str,
    *,
    first: int = 0,
    times: Sequence[int] = (),
    change: Callable[[Image], Image] = np.asarray,
    sar: Fraction | None = None,
    **options: str,
) -> Path:
    """Write a numbered clip; `times` are in 25ths of a second."""
    encoder, pixels, usual = CODECS[codec]
    images = [change(numbered(first + k)) for k in range(COUNT)]
    with av.open(str(path), "w", format=CONTAINERS[container][0]) as out:
        stream: Any = out.add_stream(encoder, rate=FPS)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt, stream.gop_size = pixels, GOP
        stream.options = {"threads": "1", **usual, **options}
        if sar:
            stream.codec_context.sample_aspect_ratio = sar
        for k, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base = (times[k] if times else k), Fraction(1, FPS)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def copied(source: Path, path: Path, container: str, *, skip: int = 0, hide: int = 0) -> Path:
    """Copy packets without the first `skip`, so that the first `hide` frames lie before 0."""
    with (
        av.open(str(source)) as given,
        av.open(str(path), "w", format=CONTAINERS[container][0]) as out,
    ):
        video = given.streams.video[0]
        stream = out.add_stream_from_template(video)
        assert video.time_base is not None
        shift = round(Fraction(hide, FPS) / video.time_base)
        for number, packet in enumerate(given.demux(video)):
            if packet.dts is None or number < skip:
                continue
            packet.pts = packet.pts - shift if packet.pts is not None else None
            packet.dts -= shift
            packet.stream = stream
            out.mux(packet)
    return path


def with_matrix(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Write a display matrix into the track header of an MP4 or MOV."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4
    at += 40 if data[at] == 0 else 52
    data[at : at + 36] = struct.pack(
        ">9i", *(n << 16 for n in (a, b)), 0, c << 16, d << 16, 0, 0, 0, 1 << 30
    )
    path.write_bytes(data)
    return path


@dataclass(frozen=True, eq=False)
class Case:
    """One file and what is right: for each number on its frames, when it is shown, in seconds."""

    codec: str
    container: str
    treatment: str
    make: Callable[[Path], Path]
    right: dict[int, float]

    @property
    def name(self) -> str:
        return f"{self.codec}.{self.container}.{self.treatment}"


def cases() -> Iterator[Case]:
    """Yield every codec, container and treatment that go together."""
    for container, (_, codecs) in CONTAINERS.items():
        for codec in codecs.split():
            for treatment, make, right in treatments(codec, container):
                yield Case(codec, container, treatment, make, right)


Treatment = tuple[str, Callable[[Path], Path], dict[int, float]]


def treatments(codec: str, container: str) -> Iterator[Treatment]:
    """Yield what can be done to a clip of this kind."""
    plain = {k: k / FPS for k in range(COUNT)}

    def made(**more: Any) -> Callable[[Path], Path]:  # noqa: ANN401
        return lambda path: encode(path, codec, container, **more)

    def cut(**more: int) -> Callable[[Path], Path]:
        return lambda path: copied(
            encode(path.with_name("whole"), codec, container), path, container, **more
        )

    yield "plain", made(), plain
    if container in ("mp4", "mov"):
        yield "trimmed", cut(hide=CUT), {k: (k - CUT) / FPS for k in range(CUT, COUNT)}
        turned = made(change=lambda image: np.rot90(image))
        yield "rotated", lambda path: with_matrix(turned(path), 0, 1, -1, 0), plain
        mirror = made(change=lambda image: image[:, ::-1])
        yield "mirrored", lambda path: with_matrix(mirror(path), -1, 0, 0, 1), plain
    if container in ("ts", "ps", "mkv") and codec not in ("mjpeg", "prores", "av1"):
        yield "cut into", cut(skip=CUT), {k: k / FPS for k in range(CUT, COUNT)}
    if container in ("ts", "ps"):
        yield (
            "joined",
            lambda path: _joined(path, codec, container),
            plain | {COUNT + k: (COUNT + k) / FPS for k in range(COUNT)},
        )
    # PyAV writes the shape of pixels into the stream or where MP4 has it, not where Matroska does.
    if container in ("mp4", "mov") or (
        container in ("mkv", "ts") and codec in ("h264", "hevc", "mpeg4", "mjpeg")
    ):
        half = made(change=lambda image: image[:, ::2], sar=Fraction(2, 1))
        yield "anamorphic", half, plain
    if container in ("mp4", "mov", "mkv", "webm", "ts", "flv") and codec != "mpeg2":
        times = [k + 3 * (k // 5) for k in range(COUNT)]
        yield "variable rate", made(times=times), {k: t / FPS for k, t in enumerate(times)}
    refresh = f"intra-refresh=1:keyint={GOP}"
    if codec == "h264":
        params = {"x264-params": refresh, "preset": "medium", "bf": "0"}
        yield "intra refresh", made(**params), plain
    if codec == "hevc":
        yield "intra refresh", made(**{"x265-params": f"{refresh}:log-level=none"}), plain


def _joined(path: Path, codec: str, container: str) -> Path:
    parts = [encode(path.with_name(f"part{k}"), codec, container, first=k * COUNT) for k in (0, 1)]
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


@dataclass(frozen=True)
class Result:
    """How a file was read: frames right, frames said to be damaged, what was wrong, in words."""

    right: int
    damaged: int
    wrong: tuple[str, ...] = ()
    levels: float = 0.0


def check(case: Case, folder: Path) -> Result | None:
    """Read one file; None where the container cannot hold the codec."""
    path = folder / f"a.{case.container}"
    try:
        case.make(path)
    except (FFmpegError, ValueError):
        return None
    report = ReadReport()
    try:
        index = index_frames(path)
        frames = list(read_frames(path, index, range(len(index.times_s)), report))
    except VideoError as error:
        return Result(0, 0, () if case.treatment == "cut into" else (str(error),))
    numbers = [number_of(frame.image) for frame in frames]
    # Times count from the first frame shown, which may be a damaged one that is not given.
    offsets = [case.right.get(n, 1e9) - f.time_s for n, f in zip(numbers, frames, strict=True)]
    middle = float(np.median(offsets)) if case.treatment == "cut into" and offsets else 0.0
    wrong = [
        f"{number} at {frame.time_s:.2f} s"
        for number, frame, offset in zip(numbers, frames, offsets, strict=True)
        if abs(offset - middle) > 0.5 / FPS
    ]
    wrong += [f"{f.image.shape} is not its shape" for f in frames if f.image.shape != (H, W, 3)]
    if len(frames) + report.corrupt != len(index.times_s):
        wrong.append("frames neither given nor counted")
    if case.treatment != "cut into" and len(frames) != len(case.right):
        wrong.append(f"{len(case.right) - len(frames)} frames missing")
    levels = 0.0
    if shutil.which("ffmpeg") and frames:
        levels, differences = compare(path, frames[0].image.shape, numbers, frames)
        wrong += differences
    return Result(len(frames), report.corrupt, tuple(wrong), levels)


def compare(
    path: Path, shape: tuple[int, ...], numbers: Sequence[int], frames: Sequence[Any]
) -> tuple[float, list[str]]:
    """Return the largest mean difference to ffmpeg's frames in levels, and what differs."""
    height, width = shape[:2]
    command = ["ffmpeg", "-v", "quiet", "-i", str(path), "-map", "0:v:0", "-vsync", "passthrough"]
    command += ["-vf", f"scale={width}:{height}:flags=bicubic", "-pix_fmt", "rgb24"]
    raw = subprocess.run([*command, "-f", "rawvideo", "-"], capture_output=True, check=False).stdout
    theirs = np.frombuffer(raw, np.uint8)
    theirs = theirs[: theirs.size // (height * width * 3) * height * width * 3]
    by_number: dict[int, list[Image]] = {}
    for image in theirs.reshape(-1, height, width, 3):
        by_number.setdefault(number_of(image), []).append(image)
    if not by_number:  # VP9 that begins in the middle of a group, with ffmpeg 5.1
        return 0.0, []
    largest, wrong = 0.0, []
    for number, frame in zip(numbers, frames, strict=True):
        same = by_number.get(number, [])
        if not same:
            wrong.append(f"{number} is not among ffmpeg's frames")
            continue
        off = min(float(np.abs(image.astype(int) - frame.image).mean()) for image in same)
        largest = max(largest, off)
        if off > LEVELS:
            wrong.append(f"{number} differs by {off:.1f} levels")
    return largest, wrong


def table(results: dict[Case, Result | None]) -> list[str]:
    """Return rows of Markdown, one a codec and container, one column a treatment."""
    columns = list(dict.fromkeys(case.treatment for case in results))
    rows = [f"| | {' | '.join(columns)} |", f"| --- |{' --- |' * len(columns)}"]
    for kind in dict.fromkeys((case.codec, case.container) for case in results):
        cells = dict.fromkeys(columns, "")
        for case, result in results.items():
            if (case.codec, case.container) == kind and result is not None:
                damaged = f", {result.damaged} damaged" if result.damaged else ""
                cells[case.treatment] = (
                    f"WRONG: {result.wrong[0]}" if result.wrong else f"{result.right}{damaged}"
                )
        rows.append(f"| {kind[0]} in {kind[1]} | {' | '.join(cells.values())} |")
    return rows


def main(arguments: Sequence[str]) -> int:
    """Read every file; print or write the table; return 1 where one was read wrongly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--only", default="")
    given = parser.parse_args(arguments)
    results: dict[Case, Result | None] = {}
    for case in cases():
        if given.only not in case.name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            results[case] = check(case, Path(folder))
    read = [result for result in results.values() if result is not None]
    lines = table(results)
    lines.append("")
    lines.append(
        f"{len(read)} files, {sum(r.right for r in read)} frames right, "
        f"{sum(r.damaged for r in read)} said to be damaged, "
        f"{sum(bool(r.wrong) for r in read)} files read wrongly; pixels differ from ffmpeg's by at "
        f"most {max((r.levels for r in read), default=0):.2f} levels on average over a frame."
    )
    text = "\n".join(lines)
    if given.write:
        page = given.write.read_text(encoding="utf-8")
        head, _, rest = page.partition(MARKS[0])
        _, _, tail = rest.partition(MARKS[1])
        given.write.write_text(f"{head}{MARKS[0]}\n{text}\n{MARKS[1]}{tail}", encoding="utf-8")
    else:
        sys.stdout.write(text + "\n")
    for case, result in results.items():
        if result is not None and result.wrong:
            sys.stderr.write(f"{case.name}: {'; '.join(result.wrong[:6])}\n")
    return int(any(result.wrong for result in read))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
