"""Measures of scores P(fake) (N,) against labels (N,), 0 real and 1 fake, in float64.

What is not defined, such as the AUROC of videos of one class, is NaN: nothing is warned about and
nothing is made up. Imports no torch and no scikit-learn, which the tests compare with.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

NAN = float("nan")


@dataclass(frozen=True, eq=False)
class Roc:
    """The ROC curve, from (0, 0) to (1, 1), with a point for every distinct score."""

    fpr: Floats  # false positive rates (P,), rising
    tpr: Floats  # true positive rates (P,), rising
    thresholds: Floats  # scores from here up are called fake (P,), falling from infinity


def checked(labels: ArrayLike, scores: ArrayLike) -> tuple[Labels, Floats]:
    """Return labels and scores as arrays (N,), or say which of them cannot be measured."""
    y, s = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    if y.ndim != 1 or y.shape != s.shape:
        raise ValueError(f"labels and scores must both be (N,), got {y.shape} and {s.shape}")
    if not ((y == 0) | (y == 1)).all():  # np.isin takes a tenth of a bootstrap
        found = sorted({str(value) for value in y} - {"0", "1"})
        raise ValueError(f"labels must be 0 (real) or 1 (fake), got {', '.join(found[:5])}")
    bad = int((~np.isfinite(s)).sum())
    if bad:
        raise ValueError(f"{bad} of {s.size} scores are not finite; leave those videos out first")
    return y.astype(np.int64), s


def _counts(labels: Labels, scores: Floats) -> tuple[Floats, Floats, Floats]:
    """Return false positives, true positives and thresholds (P,) from the highest score down."""
    order = np.argsort(-scores, kind="stable")
    y, s = labels[order], scores[order]
    last = np.append(np.flatnonzero(np.diff(s)), y.size - 1)
    tp = np.cumsum(y)[last].astype(np.float64)
    return last + 1 - tp, tp, s[last]


def roc(labels: ArrayLike, scores: ArrayLike) -> Roc:
    """Return the ROC curve; its rates are NaN where a class is missing."""
    y, s = checked(labels, scores)
    fakes = int(y.sum())
    if fakes in (0, y.size):
        empty = np.full(2, NAN)
        return Roc(empty, empty, np.array([np.inf, -np.inf]))
    fp, tp, thresholds = _counts(y, s)
    return Roc(
        np.append(0.0, fp / (y.size - fakes)),
        np.append(0.0, tp / fakes),
        np.append(np.inf, thresholds),
    )


def auroc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the area under the ROC curve, ties counted one half."""
    curve = roc(labels, scores)
    return _area(curve.fpr, curve.tpr)


def _area(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    return float((np.diff(x) * (y[1:] + y[:-1])).sum() / 2)


def partial_auroc(labels: ArrayLike, scores: ArrayLike, *, max_fpr: float = 0.1) -> float:
    """Return the area up to a false positive rate, scaled so that chance is 0.5 and 1 is best.

    McClish, Medical Decision Making 9(3), 1989.
    """
    curve = roc(labels, scores)
    if np.isnan(curve.fpr).any():
        return NAN
    inside = curve.fpr <= max_fpr
    end = float(np.interp(max_fpr, curve.fpr, curve.tpr)) if not inside.all() else 1.0
    fpr, tpr = np.append(curve.fpr[inside], max_fpr), np.append(curve.tpr[inside], end)
    area = _area(fpr, tpr)
    least, most = max_fpr**2 / 2, max_fpr
    return 0.5 * (1 + (area - least) / (most - least))


def tpr_at_fpr(labels: ArrayLike, scores: ArrayLike, *, fpr: float) -> float:
    """Return the largest share of fakes found by a threshold with at most `fpr` false alarms.

    No interpolation: the rate is one that a threshold on these scores reaches.
    """
    curve = roc(labels, scores)
    if np.isnan(curve.fpr).any():
        return NAN
    return float(curve.tpr[curve.fpr <= fpr].max())


def eer(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the equal error rate: where the piecewise linear ROC curve meets FPR = 1 − TPR."""
    curve = roc(labels, scores)
    if np.isnan(curve.fpr).any():
        return NAN
    gap = curve.fpr + curve.tpr - 1  # rises from -1 to 1
    after = int(np.argmax(gap >= 0))
    before = after - 1
    part = -gap[before] / (gap[after] - gap[before])
    return float(curve.fpr[before] + part * (curve.fpr[after] - curve.fpr[before]))


def precision_recall(labels: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats]:
    """Return precision and recall (P,) for fakes, from the highest threshold down."""
    y, s = checked(labels, scores)
    if not y.any():
        return np.array([NAN]), np.array([NAN])
    fp, tp, _ = _counts(y, s)
    return tp / (tp + fp), tp / int(y.sum())


def average_precision(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the sum over thresholds of recall gained times precision, without interpolation."""
    precision, recall = precision_recall(labels, scores)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def confusion(
    labels: ArrayLike, scores: ArrayLike, *, threshold: float = 0.5
) -> tuple[int, int, int, int]:
    """Return true negatives, false positives, false negatives and true positives."""
    y, s = checked(labels, scores)
    called = s >= threshold
    fp, tp = int((called & (y == 0)).sum()), int((called & (y == 1)).sum())
    return int((y == 0).sum()) - fp, fp, int((y == 1).sum()) - tp, tp


def accuracy(labels: ArrayLike, scores: ArrayLike, *, threshold: float = 0.5) -> float:
    """Return the share of right answers where scores from `threshold` up mean fake."""
    tn, fp, fn, tp = confusion(labels, scores, threshold=threshold)
    return _ratio(tn + tp, tn + fp + fn + tp)


def balanced_accuracy(labels: ArrayLike, scores: ArrayLike, *, threshold: float = 0.5) -> float:
    """Return the mean of the share of reals and of fakes that are called right."""
    tn, fp, fn, tp = confusion(labels, scores, threshold=threshold)
    return (_ratio(tn, tn + fp) + _ratio(tp, tp + fn)) / 2


def f1(labels: ArrayLike, scores: ArrayLike, *, threshold: float = 0.5) -> float:
    """Return the harmonic mean of precision and recall of fakes; NaN without fakes."""
    _, fp, fn, tp = confusion(labels, scores, threshold=threshold)
    return _ratio(2 * tp, 2 * tp + fp + fn) if tp + fn else NAN


def aurc(labels: ArrayLike, scores: ArrayLike, *, threshold: float = 0.5) -> float:
    """Return the area under the risk-coverage curve: the mean error rate of the surest k of all k.

    Geifman et al., ICLR 2019, https://arxiv.org/abs/1805.08206.
    """
    risk = risks(labels, scores, threshold=threshold)
    return float(risk.mean()) if risk.size else NAN


def risks(labels: ArrayLike, scores: ArrayLike, *, threshold: float = 0.5) -> Floats:
    """Return the error rates (N,) of the surest 1, 2, ... N; scores from `threshold` up mean fake.

    The surer, the farther from the threshold, as a share of its side; ties are taken in mean order.
    """
    y, s = checked(labels, scores)
    side = np.where(s >= threshold, 1 - threshold, threshold)
    sure = (np.abs(s - threshold) / np.where(side > 0, side, 1.0)).round(12)  # 0.8 and 0.2 tie
    wrong = ((s >= threshold) != (y == 1)).astype(np.float64)
    _, group = np.unique(-sure, return_inverse=True)
    share = np.bincount(group, weights=wrong) / np.bincount(group)
    return np.asarray(np.cumsum(share[np.sort(group)]) / np.arange(1, y.size + 1))


def log_loss(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the mean negative log likelihood, scores clipped to float64's epsilon."""
    y, s = checked(labels, scores)
    epsilon = float(np.finfo(np.float64).eps)
    s = np.clip(s, epsilon, 1 - epsilon)
    return float(-np.mean(np.log(np.where(y == 1, s, 1 - s)))) if y.size else NAN


def brier(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the mean squared difference of score and label."""
    y, s = checked(labels, scores)
    return float(np.mean((s - y) ** 2)) if y.size else NAN


def reliability(
    labels: ArrayLike, scores: ArrayLike, *, bins: int = 15
) -> tuple[Floats, Floats, Labels]:
    """Return mean score, share of fakes and number of videos of each bin (bins,).

    Bins are equally wide over [0, 1], open on the left and closed on the right; 0 belongs to the
    first. Empty bins are NaN.
    """
    y, s = checked(labels, scores)
    place = np.clip(np.ceil(s * bins).astype(np.int64) - 1, 0, bins - 1)
    number = np.bincount(place, minlength=bins)
    whole = np.where(number > 0, number, NAN)
    score = np.bincount(place, weights=s, minlength=bins) / whole
    fake = np.bincount(place, weights=y, minlength=bins) / whole
    return score, fake, number.astype(np.int64)


def ece(labels: ArrayLike, scores: ArrayLike, *, bins: int = 15) -> float:
    """Return the expected calibration error: mean distance of score and share of fakes.

    Naeini et al., AAAI 2015; on P(fake), not on the confidence of the predicted class.
    """
    score, fake, number = reliability(labels, scores, bins=bins)
    if not number.sum():
        return NAN
    return float(np.nansum(number * np.abs(fake - score)) / number.sum())


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else NAN
