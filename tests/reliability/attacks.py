"""Files that are wrong on purpose: damaged, lying, or of another kind than they say."""

import struct
import zlib
from collections.abc import Callable

import numpy as np

from tests.reliability.media import FAST, photograph, video

Rng = np.random.Generator
LIES = (0, 1, 2, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
# Boxes of MP4, elements of Matroska, chunks of AVI, PNG and WebP whose numbers are worth changing.
FIELDS = (
    *(b"mvhd", b"tkhd", b"mdhd", b"elst", b"stsd", b"stts", b"ctts", b"stsc", b"stsz", b"stco"),
    *(b"avc1", b"avcC", b"mp4v", b"trun", b"tfhd", b"tfdt", b"moov", b"trak", b"mdat", b"ftyp"),
    *(b"avih", b"strh", b"strf", b"idx1", b"movi", b"IHDR", b"IDAT", b"VP8 ", b"VP8X", b"ANMF"),
    *(b"\x1a\x45\xdf\xa3", b"\x15\x49\xa9\x66", b"\x16\x54\xae\x6b", b"\x1f\x43\xb6\x75"),
    *(b"\x2a\xd7\xb1", b"\x44\x89", b"\xb0\x82", b"\xba\x82", b"FLV\x01", b"onMetaData"),
    *(b"\xff\xc0\x00", b"\xff\xc4\x00", b"\xff\xdb\x00", b"GIF89a", b"II*\x00"),
)


def cut(data: bytes, rng: Rng) -> bytes:
    """Keep the beginning."""
    return data[: int(len(data) * rng.uniform(0.0, 1.0))]


def behead(data: bytes, rng: Rng) -> bytes:
    """Keep the end."""
    return data[int(len(data) * rng.uniform(0.0, 0.5)) :]


def flip(data: bytes, rng: Rng) -> bytes:
    """Flip bits at a rate between one in a million and one in fifty."""
    rate = 10 ** rng.uniform(-6, -1.7)
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    hits = rng.integers(0, len(bits), max(1, rng.poisson(rate * len(bits))))
    bits[hits] ^= 1
    return np.packbits(bits).tobytes()


def flip_header(data: bytes, rng: Rng) -> bytes:
    """Change a few of the first 600 bytes."""
    changed = bytearray(data)
    for at in rng.integers(0, min(600, len(data)), int(rng.integers(1, 12))):
        changed[at] = int(rng.integers(256))
    return bytes(changed)


def lie(data: bytes, rng: Rng) -> bytes:
    """Put an extreme number behind the name of a field."""
    changed = bytearray(data)
    present = [name for name in FIELDS if name in data]
    for name in rng.permutation(np.array(present, dtype=object))[: int(rng.integers(1, 4))]:
        places = [at for at in range(len(data)) if data.startswith(name, at)][:20]
        at = places[int(rng.integers(len(places)))] + len(name) + int(rng.integers(0, 40))
        value = LIES[int(rng.integers(len(LIES)))].to_bytes(4, "big")
        size = int(rng.choice([1, 2, 4]))
        changed[at : at + size] = value[4 - size :]
    return bytes(changed)


def blank(data: bytes, rng: Rng) -> bytes:
    """Overwrite a stretch with zeros or noise."""
    start, length = _stretch(data, rng)
    noise = rng.bytes(length) if rng.random() < 0.5 else b"\0" * length
    return data[:start] + noise + data[start + length :]


def drop(data: bytes, rng: Rng) -> bytes:
    """Leave a stretch out."""
    start, length = _stretch(data, rng)
    return data[:start] + data[start + length :]


def double(data: bytes, rng: Rng) -> bytes:
    """Repeat a stretch."""
    start, length = _stretch(data, rng)
    return data[: start + length] + data[start:]


def pad(data: bytes, rng: Rng) -> bytes:
    """Put noise before or behind."""
    noise = rng.bytes(int(rng.integers(1, 5000)))
    return noise + data if rng.random() < 0.5 else data + noise


def _stretch(data: bytes, rng: Rng) -> tuple[int, int]:
    start = int(rng.integers(0, len(data)))
    return start, min(len(data) - start, int(rng.integers(1, max(2, len(data) // 4))))


MUTATIONS: tuple[Callable[[bytes, Rng], bytes], ...] = (
    cut,
    flip,
    flip_header,
    lie,
    blank,
    drop,
    double,
    behead,
    pad,
)


def splice(first: bytes, second: bytes, rng: Rng) -> bytes:
    """Join the head of one file to the tail of another."""
    head = int(len(first) * rng.uniform(0.01, 0.6))
    return first[:head] + second[int(len(second) * rng.uniform(0.0, 0.6)) :]


def patched(data: bytes, name: bytes, offset: int, value: bytes) -> bytes:
    """Overwrite bytes at an offset behind every occurrence of a name."""
    changed, at = bytearray(data), data.find(name)
    while at >= 0:
        start = at + len(name) + offset
        changed[start : start + len(value)] = value
        at = data.find(name, at + 1)
    return bytes(changed)


def _mp4() -> bytes:
    return video("mp4", "libx264", options=FAST)


def _sized_mp4(width: int, height: int) -> bytes:
    return patched(_mp4(), b"avc1", 24, struct.pack(">HH", width, height))


def _encrypted() -> bytes:
    noise = np.random.default_rng(0)
    data = patched(_mp4(), b"avc1", -4, b"encv")
    start = data.index(b"mdat") + 4
    return data[:start] + noise.bytes(len(data) - start)


def _turned() -> bytes:
    one, minus = struct.pack(">i", 0x10000), struct.pack(">i", -0x10000)
    zero, unit = b"\0" * 4, struct.pack(">i", 0x40000000)
    matrix = b"".join([zero, one, zero, minus, zero, zero, zero, zero, unit])
    return patched(_mp4(), b"tkhd", 40, matrix)


def _png(width: int, height: int, pixels: bytes) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + body))
        return struct.pack(">I", len(body)) + name + body + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def _nested(depth: int) -> bytes:
    boxes = b""
    for _ in range(depth):
        boxes = struct.pack(">I", len(boxes) + 8) + b"moov" + boxes
    return b"\0\0\0\x14ftypisom\0\0\0\0isom" + boxes


ENDLESS = b"\xff" * 4
WRONG: dict[str, Callable[[], bytes]] = {
    "empty.mp4": lambda: b"",
    "one_byte.mkv": lambda: b"\0",
    "zeros.mp4": lambda: b"\0" * 100_000,
    "noise.avi": lambda: np.random.default_rng(1).bytes(100_000),
    "text.mp4": lambda: b"this is no video\n" * 500,
    "page.mp4": lambda: b"<html><script>alert(1)</script></html>" * 50,
    "drawing.png": lambda: b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
    "script.png": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
    "archive.mp4": lambda: b"PK\x03\x04" + b"\0" * 3000,
    "program.mov": lambda: b"\x7fELF\x02\x01\x01" + b"\0" * 3000,
    "playlist.mp4": lambda: (
        b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n/etc/passwd\n#EXT-X-ENDLIST\n"
    ),
    "concat.mp4": lambda: b"ffconcat version 1.0\nfile /etc/passwd\n",
    "session.mp4": lambda: b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
    "no_width.mp4": lambda: _sized_mp4(0, 0),
    "one_pixel.mp4": lambda: _sized_mp4(1, 1),
    "16k_header.mp4": lambda: _sized_mp4(16384, 16384),
    "largest_header.mp4": lambda: _sized_mp4(65535, 65535),
    "endless.mp4": lambda: patched(patched(_mp4(), b"mvhd", 16, ENDLESS), b"mdhd", 16, ENDLESS),
    "endless.mkv": lambda: patched(
        video("matroska", "libx264", options=FAST), b"\x44\x89\x88", 0, struct.pack(">d", 1e300)
    ),
    "no_number.mkv": lambda: patched(
        video("matroska", "libx264", options=FAST), b"\x44\x89\x88", 0, struct.pack(">d", np.nan)
    ),
    "empty_frames.mp4": lambda: patched(_mp4(), b"stsz", 12, b"\0" * 96),
    "many_frames.mp4": lambda: patched(_mp4(), b"stsz", 8, b"\x7f\xff\xff\xff"),
    "same_size_frames.mp4": lambda: patched(_mp4(), b"stsz", 4, b"\0\0\0\x01\x7f\xff\xff\xff"),
    "no_time.mp4": lambda: patched(_mp4(), b"stts", 12, b"\0\0\0\0"),
    "back_in_time.mp4": lambda: patched(_mp4(), b"stts", 12, b"\xff\xff\xfe\x00"),
    "long_steps.mp4": lambda: patched(_mp4(), b"stts", 12, b"\x7f\xff\xff\xff"),
    "no_scale.mp4": lambda: patched(_mp4(), b"mdhd", 12, b"\0\0\0\0"),
    "outside.mp4": lambda: patched(_mp4(), b"stco", 8, b"\x7f\xff\xff\xff"),
    "encrypted.mp4": _encrypted,
    "turned.mp4": _turned,
    "nested.mp4": lambda: _nested(5000),
    "fps.avi": lambda: patched(video("avi", "mpeg4"), b"avih", 4, b"\0\0\0\0"),
    "screen.gif": lambda: patched(photograph("GIF", images=3), b"GIF89a", 0, b"\xff\xff\xff\xff"),
    "bomb_header.png": lambda: _png(50_000, 50_000, zlib.compress(b"\0" * 1000)),
    "bomb.png": lambda: _png(10_000, 10_000, zlib.compress(b"\0" * 300_010_000, 1)),
    "bomb_below_limit.png": lambda: _png(6_000, 6_000, zlib.compress(b"\0" * 108_006_000, 1)),
    "bomb.jpg": lambda: patched(photograph("JPEG"), b"\xff\xc0", 3, b"\xff\xdc\xff\xdc"),
    "bomb.bmp": lambda: patched(photograph("BMP"), b"BM", 16, b"\xff\xff\x00\x00\xff\xff\x00\x00"),
    "bomb.webp": lambda: patched(photograph("WEBP"), b"\x9d\x01\x2a", 0, b"\xff\x3f\xff\x3f"),
    "metadata.png": lambda: _png(8, 8, b"")[:33] + b"\0\0\0\0zTXt" + b"\0" * 50,
}
