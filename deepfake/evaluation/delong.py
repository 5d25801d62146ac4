"""Whether two checkpoints differ in AUROC on the same videos: DeLong's test."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfake.evaluation.intervals import (
    NOWHERE,
    Interval,
    auroc_interval,
    design_effect,
    grouped_variance,
    t_quantile,
)
from deepfake.evaluation.measures import checked

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DeLong:
    """The two AUROCs, their difference with its 95 % interval, and the two-sided p-value.

    `groups` counts the people, or groups of them, that the test took as independent.
    """

    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float
    groups: int = 0


def delong_test(
    labels: ArrayLike, first: ArrayLike, second: ArrayLike, groups: ArrayLike | None = None
) -> DeLong:
    """Compare the AUROCs of two scores of the same videos.

    DeLong et al., Biometrics 44(3), 1988; by midranks as Sun and Xu, IEEE Signal Processing
    Letters 21(11), 2014. Where groups have several videos, the variance is Obuchowski's (Biometrics
    53(2), 1997) and Student's t stands for the normal; otherwise videos count as independent, and
    p-values are too small where people repeat. Scores that rank all videos alike give p = 1; with
    fewer than two videos of a class, or two groups, all but the AUROCs is NaN.

    Args:
        labels: 0 real, 1 fake (N,).
        first: P(fake) by one checkpoint (N,).
        second: P(fake) by the other (N,).
        groups: Which videos share a person (N,).
    """
    from scipy import stats

    y, a = checked(labels, first)
    _, b = checked(labels, second)
    (area_a, fake_a, real_a), (area_b, fake_b, real_b) = (_placements(y, s) for s in (a, b))
    difference = area_a - area_b
    nan = math.nan
    names = np.arange(y.size) if groups is None else np.asarray(groups)
    number = np.unique(names).size
    if min(fake_a.size, real_a.size, number) < 2:
        return DeLong(area_a, area_b, difference, nan, nan, nan, number)
    if number == y.size:
        variance = np.var(fake_a - fake_b, ddof=1) / fake_a.size
        variance += np.var(real_a - real_b, ddof=1) / real_a.size
        error, law = math.sqrt(float(variance)), stats.norm()
    else:
        left = _residuals(y, fake_a - fake_b - difference, real_a - real_b - difference)
        error = math.sqrt(grouped_variance(left, names))
        law = stats.t(number - 1)
    if error < 1e-12:
        p = 1.0 if abs(difference) < 1e-12 else nan
    else:
        p = float(2 * law.sf(abs(difference) / error))
    half = float(law.ppf(0.975)) * error
    return DeLong(area_a, area_b, difference, difference - half, difference + half, p, number)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for all of these tests together; NaN stays and does not count.

    Holm, Scandinavian Journal of Statistics 6(2), 1979.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted((p, k) for k, p in enumerate(p_values) if not math.isnan(p))
    adjusted, worst = list(p_values), 0.0
    for rank, (p, k) in enumerate(order):
        worst = max(worst, min(1.0, p * (len(order) - rank)))
        adjusted[k] = worst
    return adjusted


def grouped_auroc_interval(labels: ArrayLike, scores: ArrayLike, groups: ArrayLike) -> Interval:
    """Return the 95 % interval of an AUROC whose rows belong to groups (N,).

    Newcombe's interval with Student's t, and with its variance as many times larger as Obuchowski's
    (Biometrics 53(2), 1997) of the groups is than DeLong's of the rows.
    """
    y, s = checked(labels, scores)
    names = np.asarray(groups)
    number = np.unique(names).size
    area, fake, real = _placements(y, s)
    if number < 2 or math.isnan(area):
        return NOWHERE
    residuals = _residuals(y, fake - area, real - area)
    effect = design_effect(residuals, names)
    if effect > 1 and not residuals.any():  # perfect: a group of each class counts as one row
        effect = max((y == k).sum() / np.unique(names[y == k]).size for k in (0, 1))
    return auroc_interval(area, real.size, fake.size, effect=effect, z=t_quantile(number))


def _residuals(y: NDArray[np.int64], fake: Floats, real: Floats) -> Floats:
    """Return what each row adds to the error of an AUROC."""
    left = np.empty(y.size)
    left[y == 1], left[y == 0] = fake / fake.size, real / real.size
    return left


def _placements(y: NDArray[np.int64], s: Floats) -> tuple[float, Floats, Floats]:
    """Return the AUROC, and for each fake and real the share of the other class it beats."""
    from scipy.stats import rankdata

    fakes, reals = s[y == 1], s[y == 0]
    if not (fakes.size and reals.size):
        return math.nan, fakes, reals
    ranks = rankdata(s)
    fake = (ranks[y == 1] - rankdata(fakes)) / reals.size
    real = 1 - (ranks[y == 0] - rankdata(reals)) / fakes.size
    return float(fake.mean()), fake, real
