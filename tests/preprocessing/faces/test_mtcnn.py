"""MTCNN against facenet-pytorch, and on images that it must survive."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from skimage import data

from preprocessing.faces.detection import FaceDetector
from preprocessing.faces.mtcnn import MTCNN, default_min_face_size
from preprocessing.types import Detection, Image

detector = MTCNN()


@pytest.fixture(scope="module")
def portrait() -> Image:
    return np.asarray(data.astronaut(), np.uint8)  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def facenet() -> Callable[..., Any]:
    import facenet_pytorch
    import torch

    torch.set_num_threads(1)
    detect: Callable[..., Any] = facenet_pytorch.MTCNN(keep_all=True).detect
    return detect


def centre(face: Detection) -> tuple[float, float]:
    return (face.box[0] + face.box[2]) / 2, (face.box[1] + face.box[3]) / 2


def test_is_a_face_detector() -> None:
    conforming: FaceDetector = detector
    assert conforming.detect([]) == []


def test_finds_the_portrait(portrait: Image) -> None:
    (face,) = detector.detect([portrait])[0]
    # tests/reference/mtcnn.json: facenet-pytorch 2.5.3 on the same pixels
    np.testing.assert_allclose(face.box, [181.0514, 62.1561, 267.7473, 172.0502], atol=0.05)
    expected = [
        [205.0109, 101.7274],
        [246.7626, 103.7141],
        [224.6714, 128.965],
        [201.7161, 139.2462],
        [245.2655, 141.857],
    ]
    np.testing.assert_allclose(face.landmarks, expected, atol=0.05)
    assert face.landmarks.dtype == np.float32
    assert face.score == pytest.approx(0.999998, abs=1e-5)
    assert (face.frame, face.time_s) == (0, 0.0)


@pytest.mark.parametrize("height", [97, 256, 511, 800])
def test_boxes_are_facenets(portrait: Image, facenet: Callable[..., Any], height: int) -> None:
    scene = np.concatenate([portrait, portrait[::2, ::2].repeat(2, 0)[:, ::-1]], 1)
    size = (2 * height + 13, height)
    scene = np.asarray(cv2.resize(scene, size), np.uint8)
    boxes, scores, landmarks = facenet(scene, landmarks=True)
    faces = MTCNN(min_face_size=20).detect([scene])[0]
    assert len(faces) == len(boxes) > 0
    for face, box, score, points in zip(faces, boxes, scores, landmarks, strict=True):
        np.testing.assert_allclose(face.box, box.astype(float), atol=0.02)
        np.testing.assert_allclose(face.landmarks, points.astype(float), atol=0.02)
        assert face.score == pytest.approx(score, abs=1e-4)


def test_images_of_different_size_keep_their_places(portrait: Image) -> None:
    blank = np.zeros((40, 70, 3), np.uint8)
    alone = detector.detect([portrait])[0]
    found = detector.detect([blank, portrait, blank, portrait[::2, ::2]])
    assert [len(faces) for faces in found] == [0, 1, 0, 1]
    assert [faces[0].frame for faces in found if faces] == [1, 3]
    assert found[1][0].box == alone[0].box


def test_largest_face_comes_first(portrait: Image) -> None:
    scene = np.zeros((1000, 1000, 3), np.uint8)
    scene[20:276, 20:276] = portrait[::2, ::2]
    scene[400:912, 400:912] = portrait
    first, second = detector.detect([scene])[0]
    assert centre(first) > (500, 400)
    assert centre(second) < (276, 276)


def test_followed_faces_are_those_of_a_full_search(portrait: Image) -> None:
    """Two faces, of 110 and of 27 pixels: the small one is found near an expected box only."""
    scene = np.full((700, 1000, 3), 90, np.uint8)
    scene[20:532, 20:532] = portrait
    scene[400:528, 640:768] = cv2.resize(portrait, (128, 128), interpolation=cv2.INTER_AREA)
    large, small = detector.detect([scene])[0]
    moved = (small.box[0] + 9, small.box[1] - 7, small.box[2] + 9, small.box[3] - 7)
    found = detector.follow(scene, [moved])
    for face, expected in zip(found, (large, small), strict=True):
        assert (face.box, face.score) == (expected.box, expected.score)
        np.testing.assert_array_equal(face.landmarks, expected.landmarks)
    (only,) = detector.follow(scene, [])
    assert only.box == large.box


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (11, 400), (12, 12), (13, 999), (20, 21)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_small_and_plain_images_have_no_face(shape: tuple[int, int], value: int) -> None:
    assert detector.detect([np.full((*shape, 3), value, np.uint8)]) == [[]]


@pytest.mark.parametrize("seed", range(3))
def test_noise_is_survived(seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (240, 333, 3), dtype=np.uint8)
    for face in detector.detect([noise])[0]:
        assert np.isfinite(face.box).all()
        assert np.isfinite(face.landmarks).all()


def test_grey_image_has_the_same_face(portrait: Image) -> None:
    grey = np.asarray(cv2.cvtColor(portrait, cv2.COLOR_RGB2GRAY), np.uint8)[..., None].repeat(3, 2)
    (face,) = detector.detect([grey])[0]
    np.testing.assert_allclose(centre(face), (224, 117), atol=8)


def test_face_partly_outside_is_found(portrait: Image) -> None:
    (face,) = detector.detect([np.ascontiguousarray(portrait[:, 190:])])[0]
    assert face.box[0] < 0
    np.testing.assert_allclose(centre(face), (224 - 190, 117), atol=20)


def test_face_on_black_is_found(portrait: Image) -> None:
    black = np.zeros((720, 1280, 3), np.uint8)
    black[300:556, 700:956] = portrait[:256, 96:352]
    (face,) = detector.detect([black])[0]
    np.testing.assert_allclose(centre(face), (224 - 96 + 700, 117 + 300), atol=6)


def test_upside_down_does_not_invent_an_upright_face(portrait: Image) -> None:
    upright = detector.detect([portrait])[0][0]
    for face in detector.detect([np.ascontiguousarray(portrait[::-1])])[0]:
        assert face.score < upright.score


def test_views_and_read_only_images_are_accepted(portrait: Image) -> None:
    view = portrait[:, ::-1]
    assert not view.flags.c_contiguous
    frozen = portrait.copy()
    frozen.flags.writeable = False
    assert [len(faces) for faces in detector.detect([view, frozen])] == [1, 1]


@pytest.mark.parametrize(
    "image", [np.zeros((40, 40), np.uint8), np.zeros((40, 40, 4), np.uint8), np.zeros((40, 40, 3))]
)
def test_other_arrays_are_refused(image: Image) -> None:
    with pytest.raises(ValueError, match="RGB images"):
        detector.detect([image])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"thresholds": (0.6, 0.7)}, "thresholds"),
        ({"thresholds": (0.6, 0.7, 1.0)}, "thresholds"),
        ({"min_face_size": 5}, "min_face_size"),
        ({"factor": 1.0}, "factor"),
    ],
)
def test_arguments_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MTCNN(**options)


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(240, 320, 20), (540, 960, 20), (720, 1280, 28.2), (1920, 1080, 39.8), (2160, 3840, 79.1)],
)
def test_default_min_face_size(height: int, width: int, expected: float) -> None:
    assert default_min_face_size(height, width, 0.709) == pytest.approx(expected, abs=0.05)


def test_higher_thresholds_find_fewer_faces(portrait: Image) -> None:
    assert MTCNN(thresholds=(0.6, 0.7, 0.9999999)).detect([portrait]) == [[]]


@pytest.mark.slow
def test_runs_without_torch() -> None:
    code = (
        "import sys, numpy\n"
        "from preprocessing.faces.mtcnn import MTCNN\n"
        "MTCNN().detect([numpy.zeros((64, 64, 3), 'uint8')])\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
