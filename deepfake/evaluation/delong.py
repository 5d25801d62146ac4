"""Whether two checkpoints differ in AUROC on the same videos: DeLong's test."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfake.evaluation.intervals import (
    NOWHERE,
    Z95,
    Interval,
    auroc_interval,
    design_effect,
    t_quantile,
)
from deepfake.evaluation.measures import checked

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DeLong:
    """The two AUROCs, their difference with its 95 % interval, and the two-sided p-value."""

    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float


def delong_test(labels: ArrayLike, first: ArrayLike, second: ArrayLike) -> DeLong:
    """Compare the AUROCs of two scores of the same videos.

    DeLong et al., Biometrics 44(3), 1988; by midranks as Sun and Xu, IEEE Signal Processing
    Letters 21(11), 2014. Videos count as independent: with several videos of a person, p-values
    are too small, so read them beside the interval by identity. Scores that rank all videos alike
    give p = 1; with fewer than two videos of a class all but the AUROCs is NaN.

    Args:
        labels: 0 real, 1 fake (N,).
        first: P(fake) by one checkpoint (N,).
        second: P(fake) by the other (N,).
    """
    y, a = checked(labels, first)
    _, b = checked(labels, second)
    parts = [_placements(y, s) for s in (a, b)]
    (area_a, fake_a, real_a), (area_b, fake_b, real_b) = parts
    difference = area_a - area_b
    nan = math.nan
    if min(fake_a.size, real_a.size) < 2:
        return DeLong(area_a, area_b, difference, nan, nan, nan)
    variance = np.var(fake_a - fake_b, ddof=1) / fake_a.size
    variance += np.var(real_a - real_b, ddof=1) / real_a.size
    error = math.sqrt(float(variance))
    if error < 1e-12:
        p = 1.0 if abs(difference) < 1e-12 else nan
    else:
        p = math.erfc(abs(difference) / error / math.sqrt(2))
    half = Z95 * error
    return DeLong(area_a, area_b, difference, difference - half, difference + half, p)


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
    residuals = np.empty(y.size)
    residuals[y == 1] = (fake - area) / fake.size
    residuals[y == 0] = (real - area) / real.size
    effect = design_effect(residuals, names)
    if effect > 1 and not residuals.any():  # perfect: a group of each class counts as one row
        effect = max((y == k).sum() / np.unique(names[y == k]).size for k in (0, 1))
    return auroc_interval(area, real.size, fake.size, effect=effect, z=t_quantile(number))


def _placements(y: NDArray[np.int64], s: Floats) -> tuple[float, Floats, Floats]:
    """Return the AUROC, and for each fake and real the share of the other class it beats."""
    fakes, reals = s[y == 1], s[y == 0]
    if not (fakes.size and reals.size):
        return math.nan, fakes, reals
    fake = (_midranks(s)[y == 1] - _midranks(fakes)) / reals.size
    real = 1 - (_midranks(s)[y == 0] - _midranks(reals)) / fakes.size
    return float(fake.mean()), fake, real


def _midranks(values: Floats) -> Floats:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[place], dtype=np.float64)
