"""Where a clip says that it comes from: credentials, metadata, container. It moves no score.

All of it can be forged or stripped but for a signature by somebody who is trusted, so what is not
there says nothing: "unknown". Files are read in a worker process without a network.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

CREDENTIALS, SOURCE, HISTORY = "Content Credentials (C2PA)", "Declared source", "File history"
ABSENT = "unknown: none found. Most genuine clips have none, and uploading removes them"
TIMEOUT_S, MEMORY_BYTES = 60.0, 2 * 2**30
SCANNED = 16 * 2**20  # bytes looked at for metadata, from either end
DEPTH, BOXES = 8, 4096  # of an MP4 file, looked at
CHANGED = {
    "mismatch": "the content was changed after it was signed",
    "expired": "the signer's certificate was not valid",
    "signature": "the signature does not fit",
}
TERMS = {  # https://cv.iptc.org/newscodes/digitalsourcetype/
    "trainedAlgorithmicMedia": "made by a generative model",
    "compositeWithTrainedAlgorithmicMedia": "in part made by a generative model",
    "algorithmicallyEnhanced": "enhanced by an algorithm",
    "algorithmicMedia": "made by an algorithm",
    "compositeSynthetic": "put together, in part synthetic",
    "virtualRecording": "a recording of something virtual",
    "digitalCreation": "made by a person with digital tools",
    "humanEdits": "edited by a person",
    "digitalCapture": "captured by a camera",
    "computationalCapture": "captured by a camera with processing",
    "screenCapture": "captured from a screen",
}
TAGS = ("make", "model", "creation_time", "datetime")  # told as they are
WRITERS = ("software", "encoder", "handler_name", "comment", "vendor_id")
ENCODERS = re.compile(
    r"Lavf|Lavc|x26[45]|HandBrake|GStreamer|Google|Mainconcept|isom.*YouTube", re.I
)
EDITORS = re.compile(
    r"Adobe|Premiere|After Effects|Photoshop|Final Cut|iMovie|DaVinci|CapCut|InShot|Vegas|Kdenlive"
    r"|Shotcut|OpenShot|Blender|GIMP|DeepFaceL\w+|FaceFusion|Stable Diffusion|Midjourney|ComfyUI",
    re.I,
)


@dataclass(frozen=True)
class Asked:
    """A clip whose origin is asked for, and the signers that are trusted, as PEM."""

    path: Path
    trusted: str = ""


def origin(path: Path, trusted: str = "") -> list[tuple[str, str]]:
    """Return what a clip says of its origin, as names and words; asks a worker process.

    `trusted` holds certificates of signers or their authorities, as PEM.
    """
    from preprocessing.workers.local import run_local
    from preprocessing.workers.sandbox import is_supported

    (outcome,) = run_local(
        look_up,
        [Asked(path, trusted)],
        workers=1,
        timeout_s=TIMEOUT_S,
        memory_bytes=MEMORY_BYTES,
        sandbox=is_supported(),
    )
    if outcome.result is None:
        return [(CREDENTIALS, f"unknown: the file could not be looked through ({outcome.reason})")]
    return outcome.result


def look_up(asked: Asked) -> list[tuple[str, str]]:
    """Return what `origin` does; runs in the worker."""
    return [
        (CREDENTIALS, _credentials(asked)),
        (SOURCE, "; ".join(_declared(asked.path)) or ABSENT),
        (HISTORY, "; ".join(_history(asked.path)) or "unknown: nothing tells of other software"),
    ]


def _credentials(asked: Asked) -> str:
    try:
        import c2pa
    except ImportError:
        return "not looked for: that needs `pip install -e '.[provenance]'`"
    settings: dict[str, Any] = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
    if asked.trusted:
        settings["trust"] = {"user_anchors": asked.trusted}
    try:
        with c2pa.Reader(str(asked.path), context=c2pa.Context.from_dict(settings)) as reader:
            state, content = reader.get_validation_state(), json.loads(reader.json())
    except c2pa.C2paError.ManifestNotFound:
        return ABSENT
    except (c2pa.C2paError, ValueError, RecursionError) as error:
        return f"unknown: what is there cannot be read ({_short(error)})"
    manifest = content.get("manifests", {}).get(content.get("active_manifest"), {})
    who = manifest.get("signature_info") or {}
    signer = _short(", ".join(str(who[k]) for k in ("common_name", "issuer") if who.get(k)) or "?")
    codes = " ".join(str(entry.get("code")) for entry in content.get("validation_status") or ())
    if state == "Trusted":
        said = f"valid, signed by {signer}, whom your list trusts"
    elif state == "Valid":
        said = f"valid, but the signer is unknown: anybody can sign as {signer}"
    else:
        why = next((words for code, words in CHANGED.items() if code in codes), "not as it must be")
        said = f"invalid: {why} ({_short(codes)}); it names {signer}"
    types = sorted(set(re.findall(r'"digitalSourceType": ?"[^"]*/(\w+)"', json.dumps(manifest))))
    return said + "".join(f"; it says: {TERMS.get(term, term)}" for term in types)


def _declared(path: Path) -> list[str]:
    """Return the sources that XMP names (IPTC DigitalSourceType)."""
    ends = _ends(path)
    found = re.findall(rb"DigitalSourceType\b[^<]{0,40}?http[^<\"' ]*/(\w+)", ends)
    terms = sorted({term.decode() for term in found})
    return [f"says that it was {TERMS.get(term, term)} ({term})" for term in terms]


def _history(path: Path) -> list[str]:
    """Return what the container tells of programs that wrote or edited the file."""
    facts = []
    for name, value in _metadata(path):
        if EDITORS.search(value):
            facts.append(f"edited or made with {value} ({name})")
        elif name in TAGS:
            facts.append(f"{name.replace('_', ' ')} {value}")
        elif ENCODERS.search(value):
            facts.append(f"written again by {value} ({name}): not as the camera wrote it")
    if b"x264 - core" in (ends := _ends(path)) and not any("x264" in fact for fact in facts):
        facts.append("re-encoded by x264: not as the camera wrote it")
    if b"mdat" in ends and (edits := _edit_lists(path)):
        facts.append(f"edit lists of {edits} entries: parts may be hidden from players")
    return list(dict.fromkeys(facts))


def _metadata(path: Path) -> Iterator[tuple[str, str]]:
    from PIL import ExifTags
    from PIL import Image as Pillow

    try:
        with Pillow.open(path) as picture:
            tags = dict(picture.getexif())
            info = [v for k, v in picture.info.items() if k in ("Software", "parameters")]
    except Exception:  # noqa: BLE001  no picture, or a damaged one: Pillow's plugins raise anything
        tags, info = {}, []
    if tags or info:
        named = [(ExifTags.TAGS.get(key, "").lower(), value) for key, value in tags.items()]
        yield from (
            (n, _short(v))
            for n, v in [*named, *(("software", v) for v in info)]
            if n in TAGS + WRITERS
        )
        return
    import av

    try:
        with av.open(str(path), metadata_errors="replace") as container:
            tables = [container.metadata, *(stream.metadata for stream in container.streams)]
    except (av.FFmpegError, ValueError, OSError):
        return
    for name, value in ((n, v) for table in tables for n, v in table.items()):
        last = name.rsplit(".", 1)[-1].lower()
        if last in TAGS + WRITERS:
            yield last, _short(value)


def _edit_lists(path: Path) -> int:
    """Return the entries of the longest edit list of an MP4 file if it is more than a shift."""
    with path.open("rb") as file:
        counts = list(_boxes(file, 0, path.stat().st_size, DEPTH, [BOXES]))
    return max((count for count in counts if count > 1), default=0)


def _boxes(file: BinaryIO, start: int, end: int, depth: int, left: list[int]) -> Iterator[int]:
    while start + 8 <= end and depth and left[0] > 0:
        left[0] -= 1
        file.seek(start)
        head = file.read(16)
        size, kind, body = int.from_bytes(head[:4], "big"), head[4:8], 8
        if size == 1:
            size, body = int.from_bytes(head[8:16], "big"), 16
        size = size or end - start
        if size < body:
            return
        if kind == b"elst":
            file.seek(start + body + 4)
            yield int.from_bytes(file.read(4), "big")
        elif kind in (b"moov", b"trak", b"edts"):
            yield from _boxes(file, start + body, min(start + size, end), depth - 1, left)
        start += size


def _ends(path: Path) -> bytes:
    with path.open("rb") as file:
        head = file.read(SCANNED)
        file.seek(max(file.tell(), path.stat().st_size - SCANNED))
        return head + file.read(SCANNED)


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return "".join(c for c in text if c.isprintable())[:120]
