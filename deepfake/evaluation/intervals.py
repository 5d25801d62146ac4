"""How sure a measure is: 95 % intervals over videos or over groups of people.

Faces of one video are not independent, nor are videos of one person, so whole groups count. With
few of them, deviations are guessed as well as means: Student's t stands for the normal everywhere.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Z95 = 1.959963984540054
BLOCKS = 100  # groups are left out one by one, or in so many blocks


@dataclass(frozen=True)
class Interval:
    """A 95 % interval; both ends are NaN where none can be given."""

    low: float
    high: float


NOWHERE = Interval(math.nan, math.nan)


def t_quantile(groups: int) -> float:
    """Return the 97.5 % quantile of Student's t with one degree less than groups, 2 or more."""
    from scipy import stats

    return float(stats.t.ppf(0.975, groups - 1))


def bootstrap(
    measure: Callable[[NDArray[np.int64], Floats], Sequence[float]],
    labels: ArrayLike,
    scores: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    repeats: int = 1000,
    seed: int = 0,
) -> list[Interval]:
    """Return a 95 % interval for each number that `measure` returns.

    The hull of two, since either alone is short of few groups: bias-corrected and accelerated
    percentiles (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 14.3) at
    levels widened for few groups (Hesterberg, The American Statistician 69(4), 2015), and Student's
    t with the bootstrap's deviation, of the logit where the number is in (0, 1).

    Draws in which a number is not defined, as the AUROC of one class, are left out for it; where
    they are more than half, or where there is one group only, no interval is given.

    Args:
        measure: From labels (N,) and scores (N,) to a fixed count of numbers.
        labels: 0 real, 1 fake (N,).
        scores: P(fake) (N,).
        groups: What is drawn together (N,), of any sortable type; None draws each row alone.
        repeats: How often to draw.
        seed: Same seed, same interval.
    """
    y, s = np.asarray(labels, dtype=np.int64), np.asarray(scores, dtype=np.float64)
    names = np.arange(y.size) if groups is None else np.asarray(groups)
    order = np.argsort(-s, kind="stable")  # measures sort too: what is in order costs them little
    y, s = y[order], s[order]
    _, member = np.unique(names[order], return_inverse=True)
    number = int(member.max(initial=-1)) + 1
    values = measure(y, s)
    if number < 2:
        return [NOWHERE] * len(values)

    def of(times: NDArray[np.int64]) -> Sequence[float]:
        rows = times[member]
        return measure(np.repeat(y, rows), np.repeat(s, rows))

    rng = np.random.default_rng(seed)
    draws = (rng.integers(number, size=number) for _ in range(repeats))
    drawn = np.array([of(np.bincount(draw, minlength=number)) for draw in draws])
    blocks = np.array_split(rng.permutation(number), min(number, BLOCKS))
    without = (np.bincount(block, minlength=number) for block in blocks)
    left = np.array([of(1 - block) for block in without])
    columns = zip(values, drawn.T, left.T, strict=True)
    return [_hull(float(value), some, others, number) for value, some, others in columns]


def _hull(value: float, drawn: Floats, left: Floats, groups: int) -> Interval:
    defined = drawn[np.isfinite(drawn)]
    if defined.size < max(drawn.size / 2, 2) or not math.isfinite(value):
        return NOWHERE
    low, high = np.quantile(defined, _levels(value, defined, left[np.isfinite(left)], groups))
    deviation = t_quantile(groups) * float(defined.std(ddof=1))
    if 0 < value < 1:
        logit, half = math.log(value / (1 - value)), deviation / (value * (1 - value))
        ends = [(1 + math.tanh((logit + side * half) / 2)) / 2 for side in (-1, 1)]
    elif value >= 1 and deviation and high > 1:
        ends = [value - deviation, value + deviation]
    else:
        ends = [low, high]
    return Interval(float(min(low, ends[0])), float(max(high, ends[1])))


def _levels(value: float, drawn: Floats, left: Floats, groups: int) -> Floats:
    """Return the levels at which to take percentiles of the draws."""
    from scipy.special import ndtr, ndtri

    below = float(((drawn < value).mean() + (drawn <= value).mean()) / 2)
    bias = ndtri(min(max(below, 1 / drawn.size), 1 - 1 / drawn.size))
    gaps = left.mean() - left if left.size else np.zeros(1)
    spread = float((gaps**2).sum()) ** 1.5
    skew = float((gaps**3).sum()) / (6 * spread) if spread > 0 else 0.0
    wide = t_quantile(groups) * math.sqrt(groups / (groups - 1))
    z = bias + np.array([-wide, wide])
    return np.asarray(ndtr(bias + z / np.maximum(1 - skew * z, 1e-3)), dtype=np.float64)


def grouped_variance(residuals: Floats, groups: ArrayLike) -> float:
    """Return the variance of a sum of residuals (N,) whose groups (N,), 2 or more, are drawn."""
    _, member = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.bincount(member, weights=residuals)
    return float((sums**2).sum()) * sums.size / (sums.size - 1)


def design_effect(residuals: Floats, groups: ArrayLike) -> float:
    """Return how many times groups widen the variance of a sum of residuals (N,); at least 1."""
    number, rows = np.unique(np.asarray(groups)).size, residuals.size
    alone = float((residuals**2).sum()) * rows / max(rows - 1, 1)
    if alone <= 0 or number < 2:
        return rows / max(number, 1)  # nothing varies: as bad as can be
    return max(1.0, grouped_variance(residuals, groups) / alone)


def share_interval(right: ArrayLike, groups: ArrayLike) -> Interval:
    """Return the interval of the share of rows (N,) that are right.

    Wilson, JASA 1927, with Student's t and the number of rows divided by the design effect.
    """
    x = np.asarray(right, dtype=np.float64)
    number = np.unique(np.asarray(groups)).size
    if number < 2:
        return NOWHERE
    share = float(x.mean())
    return wilson(share, x.size / design_effect(x - share, groups), t_quantile(number))


def wilson(share: float, number: float, z: float = Z95) -> Interval:
    """Return the 95 % interval of a share of `number` independent cases. Wilson, JASA 1927."""
    if number < 1 or math.isnan(share):
        return NOWHERE
    centre = (share + z**2 / (2 * number)) / (1 + z**2 / number)
    half = z * math.sqrt(share * (1 - share) / number + z**2 / (4 * number**2))
    half /= 1 + z**2 / number
    return Interval(max(0.0, centre - half), min(1.0, centre + half))


def auroc_interval(
    value: float, reals: int, fakes: int, *, effect: float = 1.0, z: float = Z95
) -> Interval:
    """Return a 95 % interval of an AUROC that does not shrink to a point at 0.5 or 1.

    Newcombe, Statistics in Medicine 25(4), 2006, method 5: the values whose own standard error
    (Hanley and McNeil, 1982, with equal class sizes in its correction) reaches the value seen.

    Args:
        value: The AUROC seen.
        reals: Number of reals.
        fakes: Number of fakes.
        effect: What the variance is multiplied by, as groups widen it.
        z: Quantile, of Student's t where there are few groups.
    """
    if math.isnan(value) or min(reals, fakes) < 1:
        return NOWHERE

    def gap(theta: float) -> float:
        mean = (reals + fakes) / 2 - 1
        spread = theta * (1 - theta) / (reals * fakes)
        spread *= 1 + mean * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return (value - theta) ** 2 - z**2 * effect * spread

    return Interval(_root(gap, 0.0, value), _root(gap, 1.0, value))


def _root(gap: Callable[[float], float], outer: float, inner: float) -> float:
    """Halve the span from where the gap is positive (outer) to where it is not (inner)."""
    if gap(outer) <= 0:
        return outer
    for _ in range(60):
        middle = (outer + inner) / 2
        outer, inner = (middle, inner) if gap(middle) > 0 else (outer, middle)
    return (outer + inner) / 2
