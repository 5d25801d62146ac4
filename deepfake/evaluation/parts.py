"""The parts of a data set that are looked at apart."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from deepfake.data.sources.texts import read_csv
from deepfake.evaluation.scores import ScoredVideo, ScoresError

COVARIATES = ("face_size", "sharpness", "brightness")
Subgroups = Mapping[str, Mapping[str, str]]  # by video, or its name alone: "sex" -> "female", ...


def read_subgroups(path: Path) -> dict[str, dict[str, str]]:
    """Read a CSV of video, by key or name alone, and columns such as age, sex and skin tone.

    Raises:
        DeepfakeError: It is no such table.
    """
    columns, rows = read_csv(path)
    if "video" not in columns or len(columns) < 2:
        raise ScoresError(f"{path} must have a column video and others, such as age and sex.")
    read = [dict(zip(columns, map(str.strip, values), strict=False)) for _, values in rows]
    return {row.pop("video"): row for row in read}


def parts(
    videos: Sequence[ScoredVideo], subgroups: Subgroups | None = None
) -> dict[str, list[ScoredVideo]]:
    """Return the parts to look at apart, by name: "method: Deepfakes", "people: 1" and so on.

    A method's fakes are judged beside all reals. What is measured is cut at its terciles. A trait
    that all videos share is left out.
    """
    reals = [video for video in videos if video.label == 0]
    found: dict[str, list[ScoredVideo]] = {}
    for method in sorted({video.method for video in videos if video.label == 1}):
        fakes = [video for video in videos if video.label == 1 and video.method == method]
        found[f"method: {method or 'unknown'}"] = reals + fakes
    traits: list[tuple[str, Callable[[ScoredVideo], str]]] = [
        ("compression", lambda video: video.compression or "unknown"),
        ("split", lambda video: video.split or "none"),
        ("people", lambda video: str(video.people) if video.people < 3 else "3 or more"),
    ]
    traits += [(name.replace("_", " "), _tercile(videos, name)) for name in COVARIATES]
    about = subgroups or {}
    known = {v.video: about.get(v.video) or about.get(Path(v.video).name, {}) for v in videos}
    traits += [(n, _told(known, n)) for n in dict.fromkeys(n for r in about.values() for n in r)]
    for name, trait in traits:
        values = sorted({trait(video) for video in videos if video.faces})
        if len(values) > 1:
            for value in values:
                chosen = [video for video in videos if video.faces and trait(video) == value]
                found[f"{name}: {value}"] = chosen
    return found


def _told(known: Subgroups, name: str) -> Callable[[ScoredVideo], str]:
    return lambda video: known[video.video].get(name) or "unknown"


def _tercile(videos: Sequence[ScoredVideo], name: str) -> Callable[[ScoredVideo], str]:
    values = np.array([getattr(video, name) for video in videos], dtype=np.float64)
    values = values[np.isfinite(values)]
    first, second = np.percentile(values, (100 / 3, 200 / 3)) if values.size else (0.0, 0.0)

    def trait(video: ScoredVideo) -> str:
        value = float(getattr(video, name))
        if math.isnan(value):
            return "unknown"
        if value <= first:
            return f"1 low (to {first:.3g})"
        return f"2 middle (to {second:.3g})" if value <= second else f"3 high (over {second:.3g})"

    return trait
