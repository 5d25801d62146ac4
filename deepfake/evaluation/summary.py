"""Every measure of scored videos, with its intervals."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from deepfake.aggregation import Aggregator, WorstPerson, by_name, person_scores
from deepfake.calibration import Calibration
from deepfake.cli.outside import imported
from deepfake.evaluation import measures as m
from deepfake.evaluation.delong import grouped_auroc_interval
from deepfake.evaluation.intervals import (
    NOWHERE,
    Interval,
    bootstrap,
    share_interval,
    t_quantile,
    wilson,
)
from deepfake.evaluation.likelihood import cllr, cllr_min
from deepfake.evaluation.scores import ScoredVideo

Level = Literal["face", "person", "video"]
Labels = NDArray[np.int64]
Floats = NDArray[np.float64]

# Reals without which the rate is a guess.
STRICT = {"tpr_at_fpr_01": 1000, "tpr_at_fpr_1": 100, "tpr_at_fpr_10": 10}
CLOSED = ("auroc", "accuracy", "false_alarms", "misses", "ece")  # by no bootstrap
FEW_GROUPS = 5  # fewer say nothing
ENOUGH_GROUPS = 20  # with fewer, intervals lean on assumptions


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % intervals, by video and by group of people."""

    value: float
    by_video: Interval = NOWHERE
    by_identity: Interval = NOWHERE


@dataclass(frozen=True, eq=False)
class Judged:
    """Videos (or faces, or people) with label and score, ready to be measured."""

    labels: Labels  # 0 real, 1 fake (N,)
    scores: Floats  # calibrated P(fake) (N,)
    raw: Floats  # uncalibrated P(fake) (N,)
    videos: NDArray[np.str_]  # which video (N,)
    groups: NDArray[np.str_]  # which group of people (N,)
    unscored: int  # labelled videos without a score, which no measure but this sees
    undecided: int  # videos with a score in the undecided band
    threshold: float  # scores from here up are called fake


@dataclass(frozen=True)
class Result:
    """What a checkpoint reaches on a data set, or on a part of it."""

    checkpoint: str
    dataset: str
    level: Level  # what is counted: faces, people or videos
    part: str  # such as "method: Deepfakes"; empty for all
    rule: str  # by which videos were scored; empty where none was
    reals: int
    fakes: int
    unscored: int  # labelled videos without a score
    undecided: int  # videos in the undecided band
    groups: int  # of people, which are taken as independent
    estimates: Mapping[str, Estimate]  # by name of the measure


def judge(
    videos: Iterable[ScoredVideo],
    *,
    rule: Aggregator | None = None,
    level: Level = "video",
    calibration: Calibration | None = None,
) -> Judged:
    """Score labelled videos by a rule; at the other levels each face or person is a row.

    A face or person has the label of its video, although a real person may be seen in a fake one.
    """
    chosen, calibrated = rule or WorstPerson(), calibration or Calibration()
    rows: list[tuple[int, float, str, str]] = []
    unscored = 0
    for video in videos:
        if video.label is None:
            continue
        scores = [score for score in _scores(video, chosen, level) if math.isfinite(score)]
        unscored += not scores
        rows += [(video.label, score, video.video, video.group) for score in scores]
    labels, raw, names, groups = ([row[k] for row in rows] for k in range(4))
    p = calibrated.apply_all(raw)
    return Judged(
        labels=np.array(labels, dtype=np.int64),
        scores=p,
        raw=np.array(raw, dtype=np.float64),
        videos=np.array(names, dtype=np.str_),
        groups=np.array(groups, dtype=np.str_),
        unscored=unscored,
        undecided=sum(calibrated.verdict(score) == "undecided" for score in p.tolist()),
        threshold=calibrated.threshold,
    )


def _scores(video: ScoredVideo, rule: Aggregator, level: Level) -> list[float]:
    if level == "face":
        return [face.score for face in video.faces]
    if level == "person":
        return [person.score for person in person_scores(video.faces, rule)]
    score = rule(video.faces)
    return [] if score is None else [score]


def all_measures(threshold: float) -> dict[str, Callable[[Labels, Floats], float]]:
    """Return every measure by name; those of a yes or no use the threshold."""
    return {
        "auroc": m.auroc,
        "average_precision": m.average_precision,
        "eer": m.eer,
        "accuracy": lambda y, s: m.accuracy(y, s, threshold=threshold),
        "balanced_accuracy": lambda y, s: m.balanced_accuracy(y, s, threshold=threshold),
        "f1": lambda y, s: m.f1(y, s, threshold=threshold),
        "false_alarms": lambda y, s: 1 - m.accuracy(y[y == 0], s[y == 0], threshold=threshold),
        "misses": lambda y, s: 1 - m.accuracy(y[y == 1], s[y == 1], threshold=threshold),
        "log_loss": m.log_loss,
        "brier": m.brier,
        "ece": m.ece,
        "aurc": lambda y, s: m.aurc(y, s, threshold=threshold),
        "tpr_at_fpr_01": lambda y, s: m.tpr_at_fpr(y, s, fpr=0.001),
        "tpr_at_fpr_1": lambda y, s: m.tpr_at_fpr(y, s, fpr=0.01),
        "tpr_at_fpr_10": lambda y, s: m.tpr_at_fpr(y, s, fpr=0.1),
        "partial_auroc": m.partial_auroc,
    }


MEASURES = tuple(all_measures(0.5))


def own_measures(names: Iterable[str]) -> dict[str, Callable[[Labels, Floats], float]]:
    """Return those of the names that are paths of a user's functions, which are imported."""
    return {name: imported(name) for name in names if "." in name}


def estimate(
    judged: Judged, names: Sequence[str] = MEASURES, *, repeats: int = 1000
) -> dict[str, Estimate]:
    """Return each measure with both intervals.

    The AUROC's is Newcombe's, shares' are Wilson's, each for groups; the others are by bootstrap.
    There is none with fewer than five units, none of ECE, whose value itself is too high on few
    videos, none of a TPR at an FPR that less than one real would be, and none where a bootstrap
    gives a point: that says how few the videos are, not how sure the figure is.
    """
    known = all_measures(judged.threshold) | own_measures(names)
    values = {name: known[name](judged.labels, judged.scores) for name in names}
    units = (np.unique(of, return_inverse=True)[1] for of in (judged.videos, judged.groups))
    spans = [_spans(judged, values, numbers, repeats) for numbers in units]
    return {name: Estimate(values[name], spans[0][name], spans[1][name]) for name in names}


def _spans(
    judged: Judged, values: Mapping[str, float], units: NDArray[np.int64], repeats: int
) -> dict[str, Interval]:
    """Return the interval of each measure by one kind of units."""
    found = dict.fromkeys(values, NOWHERE)
    y, s, number = judged.labels, judged.scores, np.unique(units).size
    if number < FEW_GROUPS:
        return found
    reals, fakes = (np.unique(units[y == k]).size for k in (0, 1))
    if "auroc" in values:
        found["auroc"] = grouped_auroc_interval(y, s, units)
    wrong = (s >= judged.threshold) != (y == 1)
    for name, labels in (("accuracy", (0, 1)), ("false_alarms", (0,)), ("misses", (1,))):
        if name in values:
            of = np.isin(y, labels)
            found[name] = share_interval(wrong[of] != (name == "accuracy"), units[of])
    drawn = [name for name in values if name not in CLOSED and reals >= STRICT.get(name, 0)]
    known = all_measures(judged.threshold) | own_measures(values)
    if drawn and repeats:

        def measure(labels: Labels, scores: Floats) -> list[float]:
            return [known[name](labels, scores) for name in drawn]

        spans = bootstrap(measure, y, s, groups=units, repeats=repeats)
        for name, span in zip(drawn, spans, strict=True):
            if span.high - span.low > 1e-9:
                found[name] = span
            elif name in STRICT:
                found[name] = wilson(values[name], fakes, t_quantile(number))
    return found


def result(
    videos: Sequence[ScoredVideo],
    *,
    level: Level = "video",
    part: str = "",
    rule: str = "worst_person",
    calibration: Calibration | None = None,
    names: Sequence[str] = MEASURES,
    repeats: int = 1000,
) -> Result:
    """Measure videos of one checkpoint and data set.

    With a calibration and "ece" among the names, "ece_raw" is the error before calibration, "cllr"
    the cost of its likelihood ratios and "cllr_min" what would be left of it.
    """
    judged = judge(videos, rule=by_name(rule), level=level, calibration=calibration)
    estimates = estimate(judged, names, repeats=repeats)
    if calibration is not None and "ece" in names:
        estimates["ece_raw"] = Estimate(m.ece(judged.labels, judged.raw))
        if calibration.least_ratio is not None and level == "video":
            ratios = calibration.log_ratios(judged.raw)
            estimates["cllr"] = Estimate(cllr(judged.labels, ratios))
            estimates["cllr_min"] = Estimate(cllr_min(judged.labels, judged.raw))
    fakes = int(judged.labels.sum())
    return Result(
        checkpoint=videos[0].checkpoint if videos else "",
        dataset=videos[0].dataset if videos else "",
        level=level,
        part=part,
        rule=rule if level == "video" else "",
        reals=judged.labels.size - fakes,
        fakes=fakes,
        unscored=judged.unscored,
        undecided=judged.undecided if level == "video" else 0,
        groups=np.unique(judged.groups).size,
        estimates=estimates,
    )
