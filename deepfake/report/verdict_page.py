"""A verdict as one HTML page that loads nothing from outside and runs no script.

Everything that comes from the clip, its name included, is text for jinja2 to escape; only the
charts, which are made of numbers, are markup.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepfake.calibration import Calibration
from deepfake.checkpoints.card import card_beside, errors_in
from deepfake.checkpoints.loading import DEFAULT, DEFAULT_MODEL
from deepfake.explain.maps import explain_crops
from deepfake.report import advice, words
from deepfake.report.charts import timeline_svg
from deepfake.report.key_frames import highest, key_frames
from deepfake.report.languages import translated
from deepfake.report.origin import origin
from deepfake.report.page import environment
from deepfake.report.pictures import data_uri, heated
from deepfake.timeline import Timeline, limits
from deepfake.types import FaceScore, Interval, ShotScore, TrackScore, Verdict, shown
from preprocessing.pipeline import Extraction
from preprocessing.types import Image

if TYPE_CHECKING:
    from deepfake.inference import VideoPredictor

MOST_SHOTS = 40  # in the table, those with the highest scores
SHOWN = 12  # people with a strip, those with the highest scores
EXPLAINED = 4  # of them with heat maps
STRIP = 12  # faces of a person in their strip
LARGE = 3  # of them shown large
PICKED = 32  # faces of a person that a click on their chart can show
LARGE_SIDE = 320  # pixels

METHODS = {
    "occlusion": "Heat maps, of faces not called real, show where blurring a part of the face "
    "lowers its score (occlusion): bright places speak for fake.",
    "rollout": "Heat maps, of faces not called real, show which places the network's attention "
    "reaches (attention rollout), bright ones most.",
    "gradients": "Heat maps, of faces not called real, show which places of the network's last "
    "map raise the score (class activation), bright ones most.",
}


@dataclass(frozen=True)
class Person:
    """A person as the page shows them."""

    track: TrackScore
    intervals: Sequence[Interval]  # when the score is high
    moments: str  # the same in words
    chart: str  # their score over time, as SVG
    # Faces that a click on it shows; left edge and width, in percent of its width.
    picks: Sequence[tuple[FaceScore, float, float]]
    strip: Sequence[FaceScore]  # in order of time
    large: Sequence[FaceScore]  # those with the highest scores


def verdict_page(
    verdict: Verdict,
    extraction: Extraction,
    predictor: "VideoPredictor",
    *,
    clip: Path | None = None,
    trusted: str = "",
    paths: bool = False,
    language: str = "en",
) -> str:
    """Return the page of a verdict, which `predictor` said of the extraction, as text.

    Args:
        verdict: What was said.
        extraction: What it was said of.
        predictor: Its checkpoint draws the heat maps, its calibration says what is high.
        clip: The file, where the verdict does not name it whole.
        trusted: Certificates of those whose Content Credentials are trusted, as PEM.
        paths: Whether to tell where files lie on this machine.
        language: One of `languages.LANGUAGES`.
    """
    checkpoint, calibration = predictor.checkpoint, predictor.calibration
    file = Path(verdict.video) if clip is None else clip
    card = card_beside(DEFAULT_MODEL if checkpoint.name == str(DEFAULT) else Path(checkpoint.name))
    enter, _ = limits(calibration)
    crops = {(face.track, face.detection.frame): face.image for face in extraction.faces}
    people = _people(verdict, extraction, predictor)
    large = [face for person in people for face in person.large]
    heats, method = _heats(large, crops, predictor)

    def calibrated(face: FaceScore) -> float:
        return calibration.apply(face.score)

    if not paths:
        verdict = _without_folders(verdict)
    page = environment().get_template("verdict.html")
    text = page.render(
        name=_printable(Path(verdict.video).name),
        verdict=verdict,
        extraction=extraction,
        checkpoint=checkpoint,
        calibration=calibration,
        people=people,
        heats=heats,
        method=METHODS.get(method, ""),
        picture=lambda face, side: data_uri(crops[face.track, face.frame], side),
        calibrated=calibrated,
        shown=lambda face: verdict.shown(calibrated(face)),
        tone=partial(words.tone, verdict),
        headline=words.headline(verdict),
        sides=words.sides(calibration),
        meaning=words.meaning(verdict, calibration),
        shots=_shots(verdict),
        span=_span(extraction),
        enter=enter,
        limit_top=round(100 * (1 - enter), 1),
        about=words.about(checkpoint),
        limits=words.LIMITS,
        provenance=_provenance(verdict),
        frames=key_frames(file, verdict, extraction.times_s),
        origin=origin(file, trusted),
        weaknesses=advice.weaknesses(verdict),
        steps=advice.steps(verdict),
        errors=errors_in(card),
        card=card,
    )
    return translated(text, language)


def _people(verdict: Verdict, extraction: Extraction, predictor: "VideoPredictor") -> list[Person]:
    lines = {line.track: line for line in verdict.timelines}
    most = sorted(verdict.tracks, key=lambda person: -person.score)[:SHOWN]
    people = []
    for place, track in enumerate(most):
        line = lines[track.track]
        faces = [face for face in verdict.faces if face.track == track.track]
        intervals = [i for i in verdict.intervals if i.track == track.track]
        moments = words.moments(intervals, verdict)
        person = Person(
            track=track,
            intervals=intervals,
            moments=moments,
            chart=_chart(line, faces, intervals, moments, extraction, predictor.calibration),
            picks=_picks(faces, _span(extraction)),
            strip=_evenly(faces, STRIP),
            large=highest(faces, LARGE) if place < EXPLAINED else (),
        )
        people.append(person)
    return sorted(people, key=lambda person: person.track.track)


def _heats(
    large: Sequence[FaceScore],
    crops: Mapping[tuple[int, int], Image],
    predictor: "VideoPredictor",
) -> tuple[dict[FaceScore, tuple[str, bool]], str]:
    """Return heat maps of faces not called real, whether each is blank, and how they are made."""
    checkpoint, calibration = predictor.checkpoint, predictor.calibration
    some = [f for f in large if calibration.verdict(calibration.apply(f.score)) != "real"]
    maps, method = explain_crops(checkpoint, [crops[face.track, face.frame] for face in some])
    heats = {}
    for face, heat in zip(some, maps, strict=True):
        heat = heat * calibration.apply(face.score)  # as bright as the face is suspicious
        image = heated(checkpoint.recipe.resized(crops[face.track, face.frame]), heat)
        heats[face] = (data_uri(image, LARGE_SIDE), not heat.any())
    return heats, method


def _picks(
    faces: Sequence[FaceScore], span_s: tuple[float, float]
) -> list[tuple[FaceScore, float, float]]:
    """Return faces to be picked on a chart, each with the part of it where it is the nearest.

    Args:
        faces: In order of time.
        span_s: Begin and end of the chart, in seconds.
    """
    chosen = _evenly(faces, PICKED)
    start, end = span_s
    middles = [(a.time_s + b.time_s) / 2 for a, b in itertools.pairwise(chosen)]
    places = 100 * (np.array([start, *middles, end]) - start) / max(end - start, 1e-3)
    edges = np.round(places.clip(0, 100), 2)
    return [
        (face, float(left), round(float(right - left), 2))
        for face, left, right in zip(chosen, edges[:-1], edges[1:], strict=True)
    ]


def _chart(
    line: Timeline,
    faces: Sequence[FaceScore],
    intervals: Sequence[Interval],
    moments: str,
    extraction: Extraction,
    calibration: Calibration,
) -> str:
    if len(line.times_s) < 2:
        return ""
    calibrated = calibration.apply_all([face.score for face in faces]).tolist()
    lowest, highest = (shown(float(score)) for score in (line.scores.min(), line.scores.max()))
    return timeline_svg(
        line,
        [replace(face, score=score) for face, score in zip(faces, calibrated, strict=True)],
        intervals,
        threshold=limits(calibration)[0],
        cuts_s=extraction.cuts_s,
        span_s=_span(extraction),
        words=f"Score of person {line.track + 1} over time: lowest {lowest}, highest {highest}. "
        + moments,
    )


def _shots(verdict: Verdict) -> list[ShotScore]:
    """Return the shots where there are several, of many those with the highest scores."""
    if len(verdict.shots) < 2:
        return []
    shots = sorted(verdict.shots, key=lambda shot: -1.0 if shot.score is None else -shot.score)
    return sorted(shots[:MOST_SHOTS], key=lambda shot: shot.start_s)


def _span(extraction: Extraction) -> tuple[float, float]:
    """Return the part of the clip that was looked at, in seconds."""
    times = [face.detection.time_s for face in extraction.faces]
    duration = extraction.info.duration_s
    if not times:
        return 0.0, duration
    # With --start or --end, faces fill a part only; the edges of the whole are 5 % away at most.
    near = 0.05 * duration + 1.0
    start = 0.0 if min(times) <= near else min(times)
    return start, duration if max(times) >= duration - near else max(times)


def _without_folders(verdict: Verdict) -> Verdict:
    """Return a verdict that does not tell where files lie on this machine."""
    methods = _told_apart([method.method for method in verdict.methods])
    return replace(
        verdict,
        video=Path(verdict.video).name,
        checkpoint=f"panel of {', '.join(methods)}" if methods else Path(verdict.checkpoint).name,
        methods=tuple(
            replace(method, method=name)
            for method, name in zip(verdict.methods, methods, strict=True)
        ),
    )


def _told_apart(paths: Sequence[str]) -> list[str]:
    """Return file names, numbered where two are the same.

    >>> _told_apart(["a/best.ckpt", "b/best.ckpt", "c/swap.onnx"])
    ['best.ckpt (1)', 'best.ckpt (2)', 'swap.onnx']
    """
    names = [Path(path).name for path in paths]
    return [
        f"{name} ({names[: i + 1].count(name)})" if names.count(name) > 1 else name
        for i, name in enumerate(names)
    ]


def _provenance(verdict: Verdict) -> list[tuple[str, str]]:
    files = {"file": verdict.video, "checkpoint": verdict.checkpoint}
    rows = [(k, _printable(v)) for k, v in files.items()]
    for name, value in verdict.provenance.items():
        if isinstance(value, dict):
            text = ", ".join(f"{key} {_plain(entry)}" for key, entry in value.items())
        else:
            text = _plain(value)
        rows.append((name.replace("_", " "), _printable(text)))
    return rows


def _plain(value: object) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return "none" if value is None else str(value)


def _printable(text: str) -> str:
    """Return text without control characters; bytes that are no text become escapes."""
    safe = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in safe)


def _evenly(faces: Sequence[FaceScore], most: int) -> list[FaceScore]:
    """Return at most so many of some faces, evenly spaced, the first and last included."""
    places = np.linspace(0, len(faces) - 1, min(len(faces), most)).round().astype(int)
    return [faces[place] for place in places]
