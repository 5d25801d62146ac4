import cv2
import numpy as np
import pytest

from deepfake.data.degrade import h264
from deepfake.evaluation.damage import LEVELS, damage
from preprocessing.types import Image


def scene(frame: int = 0, height: int = 99, width: int = 131) -> Image:
    y, x = np.mgrid[:height, :width].astype(np.float64)
    waves = [np.sin((x + 2 * frame) / 7 + k) * np.cos(y / (5 + k)) for k in range(3)]
    return (127.5 + 100 * np.stack(waves, axis=-1)).astype(np.uint8)


def clip() -> list[Image]:
    return [scene(frame) for frame in range(6)]


def error(frames: list[Image], kind: str, level: int) -> float:
    image = frames[-1]
    found = damage(frames, kind, level, np.random.default_rng(0))
    assert found.shape == image.shape
    assert found.dtype == np.uint8
    return float(np.abs(found.astype(np.float64) - image).mean())


@pytest.mark.parametrize("kind", LEVELS)
def test_every_level_hurts_more_than_the_one_before(kind: str) -> None:
    if kind == "social":  # only frames larger than what is sent are shrunk
        frames = [scene(k, 640, 480) for k in range(3)]
        levels = [2, 4, 5]
    else:
        frames = clip()
        levels = [1, 2, 3, 4, 5]
    errors = [error(frames, kind, level) for level in levels]
    assert errors[0] > 0
    assert errors == sorted(errors)


def test_levels_are_those_of_deeperforensics() -> None:
    assert set(LEVELS) == {
        "saturation", "contrast", "block", "noise", "blur", "downscale", "h264", "social",
    }  # fmt: skip
    assert all(len(levels) == 5 for levels in LEVELS.values())


def test_damages_by_hand() -> None:
    grey = np.full((256, 300, 3), 100, dtype=np.uint8)
    generator = np.random.default_rng(0)
    np.testing.assert_array_equal(damage([grey], "contrast", 3, generator), 60)
    np.testing.assert_allclose(damage([grey], "saturation", 1, generator), 100, atol=1)
    colourless = damage([scene()], "saturation", 5, generator).astype(int)
    assert np.abs(colourless - colourless.mean(axis=2, keepdims=True)).max() <= 1
    blocks = damage([grey], "block", 1, generator)
    assert 0 < (blocks == 128).all(axis=2).sum() <= 16 * 64
    expected = np.asarray(cv2.GaussianBlur(scene(), (13, 13), 13 / 6))
    np.testing.assert_array_equal(damage([scene()], "blur", 3, generator), expected)


def test_noise_has_the_variance_asked_for() -> None:
    grey = np.full((200, 200, 3), 128, dtype=np.uint8)
    noisy = damage([grey], "noise", 2, np.random.default_rng(0)).astype(np.float64) / 255
    luma = noisy @ (0.299, 0.587, 0.114)
    assert luma.std() == pytest.approx(np.sqrt(0.002) * 255 / 219, rel=0.03)


def test_encoder_keeps_order_and_odd_sizes() -> None:
    frames = clip()
    decoded = h264(frames, crf=10)
    for k, image in enumerate(decoded):
        distances = [np.abs(image.astype(float) - frame).mean() for frame in frames]
        assert int(np.argmin(distances)) == k
    assert len(h264(frames[:1], crf=40)) == 1
