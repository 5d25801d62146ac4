import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from deepfake.evaluation.delong import delong_test, grouped_auroc_interval
from deepfake.evaluation.intervals import (
    Interval,
    auroc_interval,
    bootstrap,
    share_interval,
    wilson,
)
from deepfake.evaluation.measures import accuracy, auroc, average_precision, balanced_accuracy
from deepfake.evaluation.shortcuts import residual_auroc, shortcut_auroc
from tests.reliability.simulate import coverage, of_people


def test_bootstrap_of_a_share_agrees_with_its_normal_interval() -> None:
    labels = np.zeros(400, dtype=np.int64)
    scores = np.where(np.arange(400) < 100, 0.9, 0.1)
    (found,) = bootstrap(lambda y, s: [accuracy(y, s)], labels, scores, repeats=4000)
    half = 1.96 * math.sqrt(0.25 * 0.75 / 400)
    assert found.low == pytest.approx(0.75 - half, abs=0.008)
    assert found.high == pytest.approx(0.75 + half, abs=0.008)


def test_groups_are_drawn_whole() -> None:
    # 20 copies of each of 20 videos know no more than the 20 videos.
    rng = np.random.default_rng(1)
    labels, scores = np.arange(20) % 2, rng.random(20)
    (once,) = bootstrap(lambda y, s: [auroc(y, s)], labels, scores, repeats=2000)
    (copies,) = bootstrap(
        lambda y, s: [auroc(y, s)],
        np.repeat(labels, 20),
        np.repeat(scores, 20),
        groups=np.repeat([f"video {k}" for k in range(20)], 20),
        repeats=2000,
    )
    assert copies.low == pytest.approx(once.low, abs=0.03)
    assert copies.high == pytest.approx(once.high, abs=0.03)


@pytest.mark.parametrize("area", [0.7, 0.95, 0.99])
@pytest.mark.parametrize(
    ("groups", "each", "alike"), [(20, 1, 0.0), (100, 1, 0.0), (6, 6, 0.5), (10, 4, 0.9)]
)
def test_auroc_interval_covers_the_truth(area: float, groups: int, each: int, alike: float) -> None:
    held = coverage(300, area=area, groups=groups, each=each, alike=alike)
    assert held >= 277 / 300  # of 300 at 95 %, less two deviations


@pytest.mark.parametrize(("groups", "each", "alike"), [(20, 1, 0.0), (8, 5, 0.5)])
def test_accuracy_interval_covers_the_truth(groups: int, each: int, alike: float) -> None:
    truth, covered = float(stats.norm.cdf(1.2)), 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        _, s, g = of_people(rng, area=0.5, groups=groups, each=each, alike=alike)
        found = share_interval(s < 1.2, g)
        covered += found.low <= truth <= found.high
    assert covered >= 277


@pytest.mark.parametrize("measure", [average_precision, balanced_accuracy])
def test_bootstrap_covers_the_truth(measure: Callable[..., float]) -> None:
    rng = np.random.default_rng(0)
    truth = measure(*_scored(rng, 200_000))
    covered = 0
    for _ in range(50):
        y, s = _scored(rng, 30)
        (found,) = bootstrap(lambda a, b: [measure(a, b)], y, s, repeats=100)
        covered += found.low <= truth <= found.high
    assert covered >= 45


def _scored(rng: np.random.Generator, number: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    labels = np.arange(number) % 2
    return labels, 1 / (1 + np.exp(-rng.normal(3.0 * labels - 1.5, 1.5)))


@pytest.mark.parametrize("number", [3, 13, 23, 49, 50])
def test_a_perfect_order_is_not_certain(number: int) -> None:
    rng = np.random.default_rng(number)
    labels = np.repeat([0, 1], number)
    scores = np.where(labels == 1, 0.6, 0.0) + rng.random(2 * number) * 0.4
    found = grouped_auroc_interval(labels, scores, np.arange(2 * number))
    assert found.high == pytest.approx(1)
    assert found.low < 1 - 1 / number
    person = grouped_auroc_interval(labels, scores, np.arange(2 * number) // 3)
    assert person.low < found.low


def test_same_seed_same_interval_and_one_group_has_none() -> None:
    labels, scores = [0, 1, 0, 1], [0.1, 0.8, 0.7, 0.6]
    first = bootstrap(lambda y, s: [auroc(y, s)], labels, scores)
    assert first == bootstrap(lambda y, s: [auroc(y, s)], labels, scores)
    (none,) = bootstrap(lambda y, s: [auroc(y, s)], labels, scores, groups=["a"] * 4)
    assert math.isnan(none.low)
    (one_class,) = bootstrap(lambda y, s: [auroc(y, s)], [1, 1, 1], [0.1, 0.2, 0.3])
    assert math.isnan(one_class.high)


def test_wilson_by_hand() -> None:
    assert wilson(1.0, 10).low == pytest.approx(0.7225, abs=1e-4)
    assert wilson(0.0, 10).high == pytest.approx(0.2775, abs=1e-4)
    assert wilson(0.5, 40) == Interval(*stats.binomtest(20, 40).proportion_ci(method="wilson"))


def test_interval_of_a_constant_and_of_a_perfect_classifier() -> None:
    chance = auroc_interval(0.5, 20, 20)
    assert 0.3 < chance.low < 0.35
    assert chance.high == pytest.approx(1 - chance.low, abs=0.02)
    perfect = auroc_interval(1.0, 20, 20)
    assert 0.8 < perfect.low < 0.95
    assert perfect.high == 1.0
    assert auroc_interval(1.0, 1000, 1000).low > 0.995


def _delong_by_pairs(labels: list[int], first: list[float], second: list[float]) -> float:
    """The test's z-value by its definition, pair by pair."""
    fakes = [k for k, label in enumerate(labels) if label]
    reals = [k for k, label in enumerate(labels) if not label]
    wins = np.array(
        [
            [[(s[f] > s[r]) + 0.5 * (s[f] == s[r]) for r in reals] for f in fakes]
            for s in (first, second)
        ]
    )
    difference = wins[0] - wins[1]  # (fakes, reals)
    variance = difference.mean(1).var(ddof=1) / len(fakes)
    variance += difference.mean(0).var(ddof=1) / len(reals)
    return float(difference.mean() / math.sqrt(variance))


def test_delong_agrees_with_its_definition() -> None:
    rng = np.random.default_rng(3)
    labels = (rng.random(60) < 0.4).astype(int).tolist()
    first = np.round(rng.normal(labels, 1.0), 1).tolist()  # with ties
    second = np.round(rng.normal(np.array(labels) * 0.4, 1.0), 1).tolist()
    found = delong_test(labels, first, second)
    z = _delong_by_pairs(labels, first, second)
    assert found.p_value == pytest.approx(2 * stats.norm.sf(abs(z)), abs=1e-12)
    assert found.first == pytest.approx(auroc(labels, first), abs=1e-12)
    assert found.second == pytest.approx(auroc(labels, second), abs=1e-12)
    assert found.low < found.difference < found.high


@given(st.lists(st.integers(0, 5), min_size=6, max_size=30), st.integers(0, 1000))
def test_delong_of_a_score_with_itself_finds_nothing(values: list[int], seed: int) -> None:
    labels = np.arange(len(values)) % 2
    found = delong_test(labels, values, [2 * value + 1 for value in values])
    assert found.difference == pytest.approx(0)
    assert found.p_value == 1


def test_delong_of_too_few_is_nan() -> None:
    found = delong_test([0, 1, 1], [0.1, 0.2, 0.3], [0.3, 0.2, 0.1])
    assert math.isnan(found.p_value)
    assert found.difference == 1


def test_shortcuts_and_what_is_left_without_them() -> None:
    rng = np.random.default_rng(5)
    labels = np.arange(2000) % 2
    size = rng.normal(labels * 2.0, 1.0)  # fakes are larger
    noise = rng.normal(0, 1, 2000)
    cheat = 1 / (1 + np.exp(-(size + 0.5 * noise)))
    honest = 1 / (1 + np.exp(-rng.normal(labels * 2.0, 1.0)))
    assert shortcut_auroc(labels, size) > 0.9
    assert auroc(labels, cheat) > 0.85
    assert abs(residual_auroc(labels, cheat, size) - 0.5) < 0.05
    assert residual_auroc(labels, honest, size) > 0.65  # part of it goes with the size
    independent = rng.normal(0, 1, 2000)
    assert residual_auroc(labels, honest, independent) == pytest.approx(
        auroc(labels, honest), abs=0.01
    )
    assert residual_auroc(labels, np.full(2000, 0.7), size) == 0.5
    assert math.isnan(residual_auroc([0, 1], [0.1, 0.2], [1.0, 2.0]))
