"""When a person looks fake: a smoothed score over time, and the intervals in which it is high.

Faces are sampled irregularly: people leave, short shots get more frames. Each person's logits are
smoothed with a Gaussian kernel in time (Nadaraya, 1964; Watson, 1964), never across a cut or a gap.
The result is calibrated like the score of a whole video: it says what the verdict would be if the
video were as it is around that moment. An interval begins where the score reaches an upper limit
and ends where it falls below a lower one (hysteresis, as the trigger of Schmitt, 1938), so that
noise around one threshold does not cut an interval into pieces. Imports no torch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepfake.aggregation import by_person, logit, sigmoid
from deepfake.calibration import Calibration
from deepfake.types import FaceScore, Interval

WIDTH_S = 0.5  # least standard deviation of the kernel: a blink or a mouth's sound is shorter
REACH = 3.0  # standard deviations after which the kernel counts as 0
GAP = 3  # a person not seen in so many frames looked at, but one, counts as away
LEAVE = 0.8  # of the threshold, where there is no undecided band above it

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Timeline:
    """One person's score through time.

    Args:
        track: The person.
        times_s: Of the faces judged (N,), increasing, in seconds.
        scores: Smoothed and calibrated P(fake) there (N,), in [0, 1].
        starts_s: Begin of the stretch that each face stands for (N,), in seconds.
        ends_s: Its end (N,); where the next stretch begins unless the person was away.
    """

    track: int
    times_s: Floats
    scores: Floats
    starts_s: Floats
    ends_s: Floats

    def at(self, time_s: float) -> float | None:
        """Return the score at a time, linear between faces; None while the person is away."""
        inside = np.flatnonzero((self.starts_s <= time_s) & (time_s <= self.ends_s))
        if not inside.size:
            return None
        return float(np.interp(time_s, self.times_s, self.scores))

    def intervals(self, enter: float, leave: float) -> tuple[Interval, ...]:
        """Return when the score is high: from `enter` up, until it falls below `leave`.

        No interval reaches beyond the first and the last face.
        """
        found: list[Interval] = []
        members: list[int] = []
        for k, score in enumerate(self.scores):
            away = k > 0 and self.starts_s[k] > self.ends_s[k - 1]
            if members and (away or score < leave):
                found.append(self._interval(members))
                members = []
            if members or score >= enter:
                members.append(k)
        if members:
            found.append(self._interval(members))
        return tuple(interval for interval in found if interval.end_s > interval.start_s)

    def _interval(self, members: Sequence[int]) -> Interval:
        start = max(float(self.starts_s[members[0]]), float(self.times_s[0]))
        end = min(float(self.ends_s[members[-1]]), float(self.times_s[-1]))
        weights = (self.ends_s - self.starts_s)[members]
        total = float(weights.sum())
        mean = float(weights @ self.scores[members]) / total if total > 0 else 0.0
        return Interval(track=self.track, start_s=start, end_s=end, score=mean)


def limits(calibration: Calibration) -> tuple[float, float]:
    """Return the scores at which an interval begins and ends.

    It begins where a video is called fake and ends at the threshold; where the two are the same,
    it ends a fifth below.
    """
    threshold = calibration.threshold
    enter = max(threshold, threshold if calibration.high is None else calibration.high)
    return enter, threshold if threshold < enter else LEAVE * threshold


def timelines(
    faces: Sequence[FaceScore],
    calibration: Calibration,
    *,
    cuts_s: Sequence[float] = (),
    duration_s: float | None = None,
    looked_s: Sequence[float] = (),
) -> tuple[Timeline, ...]:
    """Return each person's timeline, in the order of their tracks' numbers.

    Args:
        faces: With raw scores, in any order; scores that are not finite are left out.
        calibration: Applied after smoothing.
        cuts_s: Times at which a new scene starts, in seconds.
        duration_s: Of the video; no stretch reaches beyond it.
        looked_s: Times of all frames looked at, in seconds; where none are given, frames are taken
            to lie as far apart as faces usually do.
    """
    finite = [face for face in faces if math.isfinite(face.score)]
    looked = _looked([face.time_s for face in finite], looked_s)
    edges = np.array([-math.inf, *sorted(cuts_s), math.inf])
    last = math.inf if duration_s is None else duration_s
    lines = []
    for track, seen in by_person(sorted(finite, key=lambda face: face.time_s)).items():
        times = np.array([face.time_s for face in seen])
        logits = logit([face.score for face in seen])
        places = np.searchsorted(looked, times)
        before, after = _gaps(looked, places)
        present = np.concatenate([[0], np.cumsum(np.diff(places) > GAP)])
        scene = np.searchsorted(edges, times, side="right")
        widths = np.maximum(WIDTH_S, (before + after) / 2)
        smoothed = np.empty_like(logits)
        for stay, shot in set(zip(present.tolist(), scene.tolist(), strict=True)):
            inside = (present == stay) & (scene == shot)
            smoothed[inside] = smooth(times[inside], logits[inside], widths[inside])
        starts, ends = _stretches(times, present, before, after)
        starts = np.maximum(starts, edges[scene - 1]).clip(0, last)
        ends = np.minimum(ends, edges[scene]).clip(0, last)
        scores = calibration.apply_all(sigmoid(smoothed))
        lines.append(Timeline(track, times, scores, starts, ends))
    return tuple(lines)


def smooth(times_s: Floats, values: Floats, width_s: float | Floats) -> Floats:
    """Return the kernel-weighted mean of values (N,) around each of their times.

    Args:
        times_s: Increasing (N,), in seconds.
        values: What is smoothed (N,).
        width_s: Standard deviation of the Gaussian kernel, in seconds; one for all, or (N,).
    """
    widths = np.broadcast_to(width_s, len(times_s))
    low = np.searchsorted(times_s, times_s - REACH * widths, side="left")
    high = np.searchsorted(times_s, times_s + REACH * widths, side="right")
    smoothed = np.empty(len(times_s))
    for k, (first, last) in enumerate(zip(low, high, strict=True)):
        weights = np.exp(-0.5 * ((times_s[first:last] - times_s[k]) / widths[k]) ** 2)
        smoothed[k] = weights @ values[first:last] / weights.sum()
    return smoothed


def _looked(times_s: Sequence[float], looked_s: Sequence[float]) -> Floats:
    """Return the times of the frames looked at, increasing; those of faces are among them."""
    distinct = np.array(sorted({*times_s, *looked_s}), dtype=np.float64)
    gaps = np.diff(distinct)
    if len(looked_s) or not gaps.size:
        return distinct
    between = [
        np.linspace(a, b, max(1, round(gap / float(np.median(gaps)))), endpoint=False)
        for a, b, gap in zip(distinct[:-1], distinct[1:], gaps, strict=True)
    ]
    return np.concatenate([*between, distinct[-1:]])


def _gaps(looked: Floats, places: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return how far each face's frame is from those looked at before and after it."""
    if len(looked) < 2:
        return np.zeros(len(places)), np.zeros(len(places))
    gaps = np.diff(looked)
    return np.append(gaps[0], gaps)[places], np.append(gaps, gaps[-1])[places]


def _stretches(
    times: Floats, present: NDArray[np.int64], before: Floats, after: Floats
) -> tuple[Floats, Floats]:
    """Cut time midway between neighbours; half a gap at either end of a presence."""
    starts, ends = times - before / 2, times + after / 2
    together = present[1:] == present[:-1]
    middles = (times[1:] + times[:-1]) / 2
    starts[1:][together] = middles[together]
    ends[:-1][together] = middles[together]
    return starts, ends
