"""The page of a folder of pages: a row per clip, to be sorted and filtered."""

import base64
import hashlib
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepfake.report.languages import translated
from deepfake.report.outputs import FAILED, file_stem
from deepfake.report.page import environment
from deepfake.types import Verdict, shown

if TYPE_CHECKING:
    from preprocessing.pipeline import Extraction

INDEX = "index.html"
THUMBNAILS = "thumbnails"
SIDE = 96  # pixels


def write_thumbnail(folder: Path, verdict: Verdict, extraction: "Extraction") -> None:
    """Write the face that looks most fake, for the index.

    Raises:
        OSError: It cannot be written.
    """
    from deepfake.report.pictures import jpeg
    from preprocessing.video.files import marked

    crops = {(face.track, face.detection.frame): face.image for face in extraction.faces}
    worst = max(verdict.faces, key=lambda face: face.score, default=None)
    if worst is None:
        return
    file = folder / THUMBNAILS / f"{file_stem(verdict.video, verdict.provenance['sha256'])}.jpg"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(marked(jpeg(crops[worst.track, worst.frame], SIDE)))


def write_index(folder: Path, entries: Sequence[Mapping[str, Any]], language: str = "en") -> Path:
    """Write the index of verdicts and failures as `to_dict` gives them; return the file.

    Raises:
        OSError: It cannot be written.
    """
    names = [Path(entry["video"]) for entry in entries]
    parents = {str(name.absolute().parent) for name in names}
    top = os.path.commonpath(parents) if parents else ""
    rows = []
    for entry, name in zip(entries, names, strict=True):
        stem = file_stem(entry["video"], str(entry["provenance"].get("sha256") or ""))
        thumbnail, score = f"{THUMBNAILS}/{stem}.jpg", entry["score"]
        limits = (entry["real_below"], entry["fake_from"])
        about = {
            "name": os.path.relpath(name.absolute(), top) if top != os.sep else name.name,
            "page": None if entry["label"] == FAILED else f"{stem}.html",
            "thumbnail": thumbnail if (folder / thumbnail).is_file() else None,
            "shown": "" if score is None else shown(score, limits),
            "reason": _without(entry["video"], entry["reason"]),
        }
        rows.append({**entry, **about})
    template = environment()
    script, _, _ = template.loader.get_source(template, "index.js")  # type: ignore[union-attr]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    counts = Counter(row["label"] for row in rows)
    page = template.get_template("index.html").render(
        rows=rows, script=script, digest=digest, counts=counts
    )
    file = folder / INDEX
    said = translated(page, language)
    file.write_text(said, encoding="utf-8", errors="backslashreplace")
    return file


def _without(video: str, reason: str) -> str:
    """Return a reason without the clip's path, which the row names and which is nobody's business.

    A clip may be called by a letter, so only the whole path counts.
    """
    return re.sub(rf"(?<!\S){re.escape(video)}(?=[:\s]|$):? ?", "", reason)
