"""A verdict as one HTML page that loads nothing from outside and runs no script.

Everything that comes from the clip, its name included, is text for jinja2 to escape; only the
charts, which are made of numbers, are markup.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepfake.calibration import Calibration
from deepfake.checkpoints.card import card_beside, errors_in
from deepfake.checkpoints.loading import DEFAULT, DEFAULT_MODEL
from deepfake.explain.maps import explain_crops
from deepfake.report import advice, outputs, words
from deepfake.report.charts import timeline_svg
from deepfake.report.key_frames import KeyFrame, key_frames
from deepfake.report.languages import translated
from deepfake.report.origin import origin
from deepfake.report.page import environment
from deepfake.report.pictures import data_uri, heated
from deepfake.timeline import Timeline, limits
from deepfake.types import FaceScore, TrackScore, Verdict, shown
from preprocessing.pipeline import Extraction
from preprocessing.types import Face

if TYPE_CHECKING:
    from markupsafe import Markup

    from deepfake.inference import VideoPredictor

MOST_SHOTS = 40  # in the table, those with the highest scores
SHOWN = 12  # people with a strip, those with the highest scores
EXPLAINED = 4  # of them with heat maps
STRIP = 12  # faces of a person in their strip
LARGE = 3  # of them shown large
PICKED = 32  # faces of a person that a click on their chart can show
STRIP_SIDE, PICKED_SIDE, LARGE_SIDE = 112, 160, 320  # pixels

METHODS = {
    "occlusion": "Heat maps, of faces not called real, show where blurring a part of the face "
    "lowers its score (occlusion): bright places speak for fake.",
    "rollout": "Heat maps, of faces not called real, show which places the network's attention "
    "reaches (attention rollout), bright ones most.",
    "gradients": "Heat maps, of faces not called real, show which places of the network's last "
    "map raise the score (class activation), bright ones most.",
}


@dataclass(frozen=True)
class Picture:
    """A face as the page shows it."""

    image: str
    time: str
    score: str
    high: bool = False
    heat: str = ""
    blank: bool = False


@dataclass(frozen=True)
class Pick:
    """A face that a click on the chart shows, and where; in percent of the chart's width."""

    face: Picture
    left: float
    width: float


@dataclass(frozen=True)
class Person:
    """A person as the page shows them."""

    number: int
    label: str
    percent: str
    left_out: str
    seen: str
    moments: str
    spans: int
    chart: "Markup | None"
    picks: Sequence[Pick]
    faces: Sequence[Picture]
    frames: Sequence[Picture]


@dataclass(frozen=True)
class Meter:
    """The score on a bar from real to fake; lengths in percent of the bar."""

    score: float
    limit: float
    low: float
    band: float
    words: str
    short: str


def write_page(
    folder: Path,
    verdict: Verdict,
    extraction: Extraction,
    predictor: "VideoPredictor",
    **asked: Any,  # noqa: ANN401
) -> Path:
    """Write a verdict's page; return the file, named after the clip and its content.

    Args:
        folder: Where it goes.
        verdict: What `predictor` said.
        extraction: What it was said of.
        predictor: Asked for timelines and heat maps.
        **asked: As `verdict_page` takes them.

    Raises:
        OSError: It cannot be written.
    """
    file = folder / (file_stem(verdict) + ".html")
    page = verdict_page(verdict, extraction, predictor, **asked)
    file.write_text(page, encoding="utf-8", errors="backslashreplace")
    return file


def file_stem(verdict: Verdict) -> str:
    """Return a name without anything special in it, the same for the same clip."""
    return outputs.file_stem(verdict.video, str(verdict.provenance.get("sha256", "")))


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
    """Return the page as text.

    Args:
        verdict: What `predictor` said.
        extraction: What it was said of.
        predictor: Asked for timelines and heat maps.
        clip: The file, where the verdict does not name it whole.
        trusted: Certificates of those whose Content Credentials are trusted, as PEM.
        paths: Whether to tell where files lie on this machine.
        language: One of `languages.LANGUAGES`.
    """
    checkpoint = predictor.checkpoint
    file = Path(verdict.video) if clip is None else clip
    card = card_beside(DEFAULT_MODEL if checkpoint.name == str(DEFAULT) else Path(checkpoint.name))
    enter, _ = limits(predictor.calibration)
    span = _span(extraction)
    most = sorted(verdict.tracks, key=lambda person: -person.score)[:SHOWN]
    most.sort(key=lambda person: person.track)
    people, method = _people(most, verdict, extraction, predictor)
    info = extraction.info
    page = (
        environment()
        .get_template("verdict.html")
        .render(
            name=_printable(Path(verdict.video).name),
            label=verdict.label,
            tone=words.tone(verdict, verdict.label),
            shots=_shots(verdict),
            headline=words.headline(verdict),
            span=words.clock(info.duration_s) if info.duration_s else "",
            meter=_meter(verdict, predictor.calibration),
            meaning=words.meaning(verdict, predictor.calibration),
            methods=verdict.methods,
            people=people,
            others=len(verdict.tracks) - len(most),
            cuts=len(extraction.cuts_s),
            limit_top=round(100 * (1 - enter), 1),
            begin=words.clock(span[0]),
            finish=words.clock(span[1]),
            method=METHODS.get(method, ""),
            technical=_technical(extraction),
            about=words.about(checkpoint),
            cannot=checkpoint.limits,
            limits=words.LIMITS,
            provenance=_provenance(verdict, paths=paths),
            still=not info.duration_s,
            frames=[_frame(f, verdict, predictor) for f in key_frames(file, verdict)],
            origin=origin(file, trusted),
            weaknesses=advice.weaknesses(verdict),
            kind=advice.kind(verdict),
            steps=advice.steps(verdict),
            errors=errors_in(card),
            card=card,
        )
    )
    return translated(page, language)


def _people(
    most: Sequence[TrackScore],
    verdict: Verdict,
    extraction: Extraction,
    predictor: "VideoPredictor",
) -> tuple[list[Person], str]:
    lines = {line.track: line for line in predictor.timelines(verdict.faces, extraction)}
    crops = {(face.track, face.detection.frame): face for face in extraction.faces}
    chosen = {
        person.track: _most_suspicious(verdict, lines[person.track])
        for person in sorted(most, key=lambda p: -p.score)[:EXPLAINED]
    }
    large = [
        face
        for faces in chosen.values()
        for face in faces
        if predictor.calibration.verdict(predictor.calibration.apply(face.score)) != "real"
    ]
    maps, method = explain_crops(
        predictor.checkpoint, [crops[face.track, face.frame].image for face in large]
    )
    recipe, calibration = predictor.checkpoint.recipe, predictor.calibration
    heats: dict[tuple[int, int], tuple[str, bool]] = {}
    for face, heat in zip(large, maps, strict=True):
        heat = heat * calibration.apply(face.score)  # as bright as the face is suspicious
        image = heated(recipe.resized(crops[face.track, face.frame].image), heat)
        heats[face.track, face.frame] = (data_uri(image, LARGE_SIDE), not heat.any())

    def picture(face: FaceScore, crop: Face, side: int) -> Picture:
        score = calibration.apply(face.score)
        heat, blank = (
            heats.get((face.track, face.frame), ("", False)) if side > 200 else ("", False)
        )
        return Picture(
            image=data_uri(crop.image, side),
            time=words.clock(face.time_s) if extraction.info.duration_s else "",
            score=verdict.shown(score),
            high=score >= limits(calibration)[0],
            heat=heat,
            blank=blank,
        )

    people = []
    for person in most:
        faces = [face for face in verdict.faces if face.track == person.track]
        strip = [faces[k] for k in _evenly(len(faces), STRIP)]
        people.append(
            Person(
                number=person.person,
                label=words.tone(verdict, calibration.verdict(person.score)),
                percent=verdict.shown(person.score),
                left_out=f"Left out: {person.left_out}." if person.left_out else "",
                seen=_seen(person, extraction),
                moments=words.moments(
                    [i for i in verdict.intervals if i.track == person.track], verdict
                )
                if extraction.info.duration_s
                else "",
                spans=sum(i.track == person.track for i in verdict.intervals),
                chart=_chart(lines[person.track], faces, verdict, extraction, calibration),
                picks=[
                    Pick(picture(f, crops[f.track, f.frame], PICKED_SIDE), left, width)
                    for f, left, width in _picks(faces, _span(extraction))
                ],
                faces=[picture(f, crops[f.track, f.frame], STRIP_SIDE) for f in strip],
                frames=[
                    picture(f, crops[f.track, f.frame], LARGE_SIDE)
                    for f in chosen.get(person.track, ())
                ],
            )
        )
    return people, method


def _seen(person: TrackScore, extraction: Extraction) -> str:
    faces = f"{person.faces} {'face' if person.faces == 1 else 'faces'}"
    if not extraction.info.duration_s:
        return f"Judged by {faces}."
    span = f"{words.clock(person.start_s)} to {words.clock(person.end_s)}"
    return f"Seen from {span}, judged by {faces}."


def _most_suspicious(verdict: Verdict, line: Timeline) -> list[FaceScore]:
    """Return a person's faces with the highest scores, apart in time where there are enough."""
    faces = sorted(
        (face for face in verdict.faces if face.track == line.track), key=lambda face: -face.score
    )
    apart = float(line.times_s[-1] - line.times_s[0]) / (2 * LARGE)
    chosen: list[FaceScore] = []
    for face in faces:
        if len(chosen) < LARGE and all(abs(face.time_s - c.time_s) >= apart for c in chosen):
            chosen.append(face)
    return chosen[:LARGE] if apart > 0 else faces[:1]


def _picks(
    faces: Sequence[FaceScore], span_s: tuple[float, float]
) -> list[tuple[FaceScore, float, float]]:
    """Return faces to be picked on a chart, each with the part of it where it is the nearest.

    Args:
        faces: In order of time.
        span_s: Begin and end of the chart, in seconds.
    """
    chosen = [faces[k] for k in _evenly(len(faces), PICKED)]
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
    verdict: Verdict,
    extraction: Extraction,
    calibration: Calibration,
) -> "Markup | None":
    from markupsafe import Markup

    if len(line.times_s) < 2:
        return None
    intervals = [i for i in verdict.intervals if i.track == line.track]
    calibrated = calibration.apply_all([face.score for face in faces])
    drawn = [
        FaceScore(float(score), face.track, face.frame, face.time_s)
        for face, score in zip(faces, calibrated, strict=True)
    ]
    text = (
        f"Score of person {line.track + 1} over time: lowest {shown(float(line.scores.min()))}, "
        f"highest {shown(float(line.scores.max()))}. {words.moments(intervals, verdict)}"
    )
    return Markup(  # numbers and our own words
        timeline_svg(
            line,
            drawn,
            intervals,
            threshold=limits(calibration)[0],
            cuts_s=extraction.cuts_s,
            span_s=_span(extraction),
            words=text,
        )
    )


def _shots(verdict: Verdict) -> list[tuple[str, str]]:
    """Return when each shot was and how it scores, of many those with the highest scores."""
    if len(verdict.shots) < 2:
        return []
    shots = sorted(verdict.shots, key=lambda shot: -1.0 if shot.score is None else -shot.score)
    return [
        (
            f"{words.clock(shot.start_s)} to {words.clock(shot.end_s)}",
            "no face was judged"
            if shot.score is None
            else f"{verdict.shown(shot.score)}, by {shot.faces} faces",
        )
        for shot in sorted(shots[:MOST_SHOTS], key=lambda shot: shot.start_s)
    ]


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


def _meter(verdict: Verdict, calibration: Calibration) -> Meter | None:
    if verdict.score is None:
        return None
    low, high = calibration.undecided
    said = f"score {verdict.shown(verdict.score)}"
    return Meter(
        score=round(100 * verdict.score, 1),
        limit=round(100 * high, 1),
        low=round(100 * low, 1),
        band=round(100 * max(0.0, high - low), 1),
        words=f"A {said}, on a scale from real to fake. {words.sides(calibration)}",
        short=f"{said}; hatched: undecided" if high > low else said,
    )


def _frame(frame: KeyFrame, verdict: Verdict, predictor: "VideoPredictor") -> dict[str, object]:
    size = max(frame.width, frame.height) / 28
    boxes = []
    for face in frame.faces:
        assert face.box is not None
        x0, y0, x1, y1 = (round(edge) for edge in face.box)
        boxes.append(
            {
                "number": face.person,
                "score": verdict.shown(predictor.calibration.apply(face.score)),
                "x": x0,
                "y": y0,
                "width": x1 - x0,
                "height": y1 - y0,
                "size": round(size),
                "text_y": y0 - round(size / 4) if y0 > 1.3 * size else y1 + round(size),
            }
        )
    return {
        "image": frame.image,
        "width": frame.width,
        "height": frame.height,
        "time": words.clock(frame.time_s),
        "boxes": boxes,
    }


def _technical(extraction: Extraction) -> list[tuple[str, str]]:
    info, report = extraction.info, extraction.report
    rows = [
        ("Format", f"{info.codec}, {info.pixel_format}, {info.width}×{info.height} pixels"),
        ("File size", f"{info.file_bytes / 1e6:.2f} MB"),
    ]
    if info.duration_s:
        rows += [
            ("Duration", f"{words.clock(info.duration_s)}, {info.fps:.2f} frames per second"),
            ("Bit rate", f"{info.bit_rate / 1000:.0f} kbit/s"),
            ("Frames in the file", _frames(info.frames, info.declared_frames)),
        ]
    kept = f"; one of {extraction.stride} kept" if extraction.stride > 1 else ""
    rows += [
        ("Frames decoded", f"{report.read} of {report.wanted} looked at{kept}"),
        ("Frames damaged", f"{report.corrupt} (and {report.errors} decoder errors)"),
        ("Scene cuts seen", str(len(extraction.cuts_s))),
        ("Faces used", str(len(extraction.faces))),
    ]
    left_out = [f"{count} {reason}" for reason, count in extraction.rejected.items()]
    rows.append(("Faces left out", "; ".join(left_out) or "none"))
    return rows


def _frames(present: int, declared: int) -> str:
    if declared and declared != present:
        return f"{present}, while the header promises {declared}"
    return str(present)


def _provenance(verdict: Verdict, *, paths: bool) -> list[tuple[str, str]]:
    files = {"file": verdict.video, "checkpoint": verdict.checkpoint}
    rows = [(k, _printable(v if paths else Path(v).name)) for k, v in files.items()]
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


def _evenly(count: int, most: int) -> list[int]:
    """Return at most `most` of `count` positions, evenly spaced, the first and last included."""
    if count <= most:
        return list(range(count))
    return [math.floor(k) for k in np.linspace(0, count - 1, most)]
