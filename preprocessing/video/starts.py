"""Where decoding can start: read from the coded pictures, since what containers say misleads.

An MP4 without a table of key frames calls every frame one; H.264 with intra refresh calls frames
so from which the picture only grows whole over the next second; a recording may begin anywhere.
"""

from collections.abc import Callable, Iterator
from enum import IntEnum
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import av


class Start(IntEnum):
    """What decoding a packet first gives."""

    NO = 0  # a picture made of others
    WEAK = 1  # a picture that may be whole, as the decoder finds
    OPEN = 2  # it and all that are shown after it; those shown before it need the stretch before
    CLOSED = 3  # it and all that follow


Test = Callable[[bytes], Start]


def test_for(codec: str, extradata: bytes | None) -> Test | None:
    """Return what tells whether decoding can start at a coded picture; None where nothing can.

    Args:
        codec: Such as "h264".
        extradata: The codec's header, as the container keeps it.
    """
    if codec in ("h264", "hevc"):
        own = extradata if extradata and extradata[0] == 1 else None  # as MP4 and Matroska keep it
        place = 4 if codec == "h264" else 21
        length = (own[place] & 3) + 1 if own and len(own) > place else 0
        kind = _h264 if codec == "h264" else _hevc
        return lambda data: kind(_units(data, length))
    return {
        "mpeg4": _mpeg4,
        "mpeg1video": _mpeg2,
        "mpeg2video": _mpeg2,
        "vp8": lambda data: Start.NO if data[0] & 1 else Start.CLOSED,
        "vp9": _vp9,
        "av1": _av1,
        "libdav1d": _av1,
    }.get(codec)


class Fields:
    """Says which packets of an interlaced H.264 stream complete the picture of the one before.

    Camcorders code the two fields of a frame in turn: two packets, of which one frame is made.

    Args:
        codec: Such as "h264".
        extradata: The codec's header, as the container keeps it.
    """

    def __init__(self, codec: str, extradata: bytes | None) -> None:
        own = extradata or b""
        self.length = (own[4] & 3) + 1 if len(own) > 8 and own[0] == 1 else 0
        headers = [own[8:]] if self.length else list(_units(own, 0)) if codec == "h264" else []
        found = next((unit for unit in headers if unit and unit[0] & 31 == 7), b"")
        self.bits, self.interlaced = _frame_numbers(found) if found else (0, False)
        self.open: tuple[int, int] | None = None  # number and parity of a field without the other

    def second(self, packet: "av.Packet[av.VideoStream]") -> bool:
        """Tell of one packet after the other."""
        if not self.interlaced:
            return False
        field = next(
            (
                self._field(unit)
                for unit in _units(bytes(packet), self.length)
                if unit and unit[0] & 31 in (1, 5)
            ),
            None,
        )
        completes = field is not None and self.open == (field[0], 1 - field[1])
        self.open = None if completes else field
        return completes

    def _field(self, unit: bytes) -> tuple[int, int] | None:
        bits = _bits(unit[1:16].replace(b"\0\0\3", b"\0\0"))
        for _ in range(3):  # the first macroblock, the kind of slice, its parameters
            _exp_golomb(bits)
        number = _number(bits, self.bits)
        return (number, next(bits, 0)) if next(bits, 0) else None


def _frame_numbers(unit: bytes) -> tuple[int, bool]:
    """Return from a sequence parameter set of H.264 the bits of a frame's number, and if fields."""
    bits = _bits(unit[1:].replace(b"\0\0\3", b"\0\0"))
    profile = _number(bits, 24) >> 16
    _exp_golomb(bits)
    if profile in (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135):
        chroma = _exp_golomb(bits)
        _number(bits, chroma == 3)
        _skip(bits, 2)
        _number(bits, 1)
        lists = (12 if chroma == 3 else 8) if next(bits, 0) else 0
        for k in range(lists):
            if next(bits, 0):
                _skip_scaling(bits, 64 if k >= 6 else 16)
    width = _exp_golomb(bits) + 4
    order = _exp_golomb(bits)
    if order == 1:
        _number(bits, 1)
        _skip(bits, 2)
        _skip(bits, min(_exp_golomb(bits), 255))
    _skip(bits, 1 + (order == 0))
    _number(bits, 1)
    _skip(bits, 2)
    return min(width, 16), not next(bits, 1)


def _skip(bits: Iterator[int], numbers: int) -> None:
    for _ in range(numbers):
        _exp_golomb(bits)


def _skip_scaling(bits: Iterator[int], size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            code = _exp_golomb(bits)
            following = (last + (code + 1) // 2 * (1 if code % 2 else -1)) % 256
        last = following or last


def _units(data: bytes, length: int) -> Iterator[bytes]:
    """Yield the NAL units, which follow their length in so many bytes, or a start code (0)."""
    if not length:
        place = data.find(b"\0\0\1")
        while place >= 0:
            following = data.find(b"\0\0\1", place + 3)
            yield data[place + 3 : following if following >= 0 else len(data)]
            place = following
        return
    place = 0
    while place + length < len(data):
        size = int.from_bytes(data[place : place + length], "big")
        yield data[place + length : place + length + size]
        place += length + size


def _h264(units: Iterator[bytes]) -> Start:
    start = Start.NO
    for unit in units:
        kind = unit[0] & 31 if unit else 0
        if kind == 5:
            return Start.CLOSED
        if kind == 6 and (delay := _recovery(unit.replace(b"\0\0\3", b"\0\0"))) is not None:
            start = Start.WEAK if delay else Start.OPEN
        elif kind == 1:
            bits = _bits(unit[1:12])
            _exp_golomb(bits)  # the first macroblock
            return max(start, Start.WEAK) if _exp_golomb(bits) in (2, 7) else start
    return start


def _recovery(message: bytes) -> int | None:
    """Return after how many frames a recovery point of H.264 is whole; None if it is none."""
    place = 1
    while place + 2 < len(message):
        values = []
        for _ in range(2):  # kind and size, each the sum of bytes up to the first below 255
            value = 0
            while place < len(message) and message[place] == 255:
                value, place = value + 255, place + 1
            values.append(value + (message[place] if place < len(message) else 0))
            place += 1
        if values[0] == 6:
            return _exp_golomb(_bits(message[place : place + 9]))
        place += values[1]
    return None


def _bits(data: bytes) -> Iterator[int]:
    return (byte >> shift & 1 for byte in data for shift in range(7, -1, -1))


def _number(bits: Iterator[int], width: int) -> int:
    value = 0
    for _ in range(width):
        value = 2 * value + next(bits, 0)
    return value


def _exp_golomb(bits: Iterator[int]) -> int:
    zeros = next((k for k in count() if next(bits, 1)), 0)
    return (1 << zeros) - 1 + _number(bits, zeros)


def _hevc(units: Iterator[bytes]) -> Start:
    for unit in units:
        kind = unit[0] >> 1 & 63 if unit else 63
        if kind < 32:
            if kind in (19, 20):
                return Start.CLOSED
            return Start.OPEN if 16 <= kind <= 21 else Start.NO
    return Start.NO


def _mpeg4(data: bytes) -> Start:
    place = data.find(b"\0\0\1\xb6")
    if not 0 <= place < len(data) - 4 or data[place + 4] >> 6:
        return Start.NO
    group = data.find(b"\0\0\1\xb3", 0, place)
    closed = group >= 0 and data[group + 6] & 0x20
    return Start.CLOSED if closed else Start.OPEN


def _mpeg2(data: bytes) -> Start:
    place = data.find(b"\0\0\1\0")
    if not 0 <= place < len(data) - 5 or data[place + 5] >> 3 & 7 != 1:
        return Start.NO
    group = data.find(b"\0\0\1\xb8", 0, place)
    closed = group >= 0 and data[group + 7] & 0x40
    return Start.CLOSED if closed else Start.OPEN


def _vp9(data: bytes) -> Start:
    bits = _bits(data[:2])
    _number(bits, 2)
    profile = next(bits, 0) + 2 * next(bits, 0)
    _number(bits, profile == 3)
    again, inter = next(bits, 0), next(bits, 1)
    return Start.NO if again or inter else Start.CLOSED


def _av1(data: bytes) -> Start:
    place = 0
    while place < len(data):
        head = data[place]
        place += 2 if head & 4 else 1
        size = shift = 0
        while head & 2 and place < len(data):
            byte = data[place]
            size |= (byte & 127) << shift
            place, shift = place + 1, shift + 7
            if byte < 128:
                break
        if head >> 3 & 15 in (3, 6):  # a frame or its header: shown again, then its kind
            shown_again, kind = data[place] >> 7, data[place] >> 5 & 3
            return Start.NO if shown_again or kind else Start.CLOSED
        place += size if head & 2 else len(data)
    return Start.NO
