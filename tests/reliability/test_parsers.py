"""What `fuzz.py` does guided by coverage, here for a moment: damaged inputs of our parsers."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.reliability.attacks import MUTATIONS
from tests.reliability.parsers import PARSERS, refuses_or_reads, seeds

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "../x", "a/b", "\0", "real", "x" * 300, "\udcff"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@pytest.mark.parametrize("name", sorted(PARSERS))
def test_a_good_input_is_read(name: str) -> None:
    PARSERS[name](seeds()[name])


@pytest.mark.parametrize("name", sorted(PARSERS))
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_damaged_inputs_are_read_or_refused(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = seeds()[name]
    for number in rng.integers(0, len(MUTATIONS), int(rng.integers(1, 3))):
        data = MUTATIONS[number](data, rng) if data else data
    refuses_or_reads(PARSERS[name], data)


@pytest.mark.parametrize("name", ["record", "options", "settings"])
@given(data=st.data())
@settings(max_examples=60)
def test_wrong_types_are_refused(name: str, data: st.DataObject) -> None:
    content = json.loads(seeds()[name])
    places = list(_places(content))
    holder, key = data.draw(st.sampled_from(places))
    holder[key] = data.draw(VALUES)
    refuses_or_reads(PARSERS[name], json.dumps(content).encode())


@pytest.mark.parametrize("name", ["record", "options", "settings"])
@given(content=VALUES)
@example(content=[[[[]]]])
@settings(max_examples=30)
def test_other_json_is_refused(name: str, content: object) -> None:
    refuses_or_reads(PARSERS[name], json.dumps(content).encode())


@pytest.mark.parametrize("name", ["record", "options", "settings"])
def test_deep_json_is_refused(name: str) -> None:
    refuses_or_reads(PARSERS[name], b"[" * 100_000)


def _places(content: Any) -> "list[tuple[Any, Any]]":  # noqa: ANN401
    keys = content if isinstance(content, dict) else range(len(content))
    places = [(content, key) for key in keys]
    for _, key in list(places):
        if isinstance(content[key], dict | list):
            places += _places(content[key])
    return places
