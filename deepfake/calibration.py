"""From a video's raw score to a probability, and from there to a verdict. Imports no torch.

All of it is fitted on validation videos and travels inside the checkpoint.

* Probability: temperature with bias (Guo et al., ICML 2017; Platt, 1999), or isotonic regression.
* Threshold: from a target rate of false alarms among validation reals, never from an accuracy,
  which depends on how many fakes there happen to be.
* Undecided band: as narrow as a bound on the share of the decided that are wrong allows, and
  conformal risk control (Angelopoulos et al., ICLR 2024, https://arxiv.org/abs/2208.02814) in each
  class. See `fit`.
* Likelihood ratio: the posterior without the prior of validation, within empirical bounds.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfake.aggregation import logit, sigmoid
from deepfake.errors import DeepfakeError
from deepfake.evaluation.likelihood import LikelihoodRatio, bounds
from deepfake.evaluation.selective import CONFIDENCE, decide, decided_needed
from deepfake.types import VerdictLabel

Method = Literal["none", "temperature", "isotonic"]
Floats = NDArray[np.float64]
VERSION = 1


class CalibrationError(DeepfakeError):
    """Validation scores that no calibration can be fitted on, or a stored one that is damaged."""


@dataclass(frozen=True)
class Calibration:
    """How a raw video score becomes a probability and a verdict.

    Args:
        method: "none" leaves scores as they are.
        temperature: The logit is divided by it; above 0.
        bias: Added to the logit after that.
        knots: Raw scores of the isotonic map, rising.
        values: Probabilities at the knots, never falling; straight lines between them.
        threshold: Probabilities from here up mean fake, where a yes or no is asked for.
        low: Below it a video is called real; None calls none real.
        high: From it up a video is called fake; None calls none fake.
        false_alarms: The rate that the threshold was chosen for, in (0, 1).
        target_error: The rate that the band was chosen for, in (0, 1).
        reals: Real validation videos that it was fitted on.
        fakes: Fake validation videos.
        least_ratio: Lowest likelihood ratio that those bear out; None where that is not known.
        most_ratio: Highest.
    """

    method: Method = "none"
    temperature: float = 1.0
    bias: float = 0.0
    knots: tuple[float, ...] = ()
    values: tuple[float, ...] = ()
    threshold: float = 0.5
    low: float | None = None
    high: float | None = None
    false_alarms: float = 0.05
    target_error: float = 0.05
    reals: int = 0
    fakes: int = 0
    least_ratio: float | None = None
    most_ratio: float | None = None

    def __post_init__(self) -> None:
        if self.method not in ("none", "temperature", "isotonic"):
            raise ValueError(f"method must be none, temperature or isotonic, got {self.method!r}")
        if not (0 < self.temperature < math.inf and math.isfinite(self.bias)):
            raise ValueError(
                f"temperature must be above 0 and bias finite, got {self.temperature}, {self.bias}"
            )
        if len(self.knots) != len(self.values) or (self.method == "isotonic") != bool(self.knots):
            raise ValueError(f"{len(self.knots)} knots and {len(self.values)} values do not fit")
        for name, row in (("knots", self.knots), ("values", self.values)):
            if any(b < a for a, b in pairwise(row)):
                raise ValueError(f"{name} must not fall")
        for name in ("threshold", "low", "high", "false_alarms", "target_error"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {value}")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low must not be above high, got {self.low} and {self.high}")

    @property
    def fitted(self) -> bool:
        """Whether scores were held against labelled videos."""
        return self.reals > 0 and self.fakes > 0

    @property
    def undecided(self) -> tuple[float, float]:
        """The band [low, high) in which nothing is said, as far as it reaches into [0, 1]."""
        return (0.0 if self.low is None else self.low, 1.0 if self.high is None else self.high)

    def apply(self, score: float) -> float:
        """Return the calibrated P(fake) of a raw video score in [0, 1]."""
        return float(self.apply_all([score])[0])

    def apply_all(self, scores: ArrayLike) -> Floats:
        """Return calibrated P(fake) (N,) of raw scores (N,)."""
        raw = np.asarray(scores, dtype=np.float64)
        if self.method == "none":
            return raw
        if self.method == "isotonic":
            return np.asarray(np.interp(raw, self.knots, self.values), dtype=np.float64)
        return sigmoid(logit(raw) / self.temperature + self.bias)

    def likelihood_ratio(self, score: float) -> LikelihoodRatio | None:
        """Return how much more probable a raw video score is of fakes than of reals.

        None where the calibration does not know, as one that leaves scores as they are.
        """
        if self.method == "none" or self.least_ratio is None or self.most_ratio is None:
            return None
        log_ratio = float(self.log_ratios([score])[0])
        low, high = math.log(self.least_ratio), math.log(self.most_ratio)
        kept = min(max(log_ratio, low), high)
        return LikelihoodRatio(math.exp(kept), bounded=abs(log_ratio - kept) > 1e-9)

    def log_ratios(self, scores: ArrayLike) -> Floats:
        """Return natural logarithms of likelihood ratios (N,), without bounds, of raw scores."""
        p = self.apply_all(scores)
        return logit(p) - math.log(self.fakes / self.reals)

    def verdict(self, probability: float) -> VerdictLabel:
        """Return what is said of a calibrated probability."""
        if self.high is not None and probability >= self.high:
            return "fake"
        if self.low is not None and probability < self.low:
            return "real"
        return "undecided"

    def limits(self) -> str:
        """Say in words what this calibration cannot decide, empty where it can decide both ways."""
        if self.low is not None and self.high is not None:
            return ""
        each, target = math.ceil(1 / self.target_error - 1 - 1e-9), self.target_error
        never = " or ".join(
            name for name, side in (("real", self.low), ("fake", self.high)) if side is None
        )
        return (
            f"No video is called {never}: {self.reals} real and {self.fakes} fake validation "
            f"videos do not support an error of {target:.0%} with {CONFIDENCE:.0%} confidence. At "
            f"least {each} of each and {decided_needed(target)} decided without a mistake are "
            f"needed, {decided_needed(target, target / 2)} where {target / 2:.1%} of them are "
            "wrong; or allow a larger error."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types, for a checkpoint."""
        rows = {"knots": list(self.knots), "values": list(self.values)}
        return {"version": VERSION, **asdict(self), **rows}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Calibration":
        """Read what `to_dict` wrote.

        Raises:
            CalibrationError: It is something else; the message says what.
        """
        rest = dict(content)
        version = rest.pop("version", None)
        unknown = sorted(set(rest) - {field.name for field in fields(cls)})
        if version != VERSION or unknown:
            raise CalibrationError(
                f"A calibration of version {version} with unknown {unknown or 'nothing'}; this "
                f"program reads version {VERSION}. Update it or fit the calibration again."
            )
        try:
            for name in ("knots", "values"):
                rest[name] = tuple(float(value) for value in rest.get(name, ()))
            return cls(**rest)
        except (TypeError, ValueError) as error:
            raise CalibrationError(f"A damaged calibration: {error}. Fit it again.") from error


def fit(
    labels: ArrayLike,
    scores: ArrayLike,
    *,
    method: Method = "temperature",
    false_alarms: float = 0.05,
    target_error: float = 0.05,
) -> Calibration:
    """Fit probability, threshold and undecided band on validation videos.

    The threshold is the lowest with (false alarms + 1) / (reals + 1) <= `false_alarms`: a new real
    video, exchangeable with those of validation, is above it with at most that probability. With
    too few reals for that, it lies above the highest of them.

    The band is the narrowest of a list for which (a) at most `target_error` of new reals are called
    fake and of new fakes real, by the same rule in each class, and (b) in 95 % of fits at most
    `target_error` of the new videos that are decided are wrong, the search accounted for: see
    `deepfake.evaluation.selective`. (a) holds for any mix of classes, (b) for that in validation;
    both for new videos that are exchangeable with those of validation. Where the videos are too
    few, nothing is decided, and `Calibration.limits` says how many are needed.

    Args:
        labels: 0 real, 1 fake, one per video.
        scores: Raw P(fake) in [0, 1], one per video.
        method: Isotonic follows any shape, but needs hundreds of videos.
        false_alarms: Reals called fake by the threshold, in (0, 1).
        target_error: Largest error among decided videos, in (0, 1).

    Raises:
        CalibrationError: A class is missing, or a score is no number in [0, 1].
    """
    y, raw = np.asarray(labels, dtype=np.int64), np.asarray(scores, dtype=np.float64)
    reals, fakes = int((y == 0).sum()), int((y == 1).sum())
    if not (0 < false_alarms < 1 and 0 < target_error < 1):
        raise ValueError(f"rates must be in (0, 1), got {false_alarms} and {target_error}")
    if y.shape != raw.shape or y.ndim != 1 or reals + fakes != y.size:
        raise ValueError(f"labels and scores must be (N,) with labels 0 or 1, got {y.shape}")
    if not reals or not fakes:
        raise CalibrationError(
            f"A calibration needs real and fake validation videos, found {reals} real and {fakes} "
            "fake ones. Put videos of both classes into the validation split."
        )
    if not ((raw >= 0) & (raw <= 1)).all():
        raise CalibrationError("Validation scores must be in [0, 1]; the network gives others.")
    mapping = _mapping(y, raw, method)
    p = mapping.apply_all(raw)
    allowed = math.floor(false_alarms * (reals + 1) + 1e-9) - 1
    threshold = _above(p, p[y == 0], max(allowed, 0))
    low, high = _band(y, p, threshold, target_error)
    fitted = replace(
        mapping, threshold=threshold, low=low, high=high, reals=reals, fakes=fakes,
        false_alarms=false_alarms, target_error=target_error,
    )  # fmt: skip
    if method == "none":
        return fitted
    least, most = bounds(y, fitted.log_ratios(raw))
    return replace(fitted, least_ratio=least, most_ratio=most)


def _mapping(y: NDArray[np.int64], raw: Floats, method: Method) -> Calibration:
    if method == "none":
        return Calibration()
    # Platt's targets: with 0 and 1, separable classes would drive the temperature to 0.
    top = (y.sum() + 1) / (y.sum() + 2)
    bottom = 1 / ((1 - y).sum() + 2)
    if method == "isotonic":
        from sklearn.isotonic import IsotonicRegression

        line = IsotonicRegression(y_min=bottom, y_max=top, out_of_bounds="clip").fit(raw, y)
        knots = tuple(float(x) for x in line.X_thresholds_)
        values = tuple(float(v) for v in np.maximum.accumulate(line.y_thresholds_))
        return Calibration(method="isotonic", knots=knots, values=values)
    from scipy.optimize import minimize

    logits, target = logit(raw), np.where(y == 1, top, bottom)

    def loss(parameters: Floats) -> float:
        z = logits * np.exp(-parameters[0]) + parameters[1]
        return float(np.mean(np.logaddexp(0, z) - target * z))

    found = minimize(
        loss, np.zeros(2), method="L-BFGS-B", bounds=[(-4, 7), (-20, 20)], options={"ftol": 1e-14}
    )
    return Calibration(
        method="temperature", temperature=float(np.exp(found.x[0])), bias=float(found.x[1])
    )


def _band(
    y: NDArray[np.int64], p: Floats, threshold: float, target: float
) -> tuple[float | None, float | None]:
    """Return low and high of the narrowest band around the threshold that keeps the target."""
    reals, fakes = p[y == 0], p[y == 1]
    alarms = math.floor(target * (reals.size + 1) + 1e-9) - 1
    misses = math.floor(target * (fakes.size + 1) + 1e-9) - 1
    high = max(_above(p, reals, alarms), threshold) if alarms >= 0 else math.inf
    low = min(1 - _above(1 - p, 1 - fakes, misses), threshold) if misses >= 0 else -math.inf
    most_fake, most_real = int((p >= high).sum()), int((p < low).sum())
    called_fake, called_real = decide(y, p, most_fake=most_fake, most_real=most_real, target=target)
    if called_fake < most_fake:
        high = _above(p, p, called_fake)
    if called_real < most_real:
        low = 1 - _above(1 - p, 1 - p, called_real)
    return low if called_real else None, high if called_fake else None


def _above(everyone: Floats, group: Floats, count: int) -> float:
    """Return a threshold with at most `count` of the group at or above it.

    It lies midway to the next higher score of anyone, so that neither side is touched.
    """
    if count >= group.size:
        return 0.0
    edge = np.sort(group)[::-1][count]
    higher = everyone[everyone > edge]
    upper = higher.min() if higher.size else 1.0
    return float(np.nextafter(edge, 2.0) if upper <= edge else (edge + upper) / 2)
