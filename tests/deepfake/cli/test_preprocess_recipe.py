"""`preprocess --crop` and `--recipe`: crops as published."""

import pytest

from deepfake.checkpoints.published.card import known_cards
from deepfake.checkpoints.published.load import published_crops
from deepfake.errors import CheckpointError, DeepfakeError
from deepfake.preprocess import _options, parser
from preprocessing.types import PreprocessOptions


def options(*arguments: str) -> PreprocessOptions:
    return _options(parser().parse_args(["videos", *arguments]))


def test_defaults_are_those_of_the_options() -> None:
    assert options() == PreprocessOptions()
    assert options("--crop", "aligned").crop == "aligned"


def test_nothing_is_not_taken_for_the_default() -> None:
    for option in ("--frames", "--size", "--workers"):
        with pytest.raises(DeepfakeError, match=f"{option} must be at least"):
            options(option, "0")


def test_a_published_recipe_sets_all_that_its_authors_set() -> None:
    assert options("--recipe", "sbi_efficientnet_b4") == PreprocessOptions(
        margin=0.125, crop="box", crop_size=4096
    )
    winner = options("--recipe", "selimsef_b7")
    assert (winner.thresholds, winner.min_score) == ((0.7, 0.8, 0.8), 0.0)
    assert options("--recipe", "mesonet").crop == "aligned"


def test_what_is_given_goes_before_the_recipe() -> None:
    given = options("--recipe", "deepfakebench_xception", "--margin", "0", "--size", "64")
    assert (given.margin, given.crop_size, given.crop) == (0.0, 64, "aligned")


def test_every_card_names_a_recipe_and_an_unknown_one_is_told() -> None:
    for card in known_cards():
        assert published_crops(card.name).margin == card.preprocess["margin"]
    with pytest.raises(CheckpointError, match=r"'sbi'\. Did you mean sbi_efficientnet_b4"):
        published_crops("sbi")
