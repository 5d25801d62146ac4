"""What a panel says of a data set that it was not fitted on."""

import numpy as np

from preprocessing.types import Label
from recipes.default_model.panel import Seen, left_out
from recipes.default_model.unlike import rates, table


def videos() -> list[Seen]:
    """Return two data sets on which both members are right, and odd reals that look fake."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(240):
        scores = rng.normal(4 * (number % 2) - 2, 0.5, size=2)
        p = 1 / (1 + np.exp(-scores))
        features = (rng.normal(size=8).astype(np.float32), rng.normal(size=6).astype(np.float32))
        label: Label = 1 if number % 2 else 0
        name = "ab"[number % 4 // 2]
        found.append(Seen(f"{name}/{number}", label, name, (p[0], p[1]), features))
    for number in range(2):
        far = (rng.normal(size=8).astype(np.float32) + 30, rng.normal(size=6).astype(np.float32))
        found.append(Seen(f"odd/{number}", 0, "odd", (0.97, 0.98 - number / 1000), far))
    return found


def test_a_data_set_left_out_is_decided_by_the_others_and_the_unlike_held_back() -> None:
    found = left_out(videos(), target_error=0.15)
    assert len(found) == 242
    reals, fakes = rates(found).splitlines()
    assert reals.startswith("reals: 0 of 122 called fake")
    assert int(fakes.split()[1]) > 80
    odd = [one for one in found if one.wrong]
    assert len(odd) == 2
    assert max(one.likeness for one in odd) < 0.05
    _, _, without, kept, _ = table(found).splitlines()
    assert without.startswith("| without the gauge | 2 of ")
    assert kept.startswith("| with it | 0 of ")
