"""Reading videos: true presentation times, little memory, no frame decoded that nobody asked for.

A first pass reads the packets without decoding them. It gives the presentation time of every
frame, whatever the header says of duration and frame rate, and where the key frames are. The second
pass decodes only the stretches between a key frame and the last frame wanted after it.
"""

import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from preprocessing.errors import VideoError
from preprocessing.limits import DEFAULT, Limits
from preprocessing.types import Frame, Image
from preprocessing.video.container import complete, file_bytes, first_stream, opened
from preprocessing.video.images import IMAGE_SUFFIXES

if TYPE_CHECKING:
    import av

VIDEO_SUFFIXES = frozenset(
    (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".gif")
)
MAX_PACKETS = 20_000_000  # four days at 60 frames a second


@dataclass(frozen=True)
class VideoInfo:
    """What the container says of a video, and what is really in it.

    Args:
        width: Width as stored, before rotation, in pixels.
        height: Height as stored, in pixels.
        fps: Mean frame rate, in frames per second.
        duration_s: From the first to the end of the last frame present, in seconds.
        codec: Such as "h264".
        pixel_format: Such as "yuv420p".
        bit_rate: Of the whole file, in bits per second.
        file_bytes: Size of the file.
        frames: Frames present.
        declared_frames: Frames that the header promises; 0 where it does not say.
        complete: Share of what the header promises that is in the file, in [0, 1].
    """

    width: int
    height: int
    fps: float
    duration_s: float
    codec: str
    pixel_format: str
    bit_rate: int
    file_bytes: int
    frames: int
    declared_frames: int
    complete: float = 1.0


@dataclass
class ReadReport:
    """What happened while reading: counts, filled in as frames come.

    Args:
        wanted: Frames asked for.
        read: Frames given.
        corrupt: Frames that the decoder marked as damaged; they are not given.
        errors: Packets that the decoder refused.
    """

    wanted: int = 0
    read: int = 0
    corrupt: int = 0
    errors: int = 0

    @property
    def fraction(self) -> float:
        """Share of the frames asked for that could be read, in [0, 1]."""
        return self.read / self.wanted if self.wanted else 0.0


@dataclass(frozen=True)
class FrameIndex:
    """The frames of a video in presentation order.

    Args:
        info: What is known of the video.
        pts: Presentation time stamps, increasing, in units of the stream's time base.
        times_s: The same in seconds from the first frame.
        groups: For each frame, the number of the stretch (key frame to key frame) to decode from.
    """

    info: VideoInfo
    pts: NDArray[np.int64]
    times_s: NDArray[np.float64]
    groups: NDArray[np.int64]


@dataclass
class _Packets:
    found: int = 0  # also those of no use: without time, empty, cut off by an edit list
    stamps: list[int] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    key_stamps: list[int] = field(default_factory=list)


def _read_packets(
    container: "av.container.InputContainer", stream: "av.VideoStream", path: Path
) -> _Packets:
    packets = _Packets()
    group = -1
    try:
        for packet in container.demux(stream):
            stamp = packet.pts if packet.pts is not None else packet.dts
            packets.found += stamp is not None
            if stamp is None or packet.is_discard or packet.size == 0:
                continue
            if packet.is_keyframe or group < 0:
                group += 1
                packets.key_stamps.append(stamp)
            # A frame shown before its key frame (open GOP) needs the stretch before as well.
            packets.stamps.append(stamp)
            packets.groups.append(
                group if stamp >= packets.key_stamps[group] else max(group - 1, 0)
            )
            if len(packets.stamps) > MAX_PACKETS:
                raise VideoError(f"{path.name} has more than {MAX_PACKETS:,} frames")
    except FFmpegError:
        pass  # what came before a truncation counts; the header's promise is kept beside it
    return packets


def index_frames(path: Path, limits: Limits = DEFAULT) -> FrameIndex:
    """List the frames of a video without decoding them.

    Raises:
        VideoError: The file is missing, empty, no video, over a limit, or has no frame.
    """
    size = file_bytes(path)
    with opened(path, limits) as container:
        stream = first_stream(container, path, limits)
        packets = _read_packets(container, stream, path)
        if not packets.stamps:
            raise VideoError(f"{path.name} has a header but no frame that can be read")
        base = float(stream.time_base or 1)
        span_s = (max(packets.stamps) - min(packets.stamps)) * base
        if span_s > limits.duration_s:
            raise VideoError(
                f"{path.name} lasts {span_s:.6g} s by its time stamps, over the limit of "
                f"{limits.duration_s:g} s. If that is right, raise --max-duration."
            )
        order = np.argsort(np.asarray(packets.stamps, dtype=np.int64), kind="stable")
        stamps = np.asarray(packets.stamps, dtype=np.int64)[order]
        times = (stamps - stamps[0]) * base
        step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
        duration = float(times[-1]) + step
        info = VideoInfo(
            width=stream.width,
            height=stream.height,
            fps=len(times) / duration if duration > 0 else 0.0,
            duration_s=duration,
            codec=stream.codec_context.name,
            pixel_format=str(stream.pix_fmt or ""),
            bit_rate=int(8 * size / duration) if duration > 0 else 0,
            file_bytes=size,
            frames=len(times),
            declared_frames=max(0, stream.frames),
            complete=complete(
                container,
                stream,
                packets=packets.found,
                end_s=max(duration, float(stamps[-1]) * base + step),
                limits=limits,
            ),
        )
    groups = np.asarray(packets.groups)[order]
    return FrameIndex(info=info, pts=stamps, times_s=times, groups=groups)


def evenly_spaced(
    times_s: Sequence[float] | NDArray[np.float64],
    count: int,
    *,
    start_s: float = 0.0,
    end_s: float | None = None,
) -> list[int]:
    """Choose `count` frames evenly spaced in time: the ones nearest to the middles of equal parts.

    Args:
        times_s: Presentation times of all frames, increasing, in seconds.
        count: Frames wanted; fewer come where the span has fewer.
        start_s: Begin of the span, in seconds.
        end_s: End of the span, in seconds; None for the end of the video.

    Returns:
        Increasing positions in `times_s`.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    low = bisect.bisect_left(times_s, start_s)
    high = len(times_s) if end_s is None else bisect.bisect_right(times_s, end_s)
    times = np.asarray(times_s[low:high], dtype=np.float64)
    if len(times) <= count:
        return list(range(low, high))
    step = float(np.median(np.diff(times)))
    first, last = float(times[0]), float(times[-1]) + step
    targets = first + (np.arange(count) + 0.5) * (last - first) / count - step / 2
    chosen: list[int] = []
    for k, target in enumerate(targets):
        nearest = int(np.clip(np.searchsorted(times, target), 1, len(times) - 1))
        if target - times[nearest - 1] <= times[nearest] - target:
            nearest -= 1
        # Keep one different frame for each of the others where frames are sparse.
        lowest = chosen[-1] + 1 if chosen else 0
        chosen.append(min(max(nearest, lowest), len(times) - (count - k)))
    return [low + position for position in chosen]


def _upright(frame: "av.VideoFrame") -> Image | None:
    """Return the pixels as they are shown; None where the decoder's format has no colours."""
    try:
        image: Image = np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
    except (FFmpegError, ValueError):
        return None
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def read_frames(
    path: Path,
    index: FrameIndex,
    positions: Sequence[int],
    report: ReadReport | None = None,
    limits: Limits = DEFAULT,
    device: str = "cpu",
) -> Iterator[Frame]:
    """Decode the frames at `positions` of the index, in presentation order, one at a time.

    Rotation metadata is applied. Damaged frames and packets are counted in `report` and left out.

    Args:
        path: The video.
        index: What `index_frames` gave for it.
        positions: Increasing positions in the index.
        report: Filled in while frames come.
        limits: Of pixels and decoded bytes.
        device: As in `preprocessing.video.container.opened`.

    Raises:
        VideoError: The file cannot be opened any more, or is over a limit.
    """
    report = report if report is not None else ReadReport()
    # Frames of one time stamp cannot be told apart; they are one.
    wanted = {int(index.pts[position]): position for position in positions}
    report.wanted += len(wanted)
    if not positions:
        return
    needed = {int(index.groups[position]) for position in positions}
    needed |= {group + 1 for group in needed if _has_early_frames(index, positions, group)}
    decoded = 0
    with opened(path, limits, device) as container:
        stream = first_stream(container, path, limits)
        context = stream.codec_context
        context.thread_count = 1  # the workers are the threads; frames then come without delay
        for frame in _decode(container, stream, needed, wanted, report):
            decoded += frame.width * frame.height * 3
            if decoded > limits.decoded_bytes:
                raise VideoError(
                    f"{path.name} has more than {limits.decoded_bytes / 2**30:g} GiB of frames on "
                    "the way to those looked at. If you trust it, raise --max-decoded."
                )
            position = wanted.pop(frame.pts, None) if frame.pts is not None else None
            if position is None:
                continue
            image = None if frame.is_corrupt else _upright(frame)
            if image is None:
                report.corrupt += 1
                continue
            report.read += 1
            yield Frame(position, float(index.times_s[position]), image)
            if not wanted:
                return


def _has_early_frames(index: FrameIndex, positions: Sequence[int], group: int) -> bool:
    """Tell whether a wanted frame of the group is coded behind the next group's key frame."""
    groups = np.asarray(index.groups)
    last = int(np.flatnonzero(groups == group)[-1])
    return any(int(index.groups[p]) == group and p >= last - 16 for p in positions)


def _decode(
    container: "av.container.InputContainer",
    stream: "av.VideoStream",
    needed: set[int],
    wanted: dict[int, int],
    report: ReadReport,
) -> Iterator["av.VideoFrame"]:
    """Decode the needed stretches, skipping frames that nothing refers to and nobody wants."""
    context = stream.codec_context
    group, last, fed = -1, max(needed), False
    try:
        for packet in container.demux(stream):
            stamp = packet.pts if packet.pts is not None else packet.dts
            if stamp is None or packet.size == 0:
                continue
            if not packet.is_discard and (packet.is_keyframe or group < 0):
                group += 1
                if fed and group not in needed:
                    yield from _frames(context, None, report)
                    context.flush_buffers()
                    fed = False
            if group > last:
                break
            if group not in needed:
                continue
            context.skip_frame = "DEFAULT" if stamp in wanted else "NONREF"
            fed = True
            yield from _frames(context, packet, report)
    except FFmpegError:
        report.errors += 1
    if fed:
        yield from _frames(context, None, report)


def _frames(
    context: "av.VideoCodecContext", packet: "av.Packet[av.VideoStream] | None", report: ReadReport
) -> list["av.VideoFrame"]:
    try:
        return list(context.decode(packet))
    except FFmpegError:
        report.errors += 1
        return []


def is_image(path: Path) -> bool:
    """Tell by its name whether a file is a photograph, which is read as a video of one frame."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def read_photograph(path: Path, limits: Limits = DEFAULT) -> tuple[VideoInfo, Frame]:
    """Read a photograph as a video of one frame.

    Raises:
        VideoError: The file is missing, empty, no image, or over the limit of pixels.
    """
    from preprocessing.video.photographs import read_image  # Pillow is slow to import

    size = file_bytes(path)
    image, file_format = read_image(path, max_pixels=limits.pixels)
    height, width = image.shape[:2]
    info = VideoInfo(width, height, 0.0, 0.0, file_format, "rgb24", 0, size, 1, 1)
    return info, Frame(0, 0.0, image)
