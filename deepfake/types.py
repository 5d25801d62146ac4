"""The values that travel from face crops to a verdict."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypedDict

from preprocessing.types import Box

if TYPE_CHECKING:
    from torch import Tensor

    from deepfake.evaluation.likelihood import LikelihoodRatio
    from deepfake.timeline import Timeline

VERDICT_VERSION = 2
NOT_LOOKED_FOR = "lip movement, talking heads made from one photograph, or generated people"
VerdictLabel = Literal["real", "fake", "undecided"]


def shown(score: float, limits: Sequence[float | None] = ()) -> str:
    """Return a score as people read it, never as certain.

    Two decimals, more where it would else seem to reach a limit that it does not, or the reverse;
    a limit that is None is none.

    >>> shown(0.9468), shown(0.9999), shown(0.7921, (0.7930,))
    ('0.95', 'over 0.99', '0.792')
    """
    digits = 2
    known = [limit for limit in limits if limit is not None]
    while digits < 6 and any(
        (round(score, digits) < round(x, digits)) != (score < x) for x in known
    ):
        digits += 1
    if digits == 2 and not 0.01 <= score <= 0.99:
        return "over 0.99" if score > 0.5 else "under 0.01"
    return f"{score:.{digits}f}"


class _Numbered:
    """Has a track; people count from 1, so theirs is the person with the next number."""

    __slots__ = ()
    track: int

    @property
    def person(self) -> int:
        """Return the person's number as it is printed, from 1."""
        return self.track + 1


class FaceBatch(TypedDict):
    """A batch of faces, or of clips of T faces of one track."""

    face: "Tensor"  # (B, 3, H, W) or (B, T, 3, H, W), normalised
    label: "Tensor"  # (B,) float, 0 real, 1 fake
    video: "Tensor"  # (B,) int64, number of the video in its data set
    track: "Tensor"  # (B,) int64, number of the track in its video
    index: "Tensor"  # (B,) int64, number of the sample in its data set
    cues: NotRequired[dict[str, "Tensor"]]  # (B, ...) or (B, T, ...), by name; see `FaceTable`


def _numbered(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "person": row["track"] + 1}


@dataclass(frozen=True, slots=True)
class FaceScore(_Numbered):
    """P(fake) in [0, 1] of one face: whose (track), when (frame, time_s, shot), where (box)."""

    score: float
    track: int
    frame: int
    time_s: float = 0.0
    box: Box | None = None
    shot: int = 0


@dataclass(frozen=True)
class TrackScore(_Numbered):
    """P(fake) in [0, 1] of one person, with the time span in which they were seen.

    Who has a reason to be left out does not count for the verdict.
    """

    track: int
    score: float
    faces: int
    start_s: float
    end_s: float
    left_out: str = ""


@dataclass(frozen=True)
class ShotScore:
    """P(fake) in [0, 1] of a shot, from one cut to the next; None where no face was judged."""

    start_s: float
    end_s: float
    score: float | None
    faces: int


@dataclass(frozen=True)
class Interval(_Numbered):
    """A stretch of time in which one person looks fake, with the mean score in it."""

    track: int
    start_s: float
    end_s: float
    score: float


@dataclass(frozen=True)
class MethodScore:
    """What one method of a panel says of a clip.

    Args:
        method: The checkpoint.
        looks_for: What its answer is about.
        label: What it would say alone.
        score: Calibrated P(fake) in [0, 1]; None where it does not apply, see `reason`.
        real_below: Scores below are called real; None where none is.
        fake_from: Scores from here up are called fake; None where none is.
        validated: What it did on the panel's validation videos, in words; else empty.
        reason: Why it is undecided, else empty.
        tracks: One score per person.
    """

    method: str
    looks_for: str
    label: VerdictLabel
    score: float | None
    real_below: float | None = None
    fake_from: float | None = None
    validated: str = ""
    reason: str = ""
    tracks: tuple[TrackScore, ...] = ()

    @property
    def said(self) -> str:
        """Return the answer in words: for each person too, where there are several."""
        if self.score is None:
            return f"not applicable: {self.reason}"
        limits = (self.real_below, self.fake_from)
        people = [f"person {t.person} {shown(t.score, limits)}" for t in self.tracks]
        each = f"; {', '.join(people)}" if len(people) > 1 else ""
        return f"{self.label} ({shown(self.score, limits)}{each})"

    def __str__(self) -> str:
        """Return the row in one line."""
        known = f"; in validation {self.validated}" if self.validated else ""
        return f"{self.method}: {self.said}; looks for {self.looks_for}{known}"


@dataclass(frozen=True)
class Verdict:
    """The answer for a whole video.

    Args:
        video: The file as given.
        label: "real", "fake", or "undecided" where nothing can be said.
        score: Calibrated P(fake) in [0, 1], None where no face was judged.
        threshold: Scores from here up mean fake.
        tracks: One score per person.
        faces: One score per face.
        checkpoint: What judged: a file or "default".
        reason: Why it is undecided, else empty.
        provenance: Hashes, settings and versions that repeat the verdict.
        intervals: When people look fake, by person and time; see `deepfake.timeline`.
        real_below: Scores below are called real; None where none is.
        fake_from: Scores from here up are called fake; None where none is.
        likelihood_ratio: How much more probable the score is of fakes than of reals, whatever the
            share of fakes; None where the calibration does not know.
        methods: What each of several methods says alone; empty where one judged.
        shots: One score per shot, over all its people.
        calibrated: Whether scores are probabilities that were fitted on labelled videos.
        looked_for: What the answer is about; a "real" says nothing of anything else.
        likeness: Share of the checkpoint's validation videos that lie as far from the others as the
            clip; below 0.05 it is undecided. None where the checkpoint cannot tell.
        not_looked_for: What a reader may take it to be about, and it is not.
        timelines: Each person's score through time, which `to_dict` leaves out.
    """

    video: str
    label: VerdictLabel
    score: float | None
    threshold: float
    tracks: tuple[TrackScore, ...] = ()
    faces: tuple[FaceScore, ...] = ()
    checkpoint: str = ""
    reason: str = ""
    provenance: dict[str, Any] = field(default_factory=dict)
    intervals: tuple[Interval, ...] = ()
    real_below: float | None = None
    fake_from: float | None = None
    likelihood_ratio: "LikelihoodRatio | None" = None
    methods: tuple[MethodScore, ...] = ()
    shots: tuple[ShotScore, ...] = ()
    calibrated: bool = True
    looked_for: str = ""
    likeness: float | None = None
    not_looked_for: str = NOT_LOOKED_FOR
    timelines: "tuple[Timeline, ...]" = field(default=(), compare=False, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the verdict as plain JSON types, with the version of their layout."""
        content = {"version": VERDICT_VERSION, **asdict(replace(self, timelines=()))}
        del content["timelines"]
        for name in ("tracks", "faces", "intervals"):
            content[name] = [_numbered(row) for row in content[name]]
        content["methods"] = [
            {**row, "tracks": [_numbered(person) for person in row["tracks"]]}
            for row in content["methods"]
        ]
        return content

    def shown(self, score: float) -> str:
        """Return a score as people read it, on the right side of this verdict's limits."""
        return shown(score, (self.real_below, self.fake_from))

    @property
    def scope(self) -> str:
        """Say what was looked for and what was not."""
        return f"looked for {self.looked_for}; not for {self.not_looked_for}"

    @property
    def limits(self) -> str:
        """Say from where on clips are called real and fake."""
        real, fake = self.real_below, self.fake_from
        if self.methods and real is None and fake is None:
            return "called what all methods that decide agree on"
        low = "none called real" if real is None else f"real below {self._at(real)}"
        high = "none called fake" if fake is None else f"fake from {self._at(fake)}"
        return f"{low}, {high}"

    def _at(self, limit: float) -> str:
        digits = 2 if self.score is None else len(self.shown(self.score).split(".")[1])
        return f"{limit:.{digits}f}"

    def _why_not(self, score: float) -> str:
        """Tell a score between the limits from one that would decide, but for the reason given."""
        if self.label != "undecided" or not self.calibrated:
            return ""
        real, fake = self.real_below, self.fake_from
        decides = (real is not None and score < real) or (fake is not None and score >= fake)
        return ", held back" if decides else ", in between"

    def _head(self) -> str:
        if self.score is None:
            score, leaning = "cannot be judged", "not calibrated"
        else:
            score = f"score {self.shown(self.score)}{self._why_not(self.score)}"
            side = "fake" if self.score >= self.threshold else "real"
            leaning = f"not calibrated, leans to {side}"
        return f"({score}; {self.limits if self.calibrated else leaning})"

    def moment(self, interval: Interval) -> str:
        """Say what is true of an interval: nobody looks fake in a clip that is not called so."""
        limit = math.inf if self.fake_from is None else self.fake_from
        high = self.label == "fake" and interval.score >= limit
        return "looks fake" if high else "highest here"

    def __str__(self) -> str:
        """Return the verdict in one line."""
        return f"{self.video}: {self.label.upper()} {self._head()}"

    def _repr_html_(self) -> str:
        """Show the verdict in a notebook: one line for the clip, one row per person."""
        from deepfake.report.page import fragment

        return fragment("notebook", self, self._head())
