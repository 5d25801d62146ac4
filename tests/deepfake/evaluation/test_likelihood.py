import math

import numpy as np
import pytest

from deepfake.evaluation.likelihood import LikelihoodRatio, bounds, cllr, cllr_min, tippett


def test_bounds_by_hand() -> None:
    # 9 and 9 apart: one misleading video more in each class supports (9/10) / (1/10) = 9.
    labels, ratios = [0] * 9 + [1] * 9, [-5.0] * 9 + [5.0] * 9
    assert bounds(labels, ratios) == pytest.approx((1 / 9, 9))
    # Ratios smaller than that are borne out as far as they go.
    assert bounds(labels, [-1.0] * 9 + [1.0] * 9) == pytest.approx((math.exp(-1), math.exp(1)))
    # A strongly misleading real: (9/10) / (2/10).
    assert bounds(labels, [5.0] + [-5.0] * 8 + [5.0] * 9)[1] == pytest.approx(4.5)
    # Ratios without any order say nothing.
    assert bounds([0, 1] * 20, [2.0] * 40) == pytest.approx((1, 1))


def test_cllr_by_hand_and_its_least() -> None:
    assert cllr([0, 1], [0.0, 0.0]) == pytest.approx(1)
    assert cllr([0, 1], [-math.log(3), math.log(3)]) == pytest.approx(math.log2(4 / 3))
    assert math.isnan(cllr([1, 1], [0.0, 1.0]))
    assert math.isnan(cllr_min([0], [0.5]))
    assert cllr_min([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4]) == pytest.approx(0)
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 2
    true = rng.normal(labels * 4 - 2.0, 2.0)  # these are log ratios of themselves
    assert cllr_min(labels, true) < cllr(labels, true) < cllr(labels, 3 * true)
    assert cllr_min(labels, true) == pytest.approx(cllr_min(labels, np.exp(true)))


@pytest.mark.parametrize(
    ("value", "words"),
    [(1.5, "no support"), (5, "weak"), (50, "moderate support"), (1 / 300, "moderately strong")],
)
def test_words_of_the_scale(value: float, words: str) -> None:
    assert words in str(LikelihoodRatio(value))
    assert ("if real" in str(LikelihoodRatio(value))) == (value < 1)


def test_tippett_by_hand() -> None:
    x, share = tippett([2.0, -1.0])
    assert (x.tolist(), share.tolist()) == ([-1, 2], [1, 0.5])
