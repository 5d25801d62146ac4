"""Likelihood ratios: how much more probable a score is of fakes than of reals.

The posterior that a calibration gives holds for the share of fakes in validation. The ratio does
not depend on it: whoever reads it multiplies it by odds of their own. Numpy alone.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

# ENFSI Guideline for Evaluative Reporting in Forensic Science, 2015, table of verbal equivalents.
SCALE = (
    (1e6, "extremely strong support"),
    (1e4, "very strong support"),
    (1e3, "strong support"),
    (1e2, "moderately strong support"),
    (1e1, "moderate support"),
    (2.0, "weak support"),
)


@dataclass(frozen=True)
class LikelihoodRatio:
    """How much a score speaks for fake (above 1) or for real (below 1).

    Args:
        value: p(score | fake) / p(score | real), within what the fitting videos bear out.
        bounded: True where the score asked for more than those few videos bear out.
    """

    value: float
    bounded: bool = False

    def __str__(self) -> str:
        """Return the ratio with its words on the ENFSI scale."""
        about = "at the limit of what the validation videos support" if self.bounded else ""
        size = max(self.value, 1 / self.value)
        side = "fake" if self.value >= 1 else "real"
        ratio = f"{size:.2g}" if size < 100 else f"{float(f'{size:.2g}'):.0f}"
        words = next((words for least, words in SCALE if size >= least), "")
        if not words:
            return f"{ratio} times as likely if {side}: no support for either"
        return f"{ratio} times as likely if {side}: {words}{', ' + about if about else ''}"


def bounds(labels: ArrayLike, log_ratios: ArrayLike) -> tuple[float, float]:
    """Return the lowest and the highest likelihood ratio that these videos bear out, around 1.

    Empirical bounds in the manner of ELUB: Vergeer et al., Science & Justice 56(6), 2016. With one
    misleading video more in each class, a ratio is borne out where deciding by it errs no more
    than deciding by prior odds alone, at those odds and at all between them and even ones.

    Args:
        labels: 0 real, 1 fake (N,).
        log_ratios: Natural logarithm of each video's ratio (N,).
    """
    y, r = np.asarray(labels), np.asarray(log_ratios, dtype=np.float64)
    return math.exp(-_upper(r[y == 0] * -1, r[y == 1] * -1)), math.exp(_upper(r[y == 1], r[y == 0]))


def _upper(hits: Floats, alarms: Floats) -> float:
    """Return the highest log ratio that is borne out; `hits` are of the class it speaks for."""
    edge = 0.0
    for value in np.unique(np.append(hits, alarms)):
        if value <= 0:
            continue
        found = (hits >= value).sum() / (hits.size + 1)
        wrong = ((alarms >= value).sum() + 1) / (alarms.size + 1)
        supported = math.log(found / wrong) if found else -math.inf
        if supported < value:  # it fails within the stretch that ends here
            return max(edge, supported)
        edge = float(value)
    return edge


def cllr(labels: ArrayLike, log_ratios: ArrayLike) -> float:
    """Return the log likelihood ratio cost in bits: 0 is perfect, 1 what says nothing.

    Brümmer and du Preez, Computer Speech & Language 20(2-3), 2006. NaN without both classes.
    """
    y, r = np.asarray(labels), np.asarray(log_ratios, dtype=np.float64)
    if not (y == 1).any() or not (y == 0).any():
        return math.nan
    cost = np.logaddexp(0, -r[y == 1]).mean() + np.logaddexp(0, r[y == 0]).mean()
    return float(cost / (2 * math.log(2)))


def cllr_min(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the cost that is left with the best monotone calibration of the same videos.

    What `cllr` exceeds it by is lost by calibration, and this by the scores' order. By pool
    adjacent violators; it is optimistic on few videos.
    """
    y, s = np.asarray(labels, dtype=np.int64), np.asarray(scores, dtype=np.float64)
    if not (y == 1).any() or not (y == 0).any():
        return math.nan
    from sklearn.isotonic import IsotonicRegression

    p = IsotonicRegression(y_min=0, y_max=1).fit_transform(s, y)
    with np.errstate(divide="ignore"):
        ratios = np.log(p) - np.log1p(-p) - math.log(y.sum() / (1 - y).sum())
    return cllr(y, ratios)


def tippett(log10_ratios: ArrayLike) -> tuple[Floats, Floats]:
    """Return ratios (N,) rising and the share of videos (N,) whose ratio is at least each."""
    x = np.sort(np.asarray(log10_ratios, dtype=np.float64))
    return x, 1 - np.arange(x.size) / max(x.size, 1)
