from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from deepfake.data.degrade import cut_out_part, five_points, recompress_video, resize_chain
from deepfake.data.transforms import AugmentationName, make_augmentation
from preprocessing.types import Image

Draw = Callable[..., Image]
Points = NDArray[np.float32]
CHANGING: tuple[AugmentationName, ...] = ("paper", "strong")


def test_none_changes_nothing(face: Draw, landmarks: Points) -> None:
    image = face(0)
    changed = make_augmentation("none")([image], [landmarks], np.random.default_rng(0))
    np.testing.assert_array_equal(changed[0], image)


@pytest.mark.parametrize("name", CHANGING)
def test_seed_decides_everything(name: AugmentationName, face: Draw, landmarks: Points) -> None:
    first, second = make_augmentation(name), make_augmentation(name)
    second([face(9)], [landmarks], np.random.default_rng(99))  # what came before does not matter
    outcomes = []
    for seed in range(12):
        a = first([face(0)], [landmarks], np.random.default_rng(seed))[0]
        b = second([face(0)], [landmarks], np.random.default_rng(seed))[0]
        np.testing.assert_array_equal(a, b)
        assert a.shape == (100, 100, 3)
        assert a.dtype == np.uint8
        outcomes.append(a.tobytes())
    assert len(set(outcomes)) > 8


@pytest.mark.parametrize("name", CHANGING)
def test_steps_are_drawn_independently(
    name: AugmentationName, face: Draw, landmarks: Points
) -> None:
    """Were the chances of all steps one number, many crops would come back untouched."""
    augment, image = make_augmentation(name), face(0)
    same = 0
    for seed in range(100):
        changed = augment([image], [landmarks], np.random.default_rng(seed))[0]
        same += int((changed == image).all())
    assert same < 20


@pytest.mark.parametrize("name", CHANGING)
def test_frames_of_a_clip_are_changed_alike(
    name: AugmentationName, face: Draw, landmarks: Points
) -> None:
    augment = make_augmentation(name)
    for seed in range(8):
        clip = augment([face(0)] * 3, [landmarks] * 3, np.random.default_rng(seed))
        spread = np.abs(clip[0].astype(int) - clip[2]).mean()
        assert spread < 12  # a codec may differ from frame to frame, a flip would show


def test_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="none, paper, strong"):
        make_augmentation("weak")  # type: ignore[arg-type]


def test_resize_chain_removes_detail_and_keeps_size(face: Draw) -> None:
    image = face(0)
    for seed in range(5):
        soft = resize_chain(image, np.random.default_rng(seed))
        assert soft.shape == image.shape
        assert np.abs(np.diff(soft.astype(int), axis=1)).mean() < (
            np.abs(np.diff(image.astype(int), axis=1)).mean()
        )


@pytest.mark.parametrize("count", [1, 3])
def test_reencoding_loses_more_at_a_higher_crf(face: Draw, count: int) -> None:
    clip = [face(0, 97)] * count  # an odd size, which H.264 has not
    errors = []
    for crf in (1, 25, 45):
        back = recompress_video(clip, crf=crf)
        assert [image.shape for image in back] == [(97, 97, 3)] * count
        errors.append(np.abs(back[0].astype(int) - clip[0]).mean())
    assert errors[0] < errors[1] < errors[2]


def test_cut_out_hides_one_part_only(face: Draw, landmarks: Points) -> None:
    image = face(0)
    for seed in range(10):
        changed = (cut_out_part(image, landmarks, np.random.default_rng(seed)) != image).any(axis=2)
        assert 20 < changed.sum() < 3000
        ys, xs = np.nonzero(changed)
        assert 10 < xs.mean() < 90
        assert 25 < ys.mean() < 95


def test_cut_out_outside_the_crop_is_no_error(face: Draw) -> None:
    away = np.full((5, 2), -50, dtype=np.float32)
    image = face(0)
    np.testing.assert_array_equal(cut_out_part(image, away, np.random.default_rng(0)), image)


def test_five_points_of_68() -> None:
    dense = np.arange(136, dtype=np.float32).reshape(68, 2)
    five = five_points(dense)
    np.testing.assert_array_equal(five[2], dense[30])
    np.testing.assert_array_equal(five[0], dense[36:42].mean(axis=0))
