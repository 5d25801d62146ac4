"""How sure a measure is: bootstrap intervals over videos or over groups of people.

Efron and Tibshirani, An Introduction to the Bootstrap, 1993, percentile interval. Faces of one
video are not independent, nor are videos of one person, so whole groups are drawn.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Z95 = 1.959963984540054


@dataclass(frozen=True)
class Interval:
    """A 95 % interval; both ends are NaN where none can be given."""

    low: float
    high: float


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
    _, member, counts = np.unique(names, return_inverse=True, return_counts=True)
    order = np.argsort(member, kind="stable")
    starts = np.cumsum(counts) - counts
    number = counts.size
    width = len(measure(y, s))
    if number < 2:
        return [Interval(math.nan, math.nan)] * width
    rng = np.random.default_rng(seed)
    drawn = np.empty((repeats, width))
    for repeat in range(repeats):
        chosen = rng.integers(number, size=number)
        size = counts[chosen]
        inside = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
        rows = order[np.repeat(starts[chosen], size) + inside]
        drawn[repeat] = measure(y[rows], s[rows])
    return [_percentiles(column) for column in drawn.T]


def _percentiles(drawn: Floats) -> Interval:
    defined = drawn[np.isfinite(drawn)]
    if defined.size < drawn.size / 2 or not defined.size:
        return Interval(math.nan, math.nan)
    low, high = np.percentile(defined, (2.5, 97.5))
    return Interval(float(low), float(high))


def wilson(share: float, number: int) -> Interval:
    """Return the 95 % interval of a share of `number` independent cases. Wilson, JASA 1927."""
    if number < 1 or math.isnan(share):
        return Interval(math.nan, math.nan)
    centre = (share + Z95**2 / (2 * number)) / (1 + Z95**2 / number)
    half = Z95 * math.sqrt(share * (1 - share) / number + Z95**2 / (4 * number**2))
    half /= 1 + Z95**2 / number
    return Interval(max(0.0, centre - half), min(1.0, centre + half))


def auroc_interval(value: float, reals: int, fakes: int) -> Interval:
    """Return a 95 % interval of an AUROC that does not shrink to a point at 0.5 or 1.

    Newcombe, Statistics in Medicine 25(4), 2006, method 5: the values whose own standard error
    (Hanley and McNeil, 1982, with equal class sizes in its correction) reaches the value seen.
    """
    if math.isnan(value) or min(reals, fakes) < 1:
        return Interval(math.nan, math.nan)

    def gap(theta: float) -> float:
        mean = (reals + fakes) / 2 - 1
        spread = theta * (1 - theta) / (reals * fakes)
        spread *= 1 + mean * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return (value - theta) ** 2 - Z95**2 * spread

    return Interval(_root(gap, 0.0, value), _root(gap, 1.0, value))


def _root(gap: Callable[[float], float], outer: float, inner: float) -> float:
    """Halve the span from where the gap is positive (outer) to where it is not (inner)."""
    if gap(outer) <= 0:
        return outer
    for _ in range(60):
        middle = (outer + inner) / 2
        outer, inner = (middle, inner) if gap(middle) > 0 else (outer, middle)
    return (outer + inner) / 2
