import argparse

import pytest

from deepfake.cli.limits import add_limits, limits_of
from deepfake.errors import DeepfakeError
from preprocessing.limits import DEFAULT, Limits


def limits(*given: str) -> Limits:
    parser = argparse.ArgumentParser()
    add_limits(parser)
    return limits_of(parser.parse_args(given))


def test_options_become_limits() -> None:
    assert limits() == DEFAULT
    given = limits("--max-pixels", "100", "--max-duration", "2.5", "--max-people", "3")
    assert (given.pixels, given.duration_s, given.tracks, given.faces) == (100, 2.5, 3, 40)


@pytest.mark.parametrize("option", ["--max-pixels", "--max-decoded", "--max-faces"])
def test_limits_below_one_are_refused_by_name(option: str) -> None:
    with pytest.raises(DeepfakeError, match=f"{option} must be above 0, got -1"):
        limits(option, "-1")
