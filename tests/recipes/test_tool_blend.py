from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from deepfake.data.degrade import five_points
from preprocessing.crops.cropping import TEMPLATE
from preprocessing.types import Image
from recipes.default_model.tool_blend import (
    FRAMINGS,
    PASTES,
    RESYNTHESES,
    ToolBlend,
    aligning,
    bent,
    paste_mask,
    resynthesise,
)

Draw = Callable[..., Image]
Points = NDArray[np.float32]


@pytest.mark.parametrize("seed", range(12))
def test_only_the_inside_of_the_mask_changes(face: Draw, landmarks: Points, seed: int) -> None:
    made = ToolBlend()(face(1), landmarks, np.random.default_rng(seed))
    assert made is not None
    outside = made.mask == 0
    np.testing.assert_array_equal(made.fake[outside], made.real[outside])
    assert made.change >= ToolBlend.min_change
    assert 0 <= made.mask.min() <= made.mask.max() <= 1


def test_same_seed_same_fake_another_seed_another(face: Draw, landmarks: Points) -> None:
    fakes = []
    for seed in (3, 3, 4):
        made = ToolBlend()(face(1), landmarks, np.random.default_rng(seed))
        assert made is not None
        fakes.append(made.fake)
    np.testing.assert_array_equal(fakes[0], fakes[1])
    assert (fakes[0] != fakes[2]).any()


def test_a_donor_comes_in(face: Draw, landmarks: Points) -> None:
    black, white = np.zeros((100, 100, 3), np.uint8), np.full((100, 100, 3), 250, np.uint8)
    made = ToolBlend()(
        white - face(1) // 8, landmarks, np.random.default_rng(0), donor=(black, landmarks)
    )
    # Colours are matched by their mean, so that of black skin only its flatness is left.
    assert made is not None
    inside = made.mask > 0.95
    assert made.fake[inside].std() < made.real[inside].std()


def test_what_was_made_elsewhere_is_put_back_under_a_mask(face: Draw, landmarks: Points) -> None:
    image, green = face(1), np.zeros_like(face(1))
    green[..., 1] = 200
    for seed in range(10):
        found = ToolBlend().put_back(image, green, landmarks, np.random.default_rng(seed))
        inside, outside = found.mask > 0.99, found.mask == 0
        assert inside.any()
        assert np.abs(found.fake[inside].astype(int) - green[inside]).max() <= 3
        np.testing.assert_array_equal(found.fake[outside], image[outside])


@pytest.mark.parametrize("margin", FRAMINGS)
def test_aligned_points_lie_on_the_template(landmarks: Points, margin: float) -> None:
    five = five_points(landmarks)
    matrix = aligning(five, margin)
    placed = five @ matrix[:, :2].T + matrix[:, 2]
    wanted = (TEMPLATE + margin) / (1 + 2 * margin)
    assert np.abs(placed - wanted).max() < 0.1
    np.testing.assert_allclose(placed.mean(axis=0), wanted.mean(axis=0), atol=1e-6)


@pytest.mark.parametrize("paste", PASTES)
def test_no_mask_shows_the_squares_own_edge(landmarks: Points, paste: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        mask = paste_mask(paste, (100, 100), landmarks, rng)  # type: ignore[arg-type]
        edge = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
        assert not edge.any()
        assert mask.max() > 0.9


@pytest.mark.parametrize("kind", RESYNTHESES[:-1])
def test_each_resynthesis_keeps_size_and_takes_detail(face: Draw, kind: str) -> None:
    noisy = np.random.default_rng(0).integers(0, 256, (96, 96, 3)).astype(np.uint8)
    made = resynthesise(noisy, kind, np.random.default_rng(1))  # type: ignore[arg-type]
    assert made.shape == noisy.shape
    assert made.dtype == np.uint8
    if kind != "restore":  # which sharpens again
        assert made.std() < noisy.std()


def test_a_bend_is_small_and_smooth() -> None:
    ramp = np.repeat(np.arange(100, dtype=np.uint8)[None, :, None], 100, axis=0).repeat(3, axis=2)
    moved = bent(ramp, 0.012, np.random.default_rng(0))
    shift = moved[10:-10, 10:-10].astype(int) - ramp[10:-10, 10:-10]
    assert 0 < np.abs(shift).max() <= 6
    assert np.abs(np.diff(shift[..., 0], axis=0)).max() <= 2
