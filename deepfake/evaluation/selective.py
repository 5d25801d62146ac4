"""How far a classifier may decide: at most a target share of the decided wrong, held for certain.

Videos are decided from both ends of the ranking, in proportion to the classes. The share of wrong
ones among the first k decided is bounded as by Clopper and Pearson, Biometrika 26(4), 1934, but at
a level so strict that looking at every k of a list costs nothing: if each further video were wrong
with exactly the target's probability, the chance of passing at any k of the list is at most one
less the confidence. Where the true share rises with k, as it does when scores rank at all, the
wrong videos run ahead of that walk wherever the target is exceeded, so the promise holds for the k
chosen. In the manner of Geifman and El-Yaniv, NeurIPS 2017, with the exact chance for their union
bound. Videos count as independent. Imports no torch.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
STEP = 1.05  # of the list of k: finer ones cost level, coarser ones decided videos


@lru_cache(maxsize=64)
def allowed_errors(number: int, target: float, confidence: float = CONFIDENCE) -> dict[int, int]:
    """Return how many of the first k decided videos may be wrong, for each k that is looked at.

    Args:
        number: Videos in all; the largest k.
        target: Share of the decided that may be wrong among new videos, in (0, 1).
        confidence: How sure that must be, over all k together.
    """
    from scipy import stats

    looks = [number]
    while looks[-1] > 1:
        looks.append(min(looks[-1] - 1, int(looks[-1] / STEP)))
    ks = np.array(looks[::-1])

    def errors(level: float) -> NDArray[np.int64]:
        most = stats.binom.ppf(level, ks, target).astype(np.int64)
        fits = stats.binom.cdf(most, ks, target) <= level
        return np.asarray(np.where(fits, most, most - 1), dtype=np.int64)

    low, high = (1 - confidence) / 1000, 1 - confidence
    for _ in range(20):
        middle = math.sqrt(low * high)
        kept = _chance(ks, errors(middle), target) <= 1 - confidence
        low, high = (middle, high) if kept else (low, middle)
    found = dict(zip(ks.tolist(), errors(low).tolist(), strict=True))
    return {k: most for k, most in found.items() if most >= 0}


def _chance(ks: NDArray[np.int64], errors: NDArray[np.int64], target: float) -> float:
    """Return the chance that a walk of errors, each of probability `target`, passes at some k."""
    from scipy import stats

    alive, passed, last = np.ones(1), 0.0, 0
    for k, most in zip(ks.tolist(), errors.tolist(), strict=True):
        step = stats.binom.pmf(np.arange(k - last + 1), k - last, target)
        alive, last = np.convolve(alive, step)[: int(errors[-1]) + 2], k
        passed += float(alive[: most + 1].sum())
        alive[: most + 1] = 0
    return passed


def decided_needed(target: float, wrong: float = 0.0, confidence: float = CONFIDENCE) -> int:
    """Return the least number of decided videos, a share of them wrong, that supports a target.

    >>> decided_needed(0.05), decided_needed(0.05, wrong=0.02)
    (59, 181)
    """
    if not 0 <= wrong < target < 1:
        raise ValueError(f"wrong must be in [0, target) and target below 1, got {wrong}, {target}")
    from scipy import stats

    number = math.ceil(math.log(1 - confidence) / math.log(1 - target) - 1e-9)
    while stats.binom.cdf(math.ceil(wrong * number - 1e-9), number, target) > 1 - confidence:
        number += 1
    return number


def decide(
    labels: NDArray[np.int64],
    scores: NDArray[np.float64],
    *,
    most_fake: int,
    most_real: int,
    target: float,
) -> tuple[int, int]:
    """Return how many of the highest may be called fake and of the lowest real; (0, 0) for none.

    Args:
        labels: 0 real, 1 fake (N,), both present.
        scores: The higher, the more fake (N,). Among ties the wrong ones come first.
        most_fake: No more of the highest than this, for other reasons.
        most_real: No more of the lowest.
        target: Largest share of the decided that may be wrong, in (0, 1).
    """
    fakes = int(labels.sum())
    reals = labels.size - fakes
    alarms = np.append(0, np.cumsum(1 - labels[np.lexsort((labels, -scores))]))
    misses = np.append(0, np.cumsum(labels[np.lexsort((-labels, scores))]))
    share = np.append(np.arange(1, most_fake + 1) / fakes, np.arange(1, most_real + 1) / reals)
    side = np.append(np.ones(most_fake, dtype=np.int64), np.zeros(most_real, dtype=np.int64))
    called_fake = np.cumsum(side[np.lexsort((side, share))])
    best = (0, 0)
    for k, most in allowed_errors(labels.size, target).items():
        if k <= called_fake.size:
            high = int(called_fake[k - 1])
            if alarms[high] + misses[k - high] <= most:
                best = (high, k - high)
    return best
