"""One probability out of several methods."""

import json
from pathlib import Path

import numpy as np
import pytest

from deepfake.calibration import Calibration
from deepfake.errors import DeepfakeError
from deepfake.evaluation.measures import auroc
from deepfake.evaluation.stacking import Stack, fit_stack, read_stack, widened

RNG = np.random.default_rng(0)
LABELS = np.repeat([0, 1], 150)
GROUPS = [f"person {i // 2}" for i in range(300)]
PLAIN = Calibration()


def sigmoid(logits: np.ndarray) -> list[float | None]:
    return [float(p) for p in 1 / (1 + np.exp(-logits))]


# "swap" sees one half of the fakes, "motion" the other.
HALF = (np.arange(300) % 2 == 0) & (LABELS == 1)
SWAP = sigmoid(RNG.normal(size=300) - 2 + 4 * ((LABELS == 1) & ~HALF))
MOTION = sigmoid(RNG.normal(size=300) - 2 + 4 * HALF)
BOTH = {"swap": SWAP, "motion": MOTION}


def fitted(scores: dict[str, list[float | None]]) -> Stack:
    return fit_stack(LABELS, scores, GROUPS, dict.fromkeys(scores, PLAIN))[0]


def test_two_that_see_different_fakes_are_better_together() -> None:
    stack = fitted(BOTH)
    joined = [
        stack.probability({"swap": s, "motion": m}) for s, m in zip(SWAP, MOTION, strict=True)
    ]
    best = max(auroc(LABELS, np.array(s, dtype=float)) for s in (SWAP, MOTION))
    assert auroc(LABELS, np.array(joined, dtype=float)) > best + 0.1


def test_a_copy_changes_nothing() -> None:
    stack, again = fitted(BOTH), fitted({**BOTH, "swap again": SWAP})
    assert again.members == stack.members
    assert again.calibration == stack.calibration
    scores = {"swap": 0.7, "motion": 0.2}
    assert again.probability({**scores, "swap again": 0.7}) == stack.probability(scores)


def test_a_method_without_an_answer_leaves_the_others() -> None:
    stack = fitted(BOTH)
    alone = [stack.probability({"swap": s, "motion": None}) for s in SWAP]
    assert auroc(LABELS, np.array(alone, dtype=float)) == pytest.approx(
        auroc(LABELS, np.array(SWAP, dtype=float))
    )
    assert stack.probability({"swap": None, "motion": None}) is None


def test_a_method_that_answers_at_random_is_hardly_heard() -> None:
    noise = sigmoid(RNG.normal(size=300))
    stack = fitted({"swap": sigmoid(RNG.normal(size=300) + 3 * LABELS), "noise": noise})
    weights = dict(zip(stack.members, stack.weights["0,1"], strict=False))
    assert weights["noise"] < 0.2 * weights["swap"]


def test_reals_called_fake_stay_few() -> None:
    rates = fitted(BOTH).rates[""]
    assert rates.reals == rates.fakes == 150
    assert rates.reals_called_fake <= 0.05 * rates.reals + 1
    assert "of 150 reals called fake" in str(rates)


def test_disagreement_widens_undecided() -> None:
    stack = fitted(BOTH)
    assert stack.decide({"swap": 0.995, "motion": 0.995})[0] == "fake"
    lower, upper = widened(0.9, [0.99, 0.2])
    assert lower < 0.9 < upper
    assert widened(0.9, [0.7, 0.7]) == pytest.approx((0.9, 0.9))
    high = stack.calibration.high
    assert high is not None
    # The same probability, once said by both and once by one against the other.
    steps = np.linspace(0.5, 0.9999999, 4000).tolist()
    by_both = next(s for s in steps if _p(stack, s, s) >= high + 1e-4)
    against = next(s for s in steps if _p(stack, s, 0.1) >= high + 1e-4)
    assert stack.decide({"swap": by_both, "motion": by_both}) == ("fake", False)
    assert stack.decide({"swap": against, "motion": 0.1}) == ("undecided", True)


@pytest.mark.parametrize("swap", np.linspace(0.01, 0.99, 50).tolist())
def test_disagreement_never_decides(swap: float) -> None:
    limits = Calibration(low=0.4, high=0.6, reals=1, fakes=1)
    stack = Stack(("swap", "motion"), {"0,1": (0.5, 0.5, 0.0)}, limits, {})
    scores = {"swap": swap, "motion": 0.05}
    said = limits.verdict(_p(stack, swap, 0.05))
    assert stack.decide(scores)[0] in (said, "undecided")


def test_the_limits_allow_what_the_members_were_fitted_for() -> None:
    lax = Calibration(false_alarms=0.1, target_error=0.2)
    strict = fit_stack(LABELS, BOTH, GROUPS, {"swap": PLAIN, "motion": lax})[0]
    assert strict.calibration == fitted(BOTH).calibration
    wide = fit_stack(LABELS, BOTH, GROUPS, dict.fromkeys(BOTH, lax))[0]
    assert (wide.calibration.false_alarms, wide.calibration.target_error) == (0.1, 0.2)
    assert wide.rates[""].undecided < strict.rates[""].undecided


def _p(stack: Stack, swap: float, motion: float) -> float:
    p = stack.probability({"swap": swap, "motion": motion})
    assert p is not None
    return p


def test_it_is_written_and_read(tmp_path: Path) -> None:
    stack = fitted(BOTH)
    file = tmp_path / "panel.json"
    file.write_text(json.dumps(stack.to_dict()))
    assert read_stack(file) == stack


@pytest.mark.parametrize("text", ["{", "{}", '{"version": 1}', "[]"])
def test_a_file_that_is_no_panel_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "panel.json"
    file.write_text(text)
    with pytest.raises(DeepfakeError, match="panel"):
        read_stack(file)


def test_one_class_or_one_method_is_refused() -> None:
    with pytest.raises(DeepfakeError, match="one class"):
        fit_stack([0, 0], {"a": [0.1, 0.2], "b": [0.3, 0.4]}, ["x", "y"], {})
    with pytest.raises(DeepfakeError, match="same scores"):
        fitted({"swap": SWAP, "copy": SWAP})
