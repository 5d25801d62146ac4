"""What is said of a clip, and why it is not said more firmly. Imports no torch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from deepfake.calibration import Calibration
from deepfake.checkpoints.gauge import UNLIKE
from deepfake.types import FaceScore, Interval, ShotScore, TrackScore, VerdictLabel
from preprocessing.pipeline import Extraction

MIN_FRACTION = 0.5  # of the frames asked for; with fewer decoded a clip is undecided
STILL = "has no motion of its own: a picture, a poster or a still screen"
UNCALIBRATED = (
    "these scores were never held against labelled videos, so nothing is known of their errors; "
    "`python -m deepfake.calibrate` does that"
)
UNLIKE_ANY = (
    "the face is unlike those of the labelled videos that the limits were fitted on, so nothing is "
    "known of the errors on such clips"
)

Decision = tuple[VerdictLabel, str]


@dataclass(frozen=True)
class Parts:
    """What a clip consists of, each with its calibrated score."""

    people: Sequence[TrackScore]
    shots: Sequence[ShotScore]
    intervals: Sequence[Interval]


def pictures(extraction: Extraction) -> dict[int, str]:
    """Return who is left out beside people who move, track to reason."""
    still = {track.id for track in extraction.tracks if track.still}
    return dict.fromkeys(sorted(still), STILL) if len(still) < len(extraction.tracks) else {}


def shot_bounds(extraction: Extraction) -> list[tuple[float, float]]:
    """Return begin and end of each shot, in seconds."""
    edges = [0.0, *extraction.cuts_s, max(extraction.info.duration_s, *extraction.cuts_s, 0.0)]
    return list(pairwise(edges))


def in_shots(faces: Iterable[FaceScore], count: int) -> list[list[FaceScore]]:
    """Return the faces of each of so many shots."""
    found: list[list[FaceScore]] = [[] for _ in range(count)]
    for face in faces:
        found[face.shot].append(face)
    return found


def shot_of(extraction: Extraction, time_s: float) -> int:
    """Return the number of the shot at a time."""
    return int(np.searchsorted(extraction.cuts_s, time_s, side="right"))


def decide(
    score: float | None,
    calibration: Calibration,
    extraction: Extraction,
    parts: Parts,
    *,
    rejected: int,
    only_person: int | None = None,
    likeness: float | None = None,
) -> Decision:
    """Return the label and why it is undecided.

    Args:
        score: Calibrated, of the clip; None where no face was judged.
        calibration: What the score was calibrated with.
        extraction: What was seen.
        parts: The scores of the clip's parts, those that count.
        rejected: Faces that the network gave no finite score.
        only_person: The one person asked for, from 1.
        likeness: See `deepfake.checkpoints.gauge`; None where the checkpoint cannot tell.
    """
    if score is None:
        return "undecided", _nobody(extraction, rejected, only_person)
    report = extraction.report
    if report.fraction < MIN_FRACTION:
        return "undecided", f"only {report.read} of {report.wanted} frames could be decoded"
    if extraction.info.complete < MIN_FRACTION:
        there = f"{extraction.info.complete:.0%}"
        return "undecided", f"the file is cut short: {there} of what its header promises is there"
    label = calibration.verdict(score)
    if not calibration.fitted:
        return label, UNCALIBRATED if label == "undecided" else ""
    if label == "undecided" and calibration.low is None and calibration.high is None:
        return label, calibration.limits()
    if label == "undecided":
        low, high = calibration.undecided
        return label, f"scores between {low:.2f} and {high:.2f} are wrong too often"
    if label == "real" and (why := _against(calibration, extraction, parts)):
        return "undecided", why
    if likeness is not None and likeness < UNLIKE:
        return "undecided", UNLIKE_ANY
    return label, ""


def _nobody(extraction: Extraction, rejected: int, only_person: int | None) -> str:
    if only_person is not None and extraction.tracks:
        people = {track.id + 1 for track in extraction.tracks}
        if only_person not in people:
            return (
                f"there is no person {only_person} (found: {', '.join(map(str, sorted(people)))})"
            )
    if rejected:
        return f"the network gave no finite score for {rejected} faces"
    why = ", ".join(f"{n} {reason}" for reason, n in extraction.rejected.items())
    found = f" (left out: {why})" if why else ""
    return f"no face found in {extraction.report.read} frames{found}"


def _against(calibration: Calibration, extraction: Extraction, parts: Parts) -> str:
    """Return what speaks against a clip that scores real as a whole, empty where nothing does."""
    crowd = [reason for reason in extraction.rejected if reason.startswith("more than")]
    if crowd:
        return f"the whole scores real, but there are {crowd[0]}, and not all were judged"
    found = [
        (i.score, f"person {i.person} from {_span(i.start_s, i.end_s)}") for i in parts.intervals
    ]
    found += [(p.score, f"person {p.person}") for p in parts.people]
    found += [
        (s.score, f"the shot from {_span(s.start_s, s.end_s)}")
        for s in parts.shots
        if s.score is not None
    ]
    high = calibration.undecided[1]
    score, what = max(found, default=(0.0, ""))
    return f"the whole scores real, but {what} looks fake ({score:.2f})" if score >= high else ""


def _span(start_s: float, end_s: float) -> str:
    return f"{start_s:.1f} to {end_s:.1f} s"
