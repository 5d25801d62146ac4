from collections.abc import Callable

import cv2
import numpy as np
import pytest

from deepfake.evaluation.faces import appearance
from preprocessing.types import Image
from recipes.default_model.balance import LIKE, balanced

Draw = Callable[..., Image]


def excesses(real: Image, fake: Image, *, mend: bool) -> list[float]:
    found = []
    for seed in range(60):
        pair = balanced(real, fake, np.random.default_rng(seed)) if mend else (real, fake)
        ours, theirs = (np.log(appearance(image)[0] + 1) for image in pair)
        found.append(float(theirs - ours))
    return found


@pytest.mark.parametrize("softer", ["fake", "real"])
def test_softness_says_nothing_of_the_label(softer: str) -> None:
    rng = np.random.default_rng(0)
    spots = rng.integers(0, 256, (60, 60, 3)).astype(np.uint8)
    sharp = np.asarray(cv2.resize(spots, (200, 200), interpolation=cv2.INTER_CUBIC), np.uint8)
    soft = np.asarray(cv2.GaussianBlur(sharp, (0, 0), 1.6), np.uint8)
    pair = (sharp, soft) if softer == "fake" else (soft, sharp)
    before, after = (np.abs(np.mean(excesses(*pair, mend=mend))) for mend in (False, True))
    assert before > 0.6
    assert after < before / 4
    assert np.std(excesses(*pair, mend=True)) < 2 * LIKE


def test_one_picture_stays_as_it_is(face: Draw) -> None:
    real, fake = face(1), np.asarray(cv2.GaussianBlur(face(1), (0, 0), 2), np.uint8)
    for seed in range(20):
        ours, theirs = balanced(real, fake, np.random.default_rng(seed))
        assert (ours == real).all() or (theirs == fake).all()
        assert ours.shape == theirs.shape == real.shape
