"""What makes a verdict unsure, and what a person can do about it."""

from collections.abc import Sequence
from statistics import median

from deepfake.types import Verdict

SMALL_FACE = 100.0  # pixels of height; the shipped model takes crops of 192
FEW_FACES = 8
LOW_BITS = 0.03  # per pixel and frame; a phone writes 0.1 and more
NOTHING = "cannot be judged"
BETWEEN = "in between"
UNCALIBRATED = "not calibrated"


def kind(verdict: Verdict) -> str:
    """Return which of the three an undecided verdict is; empty for others."""
    if verdict.label != "undecided":
        return ""
    if verdict.score is None:
        return NOTHING
    return BETWEEN if verdict.calibrated else UNCALIBRATED


def weaknesses(verdict: Verdict) -> list[str]:
    """Return what of the clip makes any verdict on it less sure, whatever the score."""
    heights = [face.box[3] - face.box[1] for face in verdict.faces if face.box]
    found = []
    if heights and median(heights) < SMALL_FACE:
        found.append(f"small faces, {median(heights):.0f} pixels high")
    if 0 < len(verdict.faces) < FEW_FACES and verdict.provenance.get("frames_wanted", 1) > 1:
        found.append(f"only {len(verdict.faces)} faces")
    bits = verdict.provenance.get("bits_per_pixel")
    if bits is not None and 0 < bits < LOW_BITS:
        found.append("strong compression")
    if verdict.provenance.get("frames_corrupt", 0):
        found.append("damaged frames")
    return found


def steps(verdict: Verdict) -> list[str]:
    """Return what helps after an undecided verdict, the most useful first."""
    if kind(verdict) == UNCALIBRATED:
        return ["hold the model against labelled videos: python -m deepfake.calibrate FOLDER"]
    moving = verdict.provenance.get("frames_wanted", 1) > 1
    helps = [
        "get the original file instead of a re-upload, a screen recording or a messenger's copy"
    ]
    if moving and verdict.score is None:
        helps.append(
            "judge a part where a face is large, lit and turned to the camera: --start, --end"
        )
    elif moving:
        helps.append("look closer: --fps 5, or a part with --start and --end")
    if len(verdict.tracks) > 1:
        helps.append("judge one person: --only-person N")
    return [
        *helps,
        "search for the frames shown here by an image search: an older version may be the original",
        "ask who published it first where it is from",
    ]


def in_lines(verdict: Verdict, *, long: bool) -> list[str]:
    """Return what the console says of both."""
    lines = []
    if weak := weaknesses(verdict):
        lines.append(f"less sure because of {_listed(weak)}")
    if kind(verdict) and long:
        lines.append("what helps:")
        lines += [f"  - {step}" for step in steps(verdict)]
    return lines


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words[:-1]) + " and " * (len(words) > 1) + words[-1]
