"""A verdict in words: what the numbers mean, and what they do not mean."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from deepfake.types import Interval, Verdict, VerdictLabel

if TYPE_CHECKING:
    from deepfake.calibration import Calibration
    from deepfake.checkpoints.loading import Checkpoint

HEADLINES = {
    "fake": "Signs of manipulation",
    "real": "No signs of a swapped face found",
    "undecided": "In between: the model does not decide",
    "": "Cannot be judged",
}
LIMITS = (
    "Only faces are judged. Voices, lip movements against the sound, captions, context, and scenes "
    "that were generated as a whole without a visible face are not.",
    "A model knows the kinds of manipulation it was trained on. New methods, careful manual work "
    "and short manipulated moments can pass unnoticed.",
    "Strong compression, filters, re-recording from a screen, and small, dark or turned faces make "
    "scores less certain in both directions.",
    "The verdict is a statistical statement of one model. It is no evidence by itself; look at "
    "the source of the clip, and at the moments marked here.",
)


def clock(time_s: float) -> str:
    """Return a time as minutes, seconds and tenths."""
    tenths = round(10 * max(time_s, 0.0))
    hours, rest = divmod(tenths, 36000)
    minutes, rest = divmod(rest, 600)
    head = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{head}:{rest // 10:02d}.{rest % 10}"


def meaning(verdict: Verdict, calibration: "Calibration") -> list[str]:
    """Return what a verdict says, sentence by sentence."""
    if verdict.score is None:
        return [f"No score could be given: {verdict.reason}."]
    calibrated = calibration.method != "none"
    said = "the probability that the clip is manipulated" if calibrated else "the score for fake"
    sentences = [f"For this model, {said} is {verdict.shown(verdict.score)}. {sides(calibration)}"]
    low, high = calibration.undecided
    if verdict.label == "undecided" and not low <= verdict.score < high:
        sentences.append(f"It does not decide: {verdict.reason}.")
    if calibrated:
        sentences.append(
            f"This probability was fitted on {calibration.reals} real and {calibration.fakes} fake "
            "validation videos. It holds for clips like those, mixed in that proportion; where "
            "most clips are real, more of the alarms are false."
        )
    else:
        sentences.append(
            "The score is not calibrated: it puts clips in an order, but 0.8 does not mean that "
            "four of five such clips are fake. `python -m deepfake.calibrate` fits it on a folder "
            "of labelled videos."
        )
    if verdict.likelihood_ratio is not None:
        ratio, _, limit = str(verdict.likelihood_ratio).partition(", ")
        sentences.append(f"Whatever the share of fakes is, this score is {ratio}.")
        if limit:
            sentences.append("The validation videos bear out no more than that.")
    if verdict.looked_for:
        sentences.append(
            f"It looked for {verdict.looked_for}. It did not look for {verdict.not_looked_for}."
        )
    return sentences


def sides(calibration: "Calibration") -> str:
    """Return from where on a clip is called fake or real."""
    low, high = calibration.low, calibration.high
    if high is None and low is None:
        return "It never decides."
    if low == high and high is not None:
        return f"It calls a clip fake from {_limit(high)} up, and real below."
    fake = "It calls no clip fake" if high is None else f"It calls a clip fake from {_limit(high)}"
    real = "none real" if low is None else f"real below {_limit(low)}"
    return f"{fake}, and {real}; in between it would be wrong too often and does not decide."


def _limit(score: float) -> str:
    return f"{score:.2f}"


def headline(verdict: Verdict) -> str:
    """Return a verdict in a few words."""
    if verdict.calibrated or verdict.score is None:
        return HEADLINES[verdict.label if verdict.score is not None else ""]
    side = "fake" if verdict.score >= verdict.threshold else "real"
    return f"Not calibrated: the score leans to {side}, no more can be said"


def tone(verdict: Verdict, label: VerdictLabel) -> str:
    """Return the name of a label's colour; scores that are not calibrated have none."""
    return label if verdict.calibrated else "uncalibrated"


def moments(intervals: Sequence[Interval], verdict: Verdict) -> str:
    """Return when a person looks fake, in words."""
    if not intervals:
        return "At no time does the smoothed score reach the limit for fake."
    spans = ", ".join(f"{clock(i.start_s)} to {clock(i.end_s)}" for i in intervals)
    high = all(verdict.moment(interval) == "looks fake" for interval in intervals)
    return f"Looks fake from {spans}." if high else f"The score is highest from {spans}."


def about(checkpoint: "Checkpoint") -> list[str]:
    """Return what is known of a model beside its card: its note, and its calibration's worth."""
    note = checkpoint.note.replace("see MODEL_CARD.md", "see its card below")
    return [text for text in (note, checkpoint.calibration.limits()) if text]
