import json
from pathlib import Path

import numpy as np
import pytest

from deepfake.calibration import Calibration
from deepfake.checkpoints.settings import Settings
from deepfake.checkpoints.validation import MOST_FACES, MOST_VIDEOS, ValidationScores
from deepfake.recipe import InputRecipe
from preprocessing.types import PreprocessOptions


def scores(videos: int = 200, faces: int = 20) -> ValidationScores:
    random = np.random.default_rng(0)
    label = np.arange(videos) % 2
    logits = 3 * (2 * label - 1)[:, None] + random.normal(size=(videos, faces))
    rows = np.repeat(np.arange(videos), faces)
    return ValidationScores.of_faces(logits.ravel(), label[rows], rows, np.zeros(len(rows), int))


def settings(validation: ValidationScores | None) -> Settings:
    found = Settings(InputRecipe(), PreprocessOptions(), validation=validation)
    if validation is None:
        return found
    fitted = found.fit(false_alarms=0.05, target_error=0.05)
    return Settings(InputRecipe(), PreprocessOptions(), fitted, validation=validation)


def test_another_rule_gets_a_calibration_of_its_own() -> None:
    held = settings(scores())
    assert held.calibration_for(held.aggregation) is held.calibration
    other = held.calibration_for("max")
    assert other.fitted
    assert other != held.calibration


def test_without_scores_another_rule_is_not_calibrated() -> None:
    fitted = Calibration(threshold=0.8, low=0.2, high=0.8, reals=9, fakes=9)
    held = Settings(InputRecipe(), PreprocessOptions(), fitted)
    assert held.calibration_for(held.aggregation) is fitted
    assert held.calibration_for("mean") == Calibration()
    assert not held.calibration_for("mean").fitted
    assert held.calibration_for("mean").verdict(0.999) == "undecided"


def test_scores_stay_small_and_come_back() -> None:
    many = scores(videos=MOST_VIDEOS + 500)
    assert len(many.labels) == MOST_VIDEOS
    assert {len(row) for row in many.faces} == {MOST_FACES}
    held = settings(many)
    text = held.to_json()
    assert len(json.dumps(held.to_dict()["validation"])) < 250_000
    assert Settings.from_json(text, Path("a.ckpt")) == held


@pytest.mark.parametrize("damage", [{"labels": [3]}, {"logits": [[1.0]]}, {"tracks": "x"}])
def test_damaged_scores_are_refused(damage: dict[str, object]) -> None:
    content = {**scores(4, 2).to_dict(), **damage}
    with pytest.raises((ValueError, TypeError)):
        ValidationScores.from_dict(content)
