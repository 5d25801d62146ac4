"""Several checkpoints on one clip: a verdict of each, side by side, and one of all.

The people are found once, as the first checkpoint wants them; for the others the same faces are cut
out anew, so that person 2 is the same for all. How the answers become one is in
`deepfake.evaluation.stacking`; without a fitted panel there is no joint probability worth the
name, so the clip is called something only where all that decide say the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from deepfake.aggregation import mean_logit
from deepfake.calibration import Calibration
from deepfake.evaluation.stacking import Stack
from deepfake.inference.predictor import VideoPredictor
from deepfake.types import MethodScore, TrackScore, Verdict, VerdictLabel
from preprocessing.limits import DEFAULT, Limits
from preprocessing.pipeline import Extraction, crop_known
from preprocessing.types import PreprocessOptions

DISAGREE = "the methods disagree, and together they are not sure enough"


def same_faces(
    path: Path, found: Extraction, options: PreprocessOptions, *, limits: Limits = DEFAULT
) -> Extraction:
    """Return the faces of a clip, already found, as other options cut them out.

    Raises:
        VideoError: The file cannot be used.
    """
    return replace(found, faces=crop_known(path, options, found.tracks, limits=limits).faces)


class Panel:
    """Judge clips with several checkpoints.

    Args:
        members: One each; one that is there twice is heard once.
        stack: How their answers become one; None where none was fitted.

    Raises:
        DeepfakeError: The stack was fitted on others.
    """

    def __init__(self, members: Sequence[VideoPredictor], stack: Stack | None = None) -> None:
        self.members = list({m.checkpoint.sha256: m for m in members}.values())
        self.stack = stack
        if stack is not None:
            stack.check({m.checkpoint.sha256 for m in self.members})
        self.name = "panel of " + ", ".join(m.checkpoint.name for m in self.members)
        # The limits that clips are called by; none where no panel was fitted.
        self.calibration = Calibration(low=None, high=None) if stack is None else stack.calibration
        first = self.members[0]  # whose frames, faces and moments are shown
        self.checkpoint, self.options, self.grow = first.checkpoint, first.options, first.grow

    def settings(self) -> dict[str, object]:
        """Return what, beside the clip, a verdict depends on, as its provenance says it."""
        members = [m.checkpoint.sha256 for m in self.members]
        stack = None if self.stack is None else self.stack.to_dict()
        return {**self.members[0].settings(), "panel": {"members": members, "stack": stack}}

    def predict(self, path: str | Path) -> Verdict:
        """Return the verdict on a video or a photograph.

        Raises:
            VideoError: The file cannot be used.
        """
        path = Path(path)
        first = self.members[0].look(path)
        others = [same_faces(path, first, m.options) for m in self.members[1:]]
        return self.judge(path, first, *others)

    def judge(self, path: Path, *extractions: Extraction) -> Verdict:
        """Return the verdict on a clip whose faces are found, cut out for each member."""
        return self.join(
            [m.judge(path, found) for m, found in zip(self.members, extractions, strict=True)]
        )

    def join(self, verdicts: Sequence[Verdict]) -> Verdict:
        """Return one verdict of the members' verdicts on a clip, in their order.

        Faces, moments and provenance are the first member's.
        """
        keys = [m.checkpoint.sha256 for m in self.members]
        scores = dict(zip(keys, [v.score for v in verdicts], strict=True))
        label, reason = self._decide(scores, verdicts)
        limits, score = self.calibration, self._score(scores)
        return replace(
            verdicts[0],
            methods=self._rows(verdicts),
            checkpoint=self.name,
            provenance={**verdicts[0].provenance, **self.settings()},
            label=label,
            reason=reason,
            score=score,
            likelihood_ratio=None if score is None else limits.likelihood_ratio(score),
            threshold=limits.threshold,
            real_below=limits.low,
            fake_from=limits.high,
            tracks=self._people(verdicts),
            looked_for="; ".join(dict.fromkeys(v.looked_for for v in verdicts)),
        )

    def _score(self, scores: Mapping[str, float | None]) -> float | None:
        if self.stack is not None:
            return self.stack.probability(scores)
        known = [score for score in scores.values() if score is not None]
        return mean_logit(np.array(known)) if known else None

    def _decide(
        self, scores: Mapping[str, float | None], verdicts: Sequence[Verdict]
    ) -> tuple[VerdictLabel, str]:
        held = [v for v in verdicts if self._held_back(v)]
        if held:
            return "undecided", held[0].reason
        if all(score is None for score in scores.values()):
            return "undecided", verdicts[0].reason
        if self.stack is None:
            said = {v.label for v in verdicts if v.score is not None}
            if len(said - {"undecided"}) == 1:
                return (said - {"undecided"}).pop(), ""
            return "undecided", DISAGREE if len(said) > 1 else "no method decides"
        label, apart = self.stack.decide(scores)
        if label != "undecided":
            return label, ""
        low, high = self.stack.calibration.undecided
        band = f"scores between {low:.2f} and {high:.2f} are wrong too often"
        return label, DISAGREE if apart else band

    def _held_back(self, verdict: Verdict) -> bool:
        """Tell whether a member had a score that decides, and a reason not to."""
        if verdict.score is None or verdict.label != "undecided":
            return False
        limits = Calibration(low=verdict.real_below, high=verdict.fake_from)
        return limits.verdict(verdict.score) != "undecided"

    def _people(self, verdicts: Sequence[Verdict]) -> tuple[TrackScore, ...]:
        found = []
        for person in verdicts[0].tracks:
            each = {
                m.checkpoint.sha256: {t.track: t.score for t in v.tracks}.get(person.track)
                for m, v in zip(self.members, verdicts, strict=True)
            }
            score = self._score(each)
            found.append(replace(person, score=person.score if score is None else score))
        return tuple(found)

    def _rows(self, verdicts: Sequence[Verdict]) -> tuple[MethodScore, ...]:
        rates = {} if self.stack is None else self.stack.rates
        return tuple(
            MethodScore(
                method=m.checkpoint.name,
                looks_for=m.checkpoint.looks_for,
                label=v.label,
                score=v.score,
                real_below=v.real_below,
                fake_from=v.fake_from,
                validated=str(rates.get(m.checkpoint.sha256, "")),
                reason=v.reason,
                tracks=v.tracks,
            )
            for m, v in zip(self.members, verdicts, strict=True)
        )
