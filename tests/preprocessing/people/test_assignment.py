import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from preprocessing.people.assignment import assign


def test_known_answer() -> None:
    cost = np.array([[4.0, 1.0, 3.0], [2.0, 0.0, 5.0], [3.0, 2.0, 2.0]])
    assert assign(cost) == [(0, 1), (1, 0), (2, 2)]


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (2, 2), (3, 7), (7, 3), (20, 20)])
def test_cost_is_the_least(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        cost = rng.uniform(size=shape)
        cost[rng.uniform(size=shape) < 0.4] = 1e6  # as tracking marks what must not be paired
        pairs = assign(cost)
        rows, columns = zip(*pairs, strict=True)
        assert len(set(rows)) == len(set(columns)) == min(shape)
        assert cost[rows, columns].sum() == pytest.approx(cost[linear_sum_assignment(cost)].sum())
