"""Whether a score is more than the size or the sharpness of a face."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfake.aggregation import logit
from deepfake.evaluation.measures import auroc


def residual_auroc(labels: ArrayLike, scores: ArrayLike, covariates: ArrayLike) -> float:
    """Return the AUROC of what is left of the logits after a linear fit on covariates.

    The fit uses all videos and no label, so a covariate that goes with the label takes its share
    of the true signal too: the figure errs on the low side. Videos with an unknown covariate are
    left out.

    Args:
        labels: 0 real, 1 fake (N,).
        scores: P(fake) in [0, 1] (N,).
        covariates: Such as log face size and log sharpness (N, C).
    """
    y, s = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    x = np.asarray(covariates, dtype=np.float64).reshape(y.size, -1)
    known = np.isfinite(x).all(axis=1) & np.isfinite(s)
    y, s, x = y[known], s[known], x[known]
    if y.size <= x.shape[1] + 1:
        return math.nan
    logits = logit(s)
    spread = x.std(axis=0)
    x = (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    design = np.column_stack([np.ones(y.size), x])
    slope, *_ = np.linalg.lstsq(design, logits, rcond=None)
    left = logits - design @ slope
    return auroc(y, _without_rounding(left))


def shortcut_auroc(labels: ArrayLike, covariate: ArrayLike) -> float:
    """Return the AUROC of a covariate alone: far from 0.5 on either side, it gives labels away.

    Videos with an unknown covariate are left out.
    """
    y, x = np.asarray(labels), np.asarray(covariate, dtype=np.float64)
    known = np.isfinite(x)
    return auroc(y[known], x[known])


def _without_rounding(values: NDArray[np.float64]) -> NDArray[np.float64]:
    # Constant scores leave residuals of 1e-16 whose order means nothing.
    return np.round(values, 9)
