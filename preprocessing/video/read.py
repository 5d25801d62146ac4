"""Decoding the frames wanted, and as little else as they are made of."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from av.error import FFmpegError

from preprocessing.errors import VideoError
from preprocessing.limits import DEFAULT, Limits
from preprocessing.types import Frame, FrameIndex, ReadReport
from preprocessing.video.container import opened, shown_stream
from preprocessing.video.photographs import read_picture
from preprocessing.video.shown import shown

if TYPE_CHECKING:
    import av

# Decoders that leave out frames nobody refers to and give every other frame as it was: tested.
SKIPPING = frozenset(("h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "vp8"))


def read_frames(
    path: Path,
    index: FrameIndex,
    positions: Sequence[int],
    report: ReadReport | None = None,
    limits: Limits = DEFAULT,
    device: str = "cpu",
) -> Iterator[Frame]:
    """Decode the frames at `positions` of the index, in the order shown, one at a time.

    They are given as a player shows them. Damaged frames, those made of frames that could not be
    decoded, and refused packets are counted in `report` and left out.

    Args:
        path: The video or picture.
        index: What `index_frames` gave for it.
        positions: Increasing positions in the index.
        report: Filled in while frames come.
        limits: Of pixels and decoded bytes.
        device: As in `preprocessing.video.container.opened`.

    Raises:
        VideoError: The file cannot be opened any more, or is over a limit.
    """
    report = report if report is not None else ReadReport()
    report.wanted += len(positions)
    if index.is_picture:
        for frame in read_picture(path, index, positions, limits):
            report.read += 1
            yield frame
        return
    stretches = _stretches(index, positions)
    report.corrupt += len(positions) - sum(len(wanted) for _, _, wanted in stretches)
    if not stretches:
        return
    with opened(path, limits, device) as container:
        stream = shown_stream(container, path, limits)
        decoder = _Decoder(path, index, stream, report, limits.decoded_bytes)
        packets = container.demux(stream)
        for begin, end, wanted in stretches:
            yield from decoder.decode(packets, begin, end, wanted)
            report.corrupt += len(wanted)  # those that never came


def _stretches(
    index: FrameIndex, positions: Sequence[int]
) -> list[tuple[int, int, dict[int, int]]]:
    """Return what to decode: first packet, last packet, and the positions wanted, by packet.

    Where only the order of decoded frames tells their times, positions stand for packets.
    """
    wanted = {int(index.packets[position]): position for position in positions}
    stretches: list[tuple[int, int, dict[int, int]]] = []
    for packet in sorted(wanted):
        begin = int(index.begins[packet])
        if begin < 0:
            continue
        end = packet + (packet + 1 in index.seconds)
        if index.counted:  # it may be the last to come
            end = int(np.flatnonzero(index.begins == begin)[-1])
        if stretches and begin <= stretches[-1][1] + 1:
            stretches[-1][2][packet] = wanted[packet]
            stretches[-1] = (stretches[-1][0], max(end, stretches[-1][1]), stretches[-1][2])
        else:
            stretches.append((begin, end, {packet: wanted[packet]}))
    return stretches


class _Decoder:
    """Decodes stretches of a video, one after the other, and counts what went wrong."""

    def __init__(
        self,
        path: Path,
        index: FrameIndex,
        stream: "av.VideoStream",
        report: ReadReport,
        most_bytes: int,
    ) -> None:
        self.path, self.index, self.report = path, index, report
        self.stream, self.context = stream, stream.codec_context
        self.context.thread_count = 1  # the workers are the threads; frames come without delay
        self.aspect = stream.sample_aspect_ratio
        self.coded_aspect = self.context.sample_aspect_ratio
        self.skips = self.context.name in SKIPPING and not index.counted
        self.left_bytes, self.most_bytes = most_bytes, most_bytes
        self.number = 0  # of the next packet
        self.lost: dict[int, int] = {}  # by where decoding began, the first packet not decoded
        self.fed = self.skipping = False

    def decode(
        self,
        packets: Iterator["av.Packet[av.VideoStream]"],
        begin: int,
        end: int,
        wanted: dict[int, int],
    ) -> Iterator[Frame]:
        """Yield the frames of one stretch that are wanted and whole; take them out of `wanted`."""
        if self.fed:
            self.context.flush_buffers()
        given: Counter[int] = Counter()
        try:
            for packet in packets:
                if packet.size == 0:
                    continue
                number, self.number = self.number, self.number + 1
                if number < begin:
                    continue
                picture = number - (number in self.index.seconds)
                self._prepare(packet, number, skip=self.skips and picture not in wanted)
                for frame in self._frames(packet, number):
                    yield from self._take(frame, wanted, given)
                if not wanted:
                    return
                if number == end:
                    break
        except FFmpegError:  # of the file, not of a packet
            self.report.errors += 1
        for frame in self._frames(None, self.number):
            yield from self._take(frame, wanted, given)

    def _prepare(self, packet: "av.Packet[av.VideoStream]", number: int, *, skip: bool) -> None:
        if skip != self.skipping:
            self.skipping = skip
            self.context.skip_frame = "NONREF" if skip else "DEFAULT"
        packet.pts = number  # decoders hand it on to the frame
        if packet.is_corrupt:
            packet.is_corrupt = number in self.index.corrupt

    def _frames(
        self, packet: "av.Packet[av.VideoStream] | None", number: int
    ) -> list["av.VideoFrame"]:
        self.fed = True
        try:
            return list(self.context.decode(packet))
        except FFmpegError:
            self.report.errors += 1
            if packet is not None:
                self._lose(number)
            return []

    def _lose(self, number: int) -> None:
        begin = int(self.index.begins[number])
        self.lost[begin] = min(number, self.lost.get(begin, number))

    def _take(
        self, frame: "av.VideoFrame", wanted: dict[int, int], given: "Counter[int]"
    ) -> Iterator[Frame]:
        self.left_bytes -= frame.width * frame.height * 3
        if self.left_bytes < 0:
            raise VideoError(
                f"{self.path.name} has more than {self.most_bytes / 2**30:g} GiB of frames on "
                "the way to those looked at. If you trust it, raise --max-decoded."
            )
        number = frame.pts
        if number is None or not 0 <= number < len(self.index.begins):
            return
        if frame.is_corrupt:
            self._lose(number)
        begin = int(self.index.begins[number])
        packet = number
        if self.index.counted:
            first = int(np.searchsorted(self.index.packets, begin))
            place = min(first + given[begin], len(self.index.packets) - 1)
            packet = int(self.index.packets[place])
            given[begin] += 1
        position = wanted.pop(packet, None)
        if position is None:
            return
        coded = self.context.sample_aspect_ratio  # may change on the way, as between broadcasts
        aspect = self.aspect if coded == self.coded_aspect else coded
        whole = number < self.lost.get(begin, math.inf)
        image = shown(frame, aspect) if whole else None
        if image is None:
            self.report.corrupt += 1
            return
        self.report.read += 1
        yield Frame(position, float(self.index.times_s[position]), image)
