"""One probability out of what several methods say of a clip, and when their answers differ too far.

Logistic stacking (Wolpert, Neural Networks 5(2), 1992) of the methods' calibrated logits, with
weights that are never negative, fitted on validation videos that trained none of them. A method
whose scores are another's adds nothing and is left out, so that a copy changes nothing. There is a
fit for every set of methods that may have an answer. Imports no torch.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfake import calibration
from deepfake.aggregation import logit, sigmoid
from deepfake.calibration import Calibration
from deepfake.errors import DeepfakeError
from deepfake.types import VerdictLabel

VERSION = 1
FOLDS = 5
SHRINK = 1e-2  # ridge on the weights around equal shares: methods that say the same share alike
WIDEN = 0.5  # of the spread of the methods' logits, that a clip must clear the limits by

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rates:
    """What a method did on the validation videos that a stack was fitted on."""

    reals: int
    fakes: int
    reals_called_fake: int
    fakes_called_real: int
    undecided: int

    def __str__(self) -> str:
        """Return the counts in words."""
        return (
            f"{self.reals_called_fake} of {self.reals} reals called fake, "
            f"{self.fakes_called_real} of {self.fakes} fakes called real, "
            f"{self.undecided} left undecided"
        )


@dataclass(frozen=True)
class Stack:
    """How the answers of several methods become one."""

    members: tuple[str, ...]  # SHA-256 of each checkpoint, none twice
    # By the members that have an answer, as "0" or "0,2": a weight for each logit, and the bias.
    weights: Mapping[str, tuple[float, ...]]
    calibration: Calibration  # limits on the stacked probability
    rates: Mapping[str, Rates]  # of each member, and of the stack under the name ""

    def probability(self, scores: Mapping[str, float | None]) -> float | None:
        """Return P(fake) from calibrated scores by member; None where none has an answer."""
        known = [i for i, m in enumerate(self.members) if scores.get(m) is not None]
        if not known:
            return None
        *weights, bias = self.weights[_key(known)]
        return float(sigmoid(_logits([scores[self.members[i]] for i in known]) @ weights + bias))

    def decide(self, scores: Mapping[str, float | None]) -> tuple[VerdictLabel, bool]:
        """Return what is said of a clip, and whether nothing is said since methods differ.

        A clip is called what its probability says where that clears the limits by `WIDEN` of the
        standard deviation of the methods' logits, so methods that differ widen "undecided".
        """
        p = self.probability(scores)
        if p is None:
            return "undecided", False
        known = [scores[m] for m in self.members if scores.get(m) is not None]
        careful = _careful(self.calibration, p, known)
        return careful, careful != self.calibration.verdict(p)

    def check(self, given: Collection[str]) -> None:
        """See that all members are there.

        Raises:
            DeepfakeError: One is not.
        """
        missing = set(self.members) - set(given)
        if missing:
            raise DeepfakeError(
                f"The panel was fitted with a checkpoint of SHA-256 {min(missing)[:16]}..., which "
                "is not among those given. Give all of its checkpoints, or fit it again."
            )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        content = json.loads(json.dumps(asdict(self)))
        return {"version": VERSION, **content, "calibration": self.calibration.to_dict()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Stack":
        """Read what `to_dict` wrote.

        Raises:
            ValueError: It is something else.
        """
        found = content.get("version") if isinstance(content, Mapping) else None
        if found != VERSION:
            raise ValueError(f"version {found}; this program reads {VERSION}")
        members = tuple(str(m) for m in content["members"])
        weights = {k: tuple(float(v) for v in row) for k, row in content["weights"].items()}
        wrong = [k for k in _keys(len(members)) if len(weights.get(k, ())) != k.count(",") + 2]
        if wrong:
            raise ValueError(f"no weights, or not as many as needed, for members {wrong[0]}")
        rates = {str(k): Rates(**row) for k, row in content["rates"].items()}
        return cls(members, weights, Calibration.from_dict(content["calibration"]), rates)


def read_stack(path: Path) -> Stack:
    """Read the stack that `evaluate` wrote.

    Raises:
        DeepfakeError: It is missing or something else.
    """
    try:
        return Stack.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise DeepfakeError(
            f"No panel at {path}. Fit one with `python -m deepfake.evaluate --checkpoint A B "
            "--data VALIDATION --out DIR`, which writes DIR/panel.json."
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DeepfakeError(f"{path} is not a panel: {error}. Fit it again.") from error


def fit_stack(
    labels: ArrayLike,
    scores: Mapping[str, Sequence[float | None]],
    groups: Sequence[str],
    verdicts: Mapping[str, Calibration],
) -> tuple[Stack, Floats]:
    """Fit a stack on validation videos.

    The limits, and the stack's own rates, come from folds: of each video the probability is that
    of weights fitted on other people. These (N,) are returned too, NaN where there is none.

    Args:
        labels: 0 real, 1 fake (N,).
        scores: Calibrated P(fake) of each member, by its SHA-256; None where it has no answer.
        groups: Videos that share a person or a source have the same one.
        verdicts: Calibration of each member; the limits allow what the strictest allows.

    Raises:
        DeepfakeError: A class is missing, or fewer than two members differ.
    """
    y = np.asarray(labels, dtype=np.int64)
    if len(np.unique(y)) < 2:
        raise DeepfakeError("A panel is fitted on real and fake videos; here is one class only.")
    members = _distinct(scores)
    if len(members) < 2:
        raise DeepfakeError(
            "These checkpoints give the same scores: a panel needs two that differ."
        )
    table = np.stack([_logits(scores[m]) for m in members], axis=1)
    weights = {key: _fit(table, y, key) for key in _keys(len(members))}
    fold = _folds(groups)
    held = np.full(len(y), np.nan)
    for number in range(FOLDS):
        out = fold == number
        if not out.any() or len(np.unique(y[~out])) < 2:
            continue
        part = {key: _fit(table[~out], y[~out], key) for key in _keys(len(members))}
        for row in np.flatnonzero(out):
            known = np.flatnonzero(np.isfinite(table[row]))
            if known.size:
                *slopes, bias = part[_key(known.tolist())]
                held[row] = sigmoid(table[row, known] @ slopes + bias)
    seen = np.isfinite(held)
    alarms = min(verdicts[m].false_alarms for m in members)
    errors = min(verdicts[m].target_error for m in members)
    limits = calibration.fit(
        y[seen], held[seen], method="none", false_alarms=alarms, target_error=errors
    )
    said = [
        _careful(limits, p, [scores[m][row] for m in members if scores[m][row] is not None])
        if np.isfinite(p)
        else None
        for row, p in enumerate(held)
    ]
    rates = {"": _rates(y, said)}
    for m in members:
        own = [None if s is None else verdicts[m].verdict(s) for s in scores[m]]
        rates[m] = _rates(y, own)
    return Stack(tuple(members), weights, limits, rates), held


def widened(p: float, scores: Sequence[float | None]) -> tuple[float, float]:
    """Return P(fake) less and more `WIDEN` of the spread of methods' scores, in logits."""
    spread = float(np.std(_logits(scores))) * WIDEN
    lower, upper = sigmoid(logit(p) + np.array([-spread, spread]))
    return float(lower), float(upper)


def _careful(limits: Calibration, p: float, scores: Sequence[float | None]) -> VerdictLabel:
    """Return what a probability says, where all that the scores' spread allows says the same."""
    lower, upper = (limits.verdict(end) for end in widened(p, scores))
    return lower if lower == upper else "undecided"


def _rates(y: NDArray[np.int64], said: Sequence[VerdictLabel | None]) -> Rates:
    pairs = [(int(label), one) for label, one in zip(y, said, strict=True) if one is not None]
    counts = Counter(pairs)
    labels = Counter(label for label, _ in pairs)
    undecided = counts[0, "undecided"] + counts[1, "undecided"]
    return Rates(labels[0], labels[1], counts[0, "fake"], counts[1, "real"], undecided)


def _distinct(scores: Mapping[str, Sequence[float | None]]) -> list[str]:
    """Return the members in a fixed order, each whose scores no earlier one gives."""
    firsts: dict[tuple[float | None, ...], str] = {}
    for name in sorted(scores):
        firsts.setdefault(tuple(scores[name]), name)
    return list(firsts.values())


def _keys(count: int) -> Iterator[str]:
    for size in range(1, count + 1):
        yield from (_key(list(some)) for some in combinations(range(count), size))


def _key(members: Sequence[int]) -> str:
    return ",".join(str(m) for m in members)


def _fit(table: Floats, y: NDArray[np.int64], key: str) -> tuple[float, ...]:
    """Return weights and bias of some members, from the videos that all of them have scored."""
    from scipy.optimize import minimize

    columns = [int(m) for m in key.split(",")]
    rows = np.isfinite(table[:, columns]).all(axis=1)
    z, labels = table[rows][:, columns], y[rows]
    even = 1 / len(columns)
    if len(np.unique(labels)) < 2:
        return (*[even] * len(columns), 0.0)
    # Either class counts alike: how often clips are fake is not known where a panel is used.
    share = np.where(labels == 1, 0.5 / labels.mean(), 0.5 / (1 - labels.mean()))

    def loss(parameters: Floats) -> float:
        total = z @ parameters[:-1] + parameters[-1]
        apart = SHRINK * float(np.square(parameters[:-1] - even).sum())
        return float(np.mean(share * (np.logaddexp(0, total) - labels * total))) + apart

    start = np.array([*[even] * len(columns), 0.0])
    bounds = [(0.0, None)] * len(columns) + [(None, None)]
    found = minimize(loss, start, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-12})
    return tuple(float(v) for v in found.x)


def _folds(groups: Sequence[str]) -> NDArray[np.int64]:
    """Return the fold of each video; one group is never divided."""
    names = sorted(set(groups))
    place = {name: i for i, name in enumerate(np.random.default_rng(0).permutation(names))}
    return np.array([place[group] % FOLDS for group in groups], dtype=np.int64)


def _logits(scores: Sequence[float | None]) -> Floats:
    """Return logits (N,), NaN where there is no score."""
    return logit(np.array(scores, dtype=np.float64))
