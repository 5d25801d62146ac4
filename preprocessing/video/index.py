"""What frames a video has, when each is shown, and what must be decoded for it: without decoding.

Every packet is known by its number in the order of the file, which is the order of decoding. Time
stamps only say when a picture is shown, and where those cannot be believed (AVI, bare streams), the
order in which the decoder gives the pictures does.
"""

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from preprocessing.errors import VideoError
from preprocessing.limits import DEFAULT, Limits
from preprocessing.types import FrameIndex, VideoInfo
from preprocessing.video.container import complete, file_bytes, opened, shown_stream
from preprocessing.video.photographs import index_picture
from preprocessing.video.starts import Fields, Start, test_for

MAX_PACKETS = 20_000_000  # four days at 60 frames a second
BACK_S = 0.1  # a clock that goes back by more has started again: two recordings, joined
LATE_S = 3600.0  # by which pictures may begin behind the sound; beyond, one of the two is wrong
JUMP_S = 10.0  # and in these containers one that goes ahead by more, as ffmpeg has it:
JUMPING = frozenset(("mpegts", "mpeg"))
PARSED = frozenset(("mpeg1video", "mpeg2video", "mpeg4"))  # whose order FFmpeg's parsers know


@dataclass
class _Packets:
    """The packets of a stream in their order; a part is what one clock counts."""

    pts: list[int | None] = field(default_factory=list)
    dts: list[int | None] = field(default_factory=list)
    hidden: list[bool] = field(default_factory=list)
    begins: list[int] = field(default_factory=list)
    parts: list[int] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)
    corrupt: list[int] = field(default_factory=list)
    seconds: set[int] = field(default_factory=set)
    sizes: list[int] = field(default_factory=list)
    empty: int = 0


class _Starts:
    """Says of one packet after the other from which one on it can be decoded."""

    def __init__(self, codec: "av.VideoCodecContext") -> None:
        self.test = test_for(codec.name, codec.extradata)
        self.closed: list[int] = []  # nothing that follows needs what comes before
        self.forget()

    def forget(self) -> None:
        """Go on as if nothing came before."""
        self.begin = self.before = -1  # of this stretch, and for what is shown before its start
        self.opening = 0  # stamp of the picture that the stretch starts with

    def of(self, number: int, packet: "av.Packet[av.VideoStream]") -> int:
        """Return the packet to begin with, -1 for none."""
        pts = packet.pts
        start = Start.NO
        if packet.is_keyframe or self.begin < 0:
            start = self._start(packet, first=number == 0)
        if start >= Start.OPEN or (self.begin < 0 and start == Start.WEAK):
            if start == Start.CLOSED or self.begin < 0:
                self.closed.append(number)
            self.before = number if start == Start.CLOSED else self.begin
            self.begin, self.opening = number, pts if pts is not None else 0
        early = pts is not None and number > self.begin and pts < self.opening
        return self.before if early else self.begin

    def _start(self, packet: "av.Packet[av.VideoStream]", *, first: bool) -> Start:
        if self.test is None:  # then the container is all there is to believe
            return Start.CLOSED if packet.is_keyframe or first else Start.NO
        try:
            return self.test(bytes(packet))
        except IndexError:  # cut short
            return Start.NO


def _read_packets(
    container: "av.container.InputContainer", stream: "av.VideoStream", path: Path
) -> _Packets:
    codec = stream.codec_context
    starts, fields = _Starts(codec), Fields(codec.name, codec.extradata)
    packets = _Packets(closed=starts.closed)
    base = float(stream.time_base or 1)
    back = BACK_S / base
    ahead = JUMP_S / base if container.format.name in JUMPING else math.inf
    last: int | None = None
    try:
        for packet in container.demux(stream):
            dts = packet.dts
            if packet.size == 0:
                packets.empty += dts is not None  # the picture before is shown again
                continue
            number = len(packets.pts)
            if number == MAX_PACKETS:
                raise VideoError(f"{path.name} has more than {MAX_PACKETS:,} frames")
            step = dts - last if dts is not None and last is not None else 0
            if number == 0 or not -back <= step <= ahead:
                packets.parts.append(number)
            if step < -back:
                starts.forget()
                # No bytes are lost between two recordings; the demuxer counts as if some were.
                packets.corrupt = [n for n in packets.corrupt if n < number - 2]
            last = dts if dts is not None else last
            second = fields.second(packet)
            if second:
                packets.seconds.add(number)
            packets.begins.append(packets.begins[-1] if second else starts.of(number, packet))
            packets.pts.append(packet.pts)
            packets.dts.append(dts)
            unseen = codec.name == "vp8" and not bytes(packet)[0] & 0x10  # for others to refer to
            packets.hidden.append(packet.is_discard or second or unseen)
            packets.sizes.append(packet.size)
            if packet.is_corrupt:
                packets.corrupt.append(number)
    except FFmpegError:
        pass  # what came before a truncation counts; the header's promise is kept beside it
    return packets


def index_frames(path: Path, limits: Limits = DEFAULT) -> FrameIndex:
    """List the frames of a video or picture without decoding them.

    Raises:
        VideoError: The file is missing, empty, no video, over a limit, or has no frame.
    """
    size = file_bytes(path)
    picture = index_picture(path, limits)
    if picture is not None:
        return picture
    with opened(path, limits) as container:
        stream = shown_stream(container, path, limits)
        packets = _read_packets(container, stream, path)
        shown = np.flatnonzero(~np.array(packets.hidden, dtype=bool))
        if not len(shown):
            raise VideoError(f"{path.name} has a header but no frame that can be read")
        stamps, counted = _stamps(packets, stream)
        order, times, origins = _timeline(packets.parts, shown, stamps, counted=counted)
        late_s = origins[0] - (container.start_time or 0) / av.time_base
        if container.start_time is not None and 0 < late_s < LATE_S:
            times, origins = times + late_s, tuple(origin - late_s for origin in origins)
        if times[-1] > limits.duration_s:
            raise VideoError(
                f"{path.name} lasts {times[-1]:.6g} s by its time stamps, over the limit of "
                f"{limits.duration_s:g} s. If that is right, raise --max-duration."
            )
        step = spacing(times)
        duration = float(times[-1]) + step
        info = VideoInfo(
            width=stream.width,
            height=stream.height,
            fps=len(times) / (duration - times[0]) if duration > times[0] else 0.0,
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
                packets=len(packets.pts) + packets.empty,
                end_s=max(duration, float(stamps.max()) + step),
                limits=limits,
            ),
        )
    return FrameIndex(
        info=info,
        times_s=times,
        packets=order,
        begins=_begins(packets, counted=counted),
        corrupt=frozenset(packets.corrupt),
        seconds=frozenset(packets.seconds),
        counted=counted,
        parts=tuple(packets.parts),
        origins_s=origins,
        sizes=np.array(packets.sizes, dtype=np.int64),
    )


def _stamps(packets: _Packets, stream: "av.VideoStream") -> tuple[NDArray[np.float64], bool]:
    """Return the time of each packet in seconds, and whether only the decoder knows the order.

    So it is where presentation times are missing, or keep one distance to the decoding times though
    the decoder puts pictures into another order.
    """
    base = float(stream.time_base or 1)
    pts, dts = packets.pts, packets.dts
    missing = None in pts
    codec = stream.codec_context.name
    reorders = bool(stream.codec_context.has_b_frames) and codec not in PARSED
    if not missing and not reorders:
        return np.array(pts, dtype=np.float64) * base, False
    if not missing:
        ahead = {p - d for p, d in zip(pts, dts, strict=True) if p is not None and d is not None}
        if len(ahead) > 1:
            return np.array(pts, dtype=np.float64) * base, False
    chosen = dts if None not in dts else pts
    if None not in chosen:
        return np.array(chosen, dtype=np.float64) * base, reorders
    rate = float(stream.average_rate or stream.guessed_rate or 25)
    return np.arange(len(pts)) / rate, reorders


def _begins(packets: _Packets, *, counted: bool) -> NDArray[np.int64]:
    begins = np.array(packets.begins, dtype=np.int64)
    if not counted or not packets.closed:
        return begins
    # Frames can be counted only from where every packet that follows gives one.
    closed = np.array(packets.closed, dtype=np.int64)
    nearest = closed[np.searchsorted(closed, np.arange(len(begins)), side="right") - 1]
    return np.where(begins < 0, -1, nearest)


def _timeline(
    parts: Sequence[int], shown: NDArray[np.int64], stamps: NDArray[np.float64], *, counted: bool
) -> tuple[NDArray[np.int64], NDArray[np.float64], tuple[float, ...]]:
    """Return packets in the order shown, their times from 0, and what each part's clock shows at 0.

    Where the frames are counted, the first, second, … time belongs to the first, second, … packet.
    """
    orders, times, origins = [], [], []
    end = 0.0
    for begin, stop in pairwise([*parts, len(stamps)]):
        numbers = shown[np.searchsorted(shown, begin) : np.searchsorted(shown, stop)]
        if not len(numbers):
            origins.append(float(stamps[begin]) - end)
            continue
        inside = stamps[numbers]
        order = np.argsort(inside, kind="stable")
        orders.append(numbers if counted else numbers[order])
        origins.append(float(inside[order[0]]) - end)
        times.append(inside[order] - origins[-1])
        end = float(times[-1][-1]) + (spacing(times[-1]) or spacing(times[0]))
    return np.concatenate(orders), np.concatenate(times), tuple(origins)


def spacing(values: NDArray[np.number]) -> float:
    """Return the median step of increasing values (N,), 0 of one."""
    steps = np.sort(np.diff(values))  # `np.median` and `np.unique` import `np.ma`, 0.08 CPU s
    return float(steps[(len(steps) - 1) // 2 : len(steps) // 2 + 1].mean()) if len(steps) else 0.0


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
    step = spacing(times)
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
