"""The values that travel from face crops to a verdict."""

from dataclasses import asdict, dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from preprocessing.types import Box

if TYPE_CHECKING:
    from torch import Tensor

VERDICT_VERSION = 1
VerdictLabel = Literal["real", "fake", "undecided"]


class FaceBatch(TypedDict):
    """A batch of faces, or of clips of T faces of one track."""

    face: "Tensor"  # (B, 3, H, W) or (B, T, 3, H, W), normalised
    label: "Tensor"  # (B,) float, 0 real, 1 fake
    video: "Tensor"  # (B,) int64, number of the video in its data set
    track: "Tensor"  # (B,) int64, number of the track in its video
    index: "Tensor"  # (B,) int64, number of the sample in its data set


@dataclass(frozen=True)
class FaceScore:
    """P(fake) in [0, 1] of one face: whose (track), when (frame, time_s), where (box)."""

    score: float
    track: int
    frame: int
    time_s: float = 0.0
    box: Box | None = None


@dataclass(frozen=True)
class TrackScore:
    """P(fake) in [0, 1] of one person, with the time span in which they were seen."""

    track: int
    score: float
    faces: int
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Interval:
    """A stretch of time in which one person looks fake, with the mean score in it."""

    track: int
    start_s: float
    end_s: float
    score: float


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

    def to_dict(self) -> dict[str, Any]:
        """Return the verdict as plain JSON types, with the version of their layout."""
        return {"version": VERDICT_VERSION, **asdict(self)}

    def _repr_html_(self) -> str:
        """Show the verdict in a notebook: one line for the clip, one row per person."""
        score = "no score" if self.score is None else f"score {self.score:.3f}"
        head = f"<strong>{self.label.upper()}</strong> ({score}, threshold {self.threshold:.3f})"
        rows = "".join(
            f"<tr><td>person {person.track}</td><td>{person.score:.3f}</td>"
            f"<td>{person.start_s:.1f}\N{EN DASH}{person.end_s:.1f} s</td>"
            f"<td>{person.faces}</td><td>{self._when(person.track)}</td></tr>"
            for person in self.tracks
        )
        heads = "".join(
            f'<th scope="col">{name}</th>'
            for name in ("person", "score", "seen", "faces", "looks fake")
        )
        table = f"<table><tr>{heads}</tr>{rows}</table>" if rows else ""
        reason = f"<p>{escape(self.reason)}</p>" if self.reason else ""
        return f"<div><p>{escape(self.video)}: {head}</p>{reason}{table}</div>"

    def _when(self, track: int) -> str:
        spans = [i for i in self.intervals if i.track == track]
        return ", ".join(f"{i.start_s:.1f}\N{EN DASH}{i.end_s:.1f} s" for i in spans)
