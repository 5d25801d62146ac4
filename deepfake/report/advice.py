"""What makes a verdict unsure, and what a person can do about it."""

from statistics import median

from deepfake.types import Verdict

SMALL_FACE = 100.0  # pixels of height; the shipped model takes crops of 192
FEW_FACES = 8
LOW_BITS = 0.03  # per pixel and frame; a phone writes 0.1 and more


def weaknesses(verdict: Verdict) -> list[str]:
    """Return what of the clip makes any verdict on it less sure, whatever the score."""
    heights = [face.box[3] - face.box[1] for face in verdict.faces if face.box]
    found = []
    if heights and median(heights) < SMALL_FACE:
        found.append(f"faces only {median(heights):.0f} pixels high")
    if 0 < len(verdict.faces) < FEW_FACES and verdict.provenance.get("frames_wanted", 1) > 1:
        found.append(f"only {len(verdict.faces)} faces")
    bits = verdict.provenance.get("bits_per_pixel")
    if bits is not None and 0 < bits < LOW_BITS:
        found.append("strong compression")
    if verdict.provenance.get("frames_corrupt", 0):
        found.append("damaged frames")
    return found


def steps(verdict: Verdict) -> list[str]:
    """Return what helps, with the command for it, the most useful first; none if decided."""
    if verdict.label != "undecided":
        return []
    if verdict.score is not None and not verdict.calibrated:
        return ["hold the model against labelled videos (python -m deepfake.calibrate FOLDER)"]
    moving = verdict.provenance.get("frames_wanted", 1) > 1
    if verdict.score is None and verdict.provenance.get("only_person") is not None:
        return ["judge everybody, to see who there is (without --only-person)"]
    helps = [
        "get the original file instead of a re-upload, a screen recording or a messenger's copy"
    ]
    if moving and verdict.score is None:
        helps.append(
            "judge a part where a face is large, lit and turned to the camera (--start, --end)"
        )
    elif moving:
        helps.append("look closer, at more frames or at a part (--fps 5, --start, --end)")
    if len(verdict.tracks) > 1:
        helps.append("judge one person alone (--only-person N)")
    return [
        *helps,
        "search for its key frames by an image search, which may find an older version (--report)",
        "ask who published it first where it is from",
    ]
