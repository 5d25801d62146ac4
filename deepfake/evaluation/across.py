"""One checkpoint over several data sets: do its scores mean the same on all of them?

The AUROC of each set hides that a score of 0.4 is high on one and low on another; whoever uses the
checkpoint has one threshold. See https://arxiv.org/abs/2606.19184.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from deepfake.evaluation.measures import auroc
from deepfake.evaluation.summary import Floats, Judged


@dataclass(frozen=True)
class Across:
    """Figures of a checkpoint over data sets that have both classes."""

    sets: int
    pooled: float  # AUROC of all videos together, by one scale
    mean: float  # of the data sets' AUROCs, each set counted once
    lowest: float  # of them
    own: float  # mean balanced accuracy, each set by the threshold that is best for it
    one: float  # the same by the one threshold that is best for the mean
    stored: float  # the same by the threshold in the checkpoint


def across(judged: Iterable[Judged]) -> Across | None:
    """Return the figures of one checkpoint's data sets; None with fewer than two."""
    whole = [one for one in judged if 0 < one.labels.sum() < one.labels.size]
    if len(whole) < 2:
        return None
    areas = [auroc(one.labels, one.raw) for one in whole]
    labels = np.concatenate([one.labels for one in whole])
    values = np.unique(np.concatenate([one.scores for one in whole]))
    thresholds = np.append(values, math.inf)
    curves = np.array([_balanced(one, thresholds) for one in whole])  # (sets, thresholds)
    return Across(
        sets=len(whole),
        pooled=auroc(labels, np.concatenate([one.raw for one in whole])),
        mean=float(np.mean(areas)),
        lowest=min(areas),
        own=float(curves.max(axis=1).mean()),
        one=float(curves.mean(axis=0).max()),
        stored=float(np.mean([_balanced(one, [one.threshold])[0] for one in whole])),
    )


def _balanced(judged: Judged, thresholds: Sequence[float] | Floats) -> Floats:
    """Return the balanced accuracy (T,) at thresholds (T,)."""
    reals = np.sort(judged.scores[judged.labels == 0])
    fakes = np.sort(judged.scores[judged.labels == 1])
    right = np.searchsorted(reals, thresholds) / reals.size
    found: Floats = (right + 1 - np.searchsorted(fakes, thresholds) / fakes.size) / 2
    return found
