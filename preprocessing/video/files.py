"""Which files are videos and photographs: one list for every command; where it is silent, content.

Of a folder, hidden files are left out (macOS writes `._clip.mp4` beside `clip.mp4`), and so is what
these tools wrote there themselves.
"""

import os
import re
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["video", "picture"]

VIDEO_SUFFIXES = frozenset(
    (
        *(".mp4", ".mov", ".m4v", ".qt", ".3gp", ".3g2", ".f4v", ".mkv", ".webm", ".avi", ".divx"),
        *(".mpg", ".mpeg", ".m1v", ".m2v", ".vob", ".ts", ".mts", ".m2ts", ".flv", ".wmv", ".asf"),
        *(".gif", ".ogv", ".mxf", ".dv", ".ivf", ".obu", ".y4m"),
        *(".h264", ".264", ".h265", ".265", ".hevc", ".mjpeg", ".mjpg"),
    )
)
PICTURES_IN_A_ROW = frozenset((".mjpeg", ".mjpg"))  # each begins as a photograph does
IMAGE_SUFFIXES = frozenset(
    (
        *(".png", ".apng", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".tif", ".tiff"),
        *(".avif", ".heic", ".heif", ".hif"),
    )
)
SUFFIXES = VIDEO_SUFFIXES | IMAGE_SUFFIXES
AMBIGUOUS = frozenset((".ts", ".mts"))  # TypeScript too
MARK = b"written by deepfake"  # inside pictures and annotated clips, so that none is judged again
ANNOTATED = re.compile(r"-[0-9a-f]{8}\.(mp4|mkv)$")
NOTE_BYTES = 65536
CROPS = "manifest.parquet"  # a folder that holds it was written by `preprocess`
HEAD_BYTES = 1024

_VIDEO_HEADS = (
    *(b"\x1aE\xdf\xa3", b"FLV\x01", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"OggS", b"DKIF", b"GIF8"),
    *(b"\0\0\1\xba", b"\0\0\1\xb3", b"\0\0\1\xb0", b"\0\0\1\xb6", b"YUV4MPEG2 ", b"\x12\0\x0a"),
    *(b"\x06\x0e\x2b\x34", b"\x1f\x07\0", b"\0\0\0\1\x67", b"\0\0\1\x67", b"\0\0\0\1\x09"),
    *(b"\0\0\1\x09", b"\0\0\0\1\x40", b"\0\0\1\x40", b"\0\0\0\1\x46"),
)
_PICTURE_HEADS = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*")
_BOXES = frozenset((b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"moof", b"styp"))
HEIF = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"))
AVIF = frozenset((b"avif", b"avis"))


def content(head: bytes) -> Kind | None:
    """Return what the first bytes of a file say that it is; None where they say nothing known."""
    if head.startswith(_PICTURE_HEADS) or (head[:2] == b"BM" and head[6:10] == bytes(4)):
        return "picture"
    if head[:4] == b"RIFF":
        return {b"WEBP": "picture", b"AVI ": "video"}.get(head[8:12])  # type: ignore[return-value]
    if head[4:8] in _BOXES:
        return "picture" if brands(head) & (HEIF | AVIF) else "video"
    packets = any(
        len(head) > first + 2 * size and all(head[first + k * size] == 0x47 for k in range(3))
        for first, size in ((0, 188), (4, 192), (0, 204))
    )
    return "video" if packets or head.startswith(_VIDEO_HEADS) else None


def brands(head: bytes) -> set[bytes]:
    """Return what an ISO media file calls itself, and what it says that it can be read as."""
    if head[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[8:12], *(head[at : at + 4] for at in range(16, end, 4))}


def head_of(path: Path) -> bytes:
    """Return the first bytes of a file; none where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except (OSError, ValueError):
        return b""


def kind_of(path: Path) -> Kind | None:
    """Return what a file is: by its suffix, or its content where that says nothing certain."""
    suffix = path.suffix.lower()
    if suffix in SUFFIXES - AMBIGUOUS:
        return "video" if suffix in VIDEO_SUFFIXES else "picture"
    return content(head_of(path)) if path.is_file() else None


def walk(folder: Path, left_out: "Counter[str] | None" = None) -> Iterator[Path]:
    """Yield every visible file below a folder, following links, each folder once, sorted.

    Args:
        folder: The folder.
        left_out: Told how many files were left out, by what they are.
    """
    left_out = Counter() if left_out is None else left_out
    seen: set[str] = set()
    for current, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(current)
        if real in seen:  # a link to a parent
            folders.clear()
            continue
        seen.add(real)
        if CROPS in files and current != str(folder):
            left_out["folders of crops"] += 1
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        visible = sorted(name for name in files if not name.startswith("."))
        left_out["hidden"] += len(files) - len(visible)
        yield from (Path(current, name) for name in visible)


def marked(picture: bytes) -> bytes:
    """Return a PNG or JPEG file with a note that these tools wrote it."""
    if picture.startswith(b"\xff\xd8"):
        return picture[:2] + b"\xff\xfe" + struct.pack(">H", len(MARK) + 2) + MARK + picture[2:]
    text = b"tEXtComment\0" + MARK
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    return picture[:33] + chunk + picture[33:]  # behind the signature and the header


def is_ours(path: Path) -> bool:
    """Say whether these tools wrote a picture or an annotated clip."""
    if path.suffix.lower() in (".png", ".jpg"):
        return MARK in head_of(path)
    if not ANNOTATED.search(path.name):
        return False
    with path.open("rb") as file:  # the note stands before the pictures or behind them
        start = file.read(NOTE_BYTES)
        file.seek(max(0, path.stat().st_size - NOTE_BYTES))
        return MARK in start or MARK in file.read()


def sorted_out(folder: Path) -> tuple[list[tuple[Path, Kind]], str]:
    """Return the videos and photographs below a folder, and a line on what was left out, or ""."""
    left_out: Counter[str] = Counter()
    known, others = [], Counter[str]()
    for path in walk(folder, left_out):
        kind = kind_of(path)
        if kind is not None and is_ours(path):
            left_out["written by these tools"] += 1
        elif kind is None:
            others[path.suffix.lower() or "no suffix"] += 1
        else:
            known.append((path, kind))
    parts = [f"{count} {what}" for what, count in left_out.items() if count]
    if others:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in others.most_common(5))
        parts.insert(0, f"{others.total()} that are no video or photograph ({kinds})")
    return known, f"left out of {folder}: {', '.join(parts)}" if parts else ""
