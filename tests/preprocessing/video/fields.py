"""H.264 of field pictures, as camcorders write it and no encoder here does: every block raw."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]


class _Bits:
    def __init__(self) -> None:
        self.bits: list[int] = []

    def put(self, *pairs: tuple[int, int]) -> None:
        """Append values, each with its width in bits; of width 0 in the code of Exp-Golomb."""
        for value, width in pairs:
            number = value if width else value + 1
            size = width or 2 * number.bit_length() - 1
            self.bits += [number >> place & 1 for place in range(size - 1, -1, -1)]

    def raw(self, data: Grey) -> None:
        self.bits += [0] * (-len(self.bits) % 8) + np.unpackbits(data).tolist()

    def unit(self, kind: int) -> bytes:
        """Return a NAL unit, with what keeps start codes out of it."""
        self.bits += [1] + [0] * (-(len(self.bits) + 1) % 8)
        made, zeros = bytearray([0, 0, 0, 1, 3 << 5 | kind]), 0
        for byte in np.packbits(np.array(self.bits, np.uint8)).tolist():
            if zeros >= 2 and byte <= 3:
                made.append(3)
                zeros = 0
            made.append(byte)
            zeros = 0 if byte else zeros + 1
        return bytes(made)


def _headers(width: int, height: int) -> bytes:
    sequence, picture = _Bits(), _Bits()
    sequence.put((77, 8), (0, 8), (30, 8), (0, 0), (0, 0), (0, 0), (4, 0), (1, 0), (0, 1))
    sequence.put(
        (width // 16 - 1, 0), (height // 32 - 1, 0), (0, 1), (0, 1), (1, 1), (0, 1), (0, 1)
    )
    picture.put((0, 0), (0, 0), (0, 1), (0, 1), (0, 0), (0, 0), (0, 0), (0, 1), (0, 2))
    picture.put((0, 0), (0, 0), (0, 0), (1, 1), (0, 1), (0, 1))
    return sequence.unit(7) + picture.unit(8)


def _field(grey: Grey, number: int, bottom: int) -> bytes:
    first = number == 0 and not bottom
    bits = _Bits()
    bits.put((0, 0), (7, 0), (0, 0), (number % 16, 4), (1, 1), (bottom, 1))
    bits.put(*([(0, 0)] if first else []), ((2 * number + bottom) % 256, 8))
    bits.put((0, 2 if first else 1), (0, 0), (1, 0))
    height, width = grey.shape
    for y in range(0, height, 16):
        for x in range(0, width, 16):
            bits.put((25, 0))  # a macroblock as it is
            bits.raw(np.append(grey[y : y + 16, x : x + 16].ravel(), np.full(128, 128, np.uint8)))
    return bits.unit(5 if first else 1)


def field_pictures(frames: Sequence[Grey]) -> Iterator[bytes]:
    """Yield packets of a bare H.264 stream, two a frame (H, W), H of 32 and W of 16."""
    height, width = frames[0].shape
    for number, frame in enumerate(frames):
        for bottom in (0, 1):
            head = _headers(width, height) if number % 12 == 0 and not bottom else b""
            yield head + _field(frame[bottom::2], number, bottom)
