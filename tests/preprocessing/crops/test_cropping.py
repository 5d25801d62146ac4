from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from preprocessing.crops.cropping import TEMPLATE, alignment, crop_face, crop_region, cut
from preprocessing.pipeline import crop_known, extract_faces
from preprocessing.types import Detection, Image, PreprocessOptions


def detection(box: tuple[float, float, float, float]) -> Detection:
    x0, y0, x1, y1 = box
    size, corner = np.array([x1 - x0, y1 - y0]), np.array([x0, y0])
    points = (TEMPLATE * size + corner).astype(np.float32)
    return Detection(0, 0.0, box, 0.99, points)


def test_margin_is_a_fraction_of_the_longer_side() -> None:
    region = crop_region((100, 100, 140, 160), 0.5, square=True, width=500, height=500)
    assert region == (60, 70, 180, 190)  # 60 + 2 * 30 around the centre (120, 130)


def test_a_square_at_the_edge_moves_inside() -> None:
    region = crop_region((0, 200, 40, 240), 0.5, square=True, width=500, height=500)
    assert region == (0, 180, 80, 260)


@given(
    x=st.floats(-50, 300),
    y=st.floats(-50, 200),
    w=st.floats(2, 400),
    h=st.floats(2, 400),
    margin=st.floats(0, 1),
)
def test_square_crops_are_square_and_true_pixels_where_they_fit(
    x: float, y: float, w: float, h: float, margin: float
) -> None:
    region = crop_region((x, y, x + w, y + h), margin, square=True, width=320, height=240)
    side = region[2] - region[0]
    assert side == region[3] - region[1] >= 2
    if side <= 240:
        assert region[0] >= 0
        assert region[1] >= 0
        assert region[2] <= 320
        assert region[3] <= 240
    image = np.full((240, 320, 3), 9, dtype=np.uint8)
    assert cut(image, region).shape == (side, side, 3)


def test_cut_gives_the_pixels_and_black_outside() -> None:
    image = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    assert np.array_equal(cut(image, (1, 0, 3, 2)), image[0:2, 1:3])
    wide = cut(image, (-1, 0, 5, 4))
    assert wide[:, 0].max() == 0
    assert np.array_equal(wide[:, 1:], image)


def test_large_crops_are_shrunk_small_ones_stay() -> None:
    image = np.zeros((600, 600, 3), dtype=np.uint8)
    big, region = crop_face(
        image, detection((50, 50, 450, 450)), margin=0.25, shape="square", max_size=300
    )
    assert big.shape == (300, 300, 3)
    assert region == (0, 0, 600, 600)
    small, _ = crop_face(
        image, detection((50, 50, 90, 90)), margin=0.25, shape="square", max_size=300
    )
    assert small.shape == (60, 60, 3)


@pytest.mark.parametrize("angle", [0.0, 0.4, -1.2])
def test_alignment_puts_landmarks_on_the_template(angle: float) -> None:
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = (TEMPLATE * 70 @ turn.T + [30, 200]).astype(np.float32)
    matrix = alignment(points, 128, 0.3)
    mapped = points @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(mapped, (TEMPLATE + 0.3) * 128 / 1.6, atol=1e-3)


def test_box_crops_keep_their_shape_inside_the_frame() -> None:
    image = np.zeros((100, 100, 3), dtype=np.uint8)
    crop, region = crop_face(
        image, detection((10, 20, 50, 90)), margin=0.5, shape="box", max_size=400
    )
    assert region == (0, 0, 70, 100)
    assert crop.shape == (100, 70, 3)


def test_a_square_larger_than_its_photograph_shrinks_to_it() -> None:
    box = (20.0, 10.0, 80.0, 90.0)
    reaching = crop_region(box, 0.5, square=True, width=100, height=120)
    assert reaching[2] - reaching[0] == 160
    inside = crop_region(box, 0.5, square=True, width=100, height=120, inside=True)
    assert inside == (0, 0, 100, 100)


@given(x=st.floats(-50, 150), y=st.floats(-50, 150), side=st.floats(4, 300), margin=st.floats(0, 1))
def test_inside_shows_no_black(x: float, y: float, side: float, margin: float) -> None:
    box = (x, y, x + side, y + side)
    x0, y0, x1, y1 = crop_region(box, margin, square=True, width=160, height=90, inside=True)
    assert 0 <= x0 < x1 <= 160
    assert 0 <= y0 < y1 <= 90
    assert x1 - x0 == y1 - y0


class OneFace:
    """Finds the same large face in every image."""

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        return [[detection((20, 15, 80, 75))] for _ in images]


@pytest.mark.parametrize(
    ("still", "inside", "stays"),
    [(True, "stills", True), (False, "stills", False), (False, "always", True)],
)
def test_a_square_larger_than_its_picture_stays_inside_where_asked(
    still: bool,
    inside: Literal["stills", "always"],
    stays: bool,
    make_video: Callable[..., Path],
    tmp_path: Path,
) -> None:
    picture = np.full((80, 100, 3), 200, np.uint8)
    file = tmp_path / "face.png"
    if still:
        Pillow.fromarray(picture).save(file)
    else:
        file = make_video(tmp_path / "face.mp4", [picture] * 3)
    options = PreprocessOptions(margin=0.5, inside=inside)
    (face, *_) = extract_faces(file, options, OneFace()).faces
    left, top, right, bottom = face.crop_box
    assert (min(left, top) >= 0 and right <= 100 and bottom <= 80) == stays
    assert bool(face.image.min() > 100) == stays
    known = crop_known(file, options, extract_faces(file, options, OneFace()).tracks)
    assert known.faces[0].crop_box == face.crop_box
