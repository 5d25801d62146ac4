"""Parity with facenet-pytorch on real frames, whose numbers are in tests/reference/mtcnn.json."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from preprocessing.faces.boxes import iou
from preprocessing.faces.mtcnn import MTCNN
from preprocessing.types import Detection, Image
from tests.conftest import REFERENCE

SHARED = Path(__file__).parents[4] / "shared"
NUMBERS = REFERENCE / "mtcnn.json"

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not SHARED.exists(), reason=f"no {SHARED}"),
]


@dataclass(frozen=True, eq=False)
class Case:
    """A frame and facenet-pytorch's faces in it."""

    name: str
    image: Image
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    landmarks: NDArray[np.float64]


def halved(image: Image) -> Image:
    height, width = (side // 2 * 2 for side in image.shape[:2])
    blocks = image[:height, :width].astype(np.uint16).reshape(height // 2, 2, width // 2, 2, 3)
    return np.asarray((blocks.sum((1, 3), dtype=np.uint16) + 2) // 4, np.uint8)


def decoded(path: Path, number: int) -> Image:
    with av.open(str(path)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index == number:
                return np.ascontiguousarray(frame.to_ndarray(format="rgb24"))
    raise AssertionError(f"{path} has no frame {number}")


def case(name: str, image: Image, entry: dict[str, Any]) -> Case:
    return Case(
        name,
        image,
        np.array(entry["boxes"]).reshape(-1, 4),
        np.array(entry["probs"]),
        np.array(entry["landmarks"]).reshape(-1, 5, 2),
    )


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    found = []
    for entry in json.loads(NUMBERS.read_text())["images"]:
        if entry["frame"] is None:  # the portrait, which test_mtcnn.py has
            continue
        image = decoded(SHARED / "data" / entry["source"], entry["frame"])
        if hashlib.sha256(image.tobytes()).hexdigest() != entry["sha256_rgb24"]:
            continue  # another decoder's pixels
        found.append(case(entry["source"], image, entry["full"]))
        found.append(case(f"{entry['source']}, half", halved(image), entry["half"]))
    if not found:
        pytest.skip("this decoder gives other pixels than the reference's")
    return found


def boxes_of(faces: list[Detection]) -> NDArray[np.float64]:
    return np.array([face.box for face in faces]).reshape(-1, 4)


def test_every_clear_face_is_the_same(cases: list[Case]) -> None:
    """At the default settings: faces over 40 pixels with a probability over 0.95."""
    detector = MTCNN()
    overlaps, offsets = [], []
    for each in cases:
        faces = detector.detect([each.image])[0]
        overlap = iou(each.boxes, boxes_of(faces))
        sides = each.boxes[:, 2:] - each.boxes[:, :2]
        for i in np.flatnonzero((each.scores > 0.95) & (sides.max(1) > 40)):
            best = int(overlap[i].argmax())
            assert overlap[i, best] >= 0.9, f"{each.name}: {each.boxes[i]}"
            overlaps.append(overlap[i, best])
            offset = np.abs(faces[best].landmarks - each.landmarks[i]).max() / sides[i, 0]
            assert offset < 0.03, f"{each.name}: {each.boxes[i]}"
            offsets.append(offset)
        assert (overlap.max(0, initial=0) > 0.5).all(), f"{each.name}: a face of our own"
    assert len(overlaps) > 30
    assert np.mean(overlaps) >= 0.97


def test_at_facenets_smallest_face_everything_is_the_same(cases: list[Case]) -> None:
    detector = MTCNN(min_face_size=20)
    for each in cases:
        faces = detector.detect([each.image])[0]
        assert len(faces) == len(each.boxes), each.name
        for face, box, score, points in zip(
            faces, each.boxes, each.scores, each.landmarks, strict=True
        ):
            np.testing.assert_allclose(face.box, box, atol=0.5, err_msg=each.name)
            np.testing.assert_allclose(face.landmarks, points, atol=0.5, err_msg=each.name)
            assert face.score == pytest.approx(score, abs=1e-3)
