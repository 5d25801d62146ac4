from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from deepfake.data.fakes.blending import (
    Blend,
    blend,
    change_colour,
    hull_mask,
    move,
    soften,
    true_pixels,
)
from deepfake.data.fakes.face_swap import FaceSwapBlend, match_colour, shape_features
from deepfake.data.fakes.hulls import HULLS, dense_from_five, hull_points
from deepfake.data.fakes.self_blend import SelfBlend
from preprocessing.types import Image

Draw = Callable[..., Image]
Points = NDArray[np.float32]


def make(face: Draw, landmarks: Points, seed: int, size: int = 100) -> Blend:
    scale = np.float32(size / 100)
    made = SelfBlend()(face(1, size), landmarks * scale, np.random.default_rng(seed))
    assert made is not None
    return made


@pytest.mark.parametrize("seed", range(10))
def test_only_the_inside_of_the_mask_changes(face: Draw, landmarks: Points, seed: int) -> None:
    made = make(face, landmarks, seed)
    outside = made.mask == 0
    assert outside.any()
    np.testing.assert_array_equal(made.fake[outside], made.real[outside])
    assert made.change >= SelfBlend.min_change
    assert made.mask.max() <= 1
    assert made.mask.min() >= 0


def test_same_seed_same_fake_another_seed_another(face: Draw, landmarks: Points) -> None:
    np.testing.assert_array_equal(make(face, landmarks, 4).fake, make(face, landmarks, 4).fake)
    assert (make(face, landmarks, 4).fake != make(face, landmarks, 5).fake).any()


def test_mask_lies_on_the_face(face: Draw, landmarks: Points) -> None:
    mean = np.mean([make(face, landmarks, seed).mask for seed in range(60)], axis=0)
    rows, columns = np.indices(mean.shape)
    centre = (mean * columns).sum() / mean.sum(), (mean * rows).sum() / mean.sum()
    assert centre == pytest.approx((50, 60), abs=6)
    assert mean[60, 50] > 0.4  # the nose
    assert mean[2, 2] == 0


def test_a_blank_crop_gives_no_fake() -> None:
    points = np.array([[36, 45], [64, 45], [50, 60], [40, 75], [60, 75]], dtype=np.float32)
    still = SelfBlend(min_change=60)
    blank = np.full((100, 100, 3), 128, dtype=np.uint8)
    assert still(blank, points, np.random.default_rng(0)) is None


def test_face_swap_takes_the_other_face_and_keeps_the_rest(face: Draw, landmarks: Points) -> None:
    image, donor = face(1), face(7)
    made = FaceSwapBlend()(image, landmarks, donor, landmarks, np.random.default_rng(0))
    assert made is not None
    np.testing.assert_array_equal(made.real, image)
    np.testing.assert_array_equal(made.fake[made.mask == 0], image[made.mask == 0])


def test_face_swap_aligns_the_donor(face: Draw, landmarks: Points) -> None:
    """A donor of twice the size and elsewhere, blended in fully, lands on the same landmarks."""
    image = face(1)
    big = np.zeros((260, 260, 3), dtype=np.uint8)
    big[30:230, 40:240] = face(1, 200)
    points = landmarks * 2 + np.array([40, 30], dtype=np.float32)
    made = FaceSwapBlend(min_change=0.0)(image, landmarks, big, points, np.random.default_rng(3))
    assert made is not None
    soft = np.abs(made.fake.astype(int) - image)[made.mask > 0.2]
    assert soft.mean() < 20  # noise that was resized, nothing else


def test_colour_is_matched_inside_the_mask(face: Draw) -> None:
    mask = np.zeros((100, 100), dtype=np.float32)
    mask[30:80, 30:70] = 1
    dark, like = (face(3) // 2).astype(np.uint8), face(5)
    before = abs(float(dark[mask > 0].mean()) - float(like[mask > 0].mean()))
    matched = match_colour(dark, like, mask)
    assert abs(float(matched[mask > 0].mean()) - float(like[mask > 0].mean())) < min(before, 5)


def test_shapes_do_not_depend_on_place_and_size(landmarks: Points) -> None:
    other = landmarks * np.float32(3) + np.float32(17)
    shapes = shape_features(np.stack([landmarks, other]))
    np.testing.assert_allclose(shapes[0], shapes[1], atol=1e-5)


def test_blend_is_the_weighted_mean() -> None:
    black, white = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 200, np.uint8)
    made = blend(white, black, np.full((4, 4), 0.25, dtype=np.float32))
    assert (made.fake == 50).all()
    assert made.change == 50


def test_moving_shows_the_image_below_not_a_border() -> None:
    image, over = np.full((20, 20, 3), 9, np.uint8), np.full((20, 20, 3), 77, np.uint8)
    shift = np.array([[1, 0, 10], [0, 1, 0]], dtype=np.float32)
    moved, _ = move(image, over, shift, np.ones((20, 20), dtype=np.float32))
    assert set(np.unique(moved[:, :9])) == {77}
    assert set(np.unique(moved[:, 11:])) == {9}


def test_black_that_fills_up_a_crop_is_left_alone(face: Draw, landmarks: Points) -> None:
    filled = face(1).copy()
    filled[:, :30] = 0
    assert true_pixels(face(1)).all()
    assert set(np.unique(true_pixels(filled)[:, :34])) == {0}
    for seed in range(10):
        made = SelfBlend()(filled, landmarks, np.random.default_rng(seed))
        assert made is not None
        np.testing.assert_array_equal(made.fake[:, :30], made.real[:, :30])
        assert made.mask[:, :33].max() == 0


def test_softened_mask_is_smooth_and_full_inside() -> None:
    square = np.array([[20, 20], [80, 20], [80, 80], [20, 80]], dtype=np.float32)
    for seed in range(20):
        mask = soften(hull_mask((100, 100), square), 60, np.random.default_rng(seed))
        assert mask.max() == pytest.approx(1)
        assert mask[0, 0] == 0
        assert 0 < mask.mean() < 0.6


def test_colour_change_keeps_the_type_and_changes_something(face: Draw) -> None:
    image = face(1)
    changed = [change_colour(image, np.random.default_rng(seed)) for seed in range(20)]
    assert all(other.dtype == np.uint8 and other.shape == image.shape for other in changed)
    assert sum(bool((other != image).any()) for other in changed) > 12


def test_estimated_landmarks_keep_the_five_and_mirror_with_them(landmarks: Points) -> None:
    dense = dense_from_five(landmarks)
    eyes = dense[36:42].mean(axis=0), dense[42:48].mean(axis=0)
    np.testing.assert_allclose(eyes, landmarks[:2], atol=3)
    np.testing.assert_allclose(dense[[48, 54]], landmarks[3:], atol=3)
    assert dense[8, 1] > 80  # the chin below the mouth
    assert dense[0, 0] < 36 < 64 < dense[16, 0]
    mirrored = (np.float32(100) - landmarks * [1, 0])[[1, 0, 2, 4, 3]] * [1, 0] + (
        landmarks[[1, 0, 2, 4, 3]] * [0, 1]
    )
    other = dense_from_five(mirrored.astype(np.float32))
    np.testing.assert_allclose(100 - other[16::-1, 0], dense[:17, 0], atol=1e-3)


def test_estimate_follows_size_and_place(landmarks: Points) -> None:
    moved = dense_from_five(landmarks * np.float32(2) + np.float32(5))
    np.testing.assert_allclose(moved, dense_from_five(landmarks) * 2 + 5, rtol=1e-4)


def test_profile_gives_a_hull_of_some_width() -> None:
    profile = np.array([[50, 45], [52, 45], [40, 60], [48, 75], [50, 75]], dtype=np.float32)
    for hull in HULLS:
        outline = hull_points(profile, hull)
        assert np.isfinite(outline).all()
        assert np.ptp(outline[:, 0]) > 10


def test_a_blend_is_the_weighted_mean_to_a_level_and_the_target_outside() -> None:
    rng = np.random.default_rng(0)
    inserted, target = rng.integers(0, 256, (2, 40, 30, 3), dtype=np.uint8)
    mask = np.clip(rng.uniform(-0.5, 1.5, (40, 30)), 0, 1).astype(np.float32)
    fake = blend(inserted, target, mask).fake
    mean = target + mask[..., None].astype(np.float64) * (inserted.astype(np.float64) - target)
    assert np.abs(fake - mean).max() < 0.51
    assert (fake[mask == 0] == target[mask == 0]).all()


def test_true_pixels_leave_out_what_fills_a_crop_up() -> None:
    image = np.zeros((50, 100, 3), np.uint8)
    image[10:, :80, 2] = 1  # filled up above and on the right
    inside = true_pixels(image)
    expected = np.zeros((50, 100), np.float32)
    expected[12:, :76] = 1
    np.testing.assert_array_equal(inside, expected)
    assert not true_pixels(np.zeros_like(image)).any()
