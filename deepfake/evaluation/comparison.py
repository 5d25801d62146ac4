"""The same videos under every rule, by two checkpoints, and by shortcuts alone."""

from collections.abc import Sequence

import numpy as np

from deepfake.aggregation import RULES, Aggregator, WorstPerson
from deepfake.evaluation.delong import DeLong, delong_test
from deepfake.evaluation.parts import COVARIATES
from deepfake.evaluation.scores import ScoredVideo
from deepfake.evaluation.shortcuts import residual_auroc, shortcut_auroc
from deepfake.evaluation.summary import Result, result

Seen = tuple[int, str, float]  # label, group, score


def compare_rules(videos: Sequence[ScoredVideo], *, repeats: int = 1000) -> list[Result]:
    """Measure the same face scores under every aggregation rule, best AUROC first.

    Scores are not calibrated, since a calibration belongs to the rule that it was fitted with.
    """
    names = ("auroc", "average_precision", "eer")
    found = [result(videos, rule=rule, names=names, repeats=repeats) for rule in RULES]
    return sorted(found, key=lambda r: -np.nan_to_num(r.estimates["auroc"].value))


def shortcuts(videos: Sequence[ScoredVideo], *, rule: Aggregator | None = None) -> dict[str, float]:
    """Return the AUROC of each covariate alone, and of the score without all of them."""
    chosen = rule or WorstPerson()
    pairs = [(video, chosen(video.faces)) for video in videos if video.label is not None]
    seen = [(video, score) for video, score in pairs if score is not None]
    y = np.array([video.label for video, _ in seen], dtype=np.int64)
    columns = {
        name: np.array([getattr(video, name) for video, _ in seen], dtype=np.float64)
        for name in COVARIATES
    }
    found = {f"{name} alone": shortcut_auroc(y, column) for name, column in columns.items()}
    known = [np.log1p(column) for column in columns.values() if np.isfinite(column).any()]
    if known and seen:
        scores = np.array([score for _, score in seen])
        found["score without them"] = residual_auroc(y, scores, np.column_stack(known))
    return found


def compare_checkpoints(
    first: Sequence[ScoredVideo],
    second: Sequence[ScoredVideo],
    *,
    rules: tuple[Aggregator, Aggregator] = (WorstPerson(), WorstPerson()),
) -> tuple[int, DeLong]:
    """Return the number of videos that both scored, and DeLong's test on those, by group.

    Args:
        first: Videos as one checkpoint scored them.
        second: As the other did.
        rules: From faces to a video, of the one and of the other.
    """

    def scored(videos: Sequence[ScoredVideo], rule: Aggregator) -> dict[str, Seen]:
        pairs = [(video, rule(video.faces)) for video in videos if video.label is not None]
        return {v.video: (v.label or 0, v.group, s) for v, s in pairs if s is not None}

    a, b = scored(first, rules[0]), scored(second, rules[1])
    both = sorted(a.keys() & b.keys())
    labels, groups = [a[key][0] for key in both], [a[key][1] for key in both]
    return len(both), delong_test(
        labels, [a[k][2] for k in both], [b[k][2] for k in both], groups if both else None
    )
