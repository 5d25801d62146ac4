"""The same videos under every rule, by two checkpoints, and by shortcuts alone."""

from collections.abc import Sequence

import numpy as np

from deepfake.aggregation import RULES, Aggregator, WorstPerson
from deepfake.evaluation.delong import DeLong, delong_test
from deepfake.evaluation.parts import COVARIATES
from deepfake.evaluation.scores import ScoredVideo
from deepfake.evaluation.shortcuts import residual_auroc, shortcut_auroc
from deepfake.evaluation.summary import Result, judge, result


def compare_rules(videos: Sequence[ScoredVideo], *, repeats: int = 1000) -> list[Result]:
    """Measure the same face scores under every aggregation rule, best AUROC first.

    Scores are not calibrated, since a calibration belongs to the rule that it was fitted with.
    """
    names = ("auroc", "average_precision", "eer")
    found = [result(videos, rule=rule, names=names, repeats=repeats) for rule in RULES]
    return sorted(found, key=lambda r: -np.nan_to_num(r.estimates["auroc"].value))


def shortcuts(videos: Sequence[ScoredVideo], *, rule: Aggregator | None = None) -> dict[str, float]:
    """Return the AUROC of each covariate alone, and of the score without all of them."""
    judged = judge(videos, rule=rule)
    of = {video.video: video for video in videos}
    seen = [of[key] for key in judged.videos.tolist()]
    columns = {n: np.array([getattr(v, n) for v in seen], dtype=np.float64) for n in COVARIATES}
    found = {f"{n} alone": shortcut_auroc(judged.labels, x) for n, x in columns.items()}
    known = [np.log1p(column) for column in columns.values() if np.isfinite(column).any()]
    if known and seen:
        left = residual_auroc(judged.labels, judged.raw, np.column_stack(known))
        found["score without them"] = left
    return found


def compare_checkpoints(
    first: Sequence[ScoredVideo],
    second: Sequence[ScoredVideo],
    *,
    rules: tuple[Aggregator, Aggregator] = (WorstPerson(), WorstPerson()),
) -> tuple[int, DeLong]:
    """Return the number of videos that both checkpoints scored, and DeLong's test on those.

    The rules, of the one and of the other, go from faces to a video; groups count as one.
    """
    a, b = (judge(videos, rule=r) for videos, r in zip((first, second), rules, strict=True))
    _, here, there = np.intersect1d(a.videos, b.videos, return_indices=True)
    groups = a.groups[here] if here.size else None
    return here.size, delong_test(a.labels[here], a.raw[here], b.raw[there], groups)
