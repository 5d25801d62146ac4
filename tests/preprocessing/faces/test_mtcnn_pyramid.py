"""Resizing and cropping against torch's adaptive average pooling."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from preprocessing.faces.mtcnn_pyramid import Floats, SumTable, parts_around, scales
from preprocessing.types import Image


def image(height: int, width: int, seed: int = 0) -> Image:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def pooled(pixels: Image, height: int, width: int) -> Floats:
    channels = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)
    return np.asarray(F.adaptive_avg_pool2d(channels, (height, width)).permute(1, 2, 0))


@pytest.mark.parametrize("source", [(1, 1), (37, 50), (120, 80), (241, 97)])
@pytest.mark.parametrize("target", [(1, 1), (12, 17), (70, 33), (130, 90)])
def test_resize_is_adaptive_average_pooling(
    source: tuple[int, int], target: tuple[int, int]
) -> None:
    pixels = image(*source)
    np.testing.assert_allclose(SumTable(pixels).resize(*target), pooled(pixels, *target), atol=1e-4)


def test_sums_may_pass_32_bits() -> None:
    white = np.full((3000, 3000, 3), 255, np.uint8)  # 2.3e9
    np.testing.assert_array_equal(SumTable(white).resize(13, 13), 255)


@pytest.mark.parametrize("side", [24, 48])
def test_crops_are_what_facenet_cuts_out(side: int) -> None:
    pixels = image(90, 140)
    boxes = np.array(
        [[10.7, 5.2, 60.9, 55.9], [-20, -30, 30, 20], [100, 60, 170, 130], [3, 4, 9, 10]],
        np.float32,
    )
    seen, faces = SumTable(pixels).crop(boxes, side)
    assert seen.tolist() == [0, 1, 2, 3]
    regions = [pixels[4:55, 9:60], pixels[:20, :30], pixels[59:, 99:], pixels[3:10, 2:9]]
    for face, region in zip(faces, regions, strict=True):
        np.testing.assert_allclose(face, pooled(region, side, side), atol=1e-4)


def test_boxes_outside_the_image_are_left_out() -> None:
    boxes = np.array(
        [[200, 0, 220, 20], [-30, 0, -5, 20], [5, 5, 30, 30], [9, 9, 8, 8]], np.float32
    )
    seen, faces = SumTable(image(50, 60)).crop(boxes, 24)
    assert seen.tolist() == [2]
    assert faces.shape == (1, 24, 24, 3)


def test_scales_end_where_the_window_no_longer_fits() -> None:
    assert scales(12, 40, 1.0, 0.709) == [1.0]
    assert scales(11, 40, 1.0, 0.709) == []
    found = scales(100, 300, 0.6, 0.709)
    assert found[1] == 0.6 * 0.709
    assert found[-1] * 100 >= 12 > found[-1] * 0.709 * 100


def test_a_part_of_a_level_has_the_pixels_of_the_whole() -> None:
    image = np.random.default_rng(0).integers(0, 256, (90, 161, 3), dtype=np.uint8)
    whole = SumTable(image).resize(50, 83)
    part = SumTable(image).resize(50, 83, (2, 10, 47, 83))
    np.testing.assert_array_equal(part, whole[2:47, 10:83])


def test_parts_lie_around_boxes_of_the_levels_size() -> None:
    boxes = np.array([[100, 100, 140, 140], [300, 0, 700, 400]], np.float32)
    # windows of 48 pixels: the first box with as much around it; the second is too large
    assert parts_around(boxes, 0.25, 300, 300) == [(14, 14, 46, 46)]
    assert parts_around(boxes, 1 / 32, 30, 30) == [(0, 0, 26, 30)]  # 384 pixels: the second
    assert parts_around(boxes[:1] - 90, 0.25, 300, 300) == [(0, 0, 24, 24)]  # at the corner
    assert parts_around(boxes[:1], 0.25, 36, 36) == [(14, 14, 36, 36)]
    assert parts_around(boxes[[0] * 90], 0.25, 300, 300) == [(0, 0, 300, 300)]  # all is cheaper
    assert parts_around(boxes[:0], 0.25, 300, 300) == []
