"""What heat maps are worth: overlap with masks and curves, worked out by hand."""

import json
import math
from dataclasses import asdict
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from deepfake.aggregation import sigmoid
from deepfake.checkpoints.loading import Checkpoint
from deepfake.checkpoints.scorers import Faces, Scores
from deepfake.recipe import InputRecipe
from preprocessing.crops.manifest import OPTIONS, write_manifest
from preprocessing.types import FaceCrop, Label, PreprocessOptions
from recipes.research.heat_maps import STEPS, Place, curves, difference, measure, place, summary


def corner_score(faces: Faces) -> Scores:
    return sigmoid(faces[:, 0, :16, :16].mean(axis=(1, 2)))


def test_overlap_by_hand() -> None:
    # Hot: 0.6, 0.5 and 1.0 of 1.0; masked: the left two columns.
    heat = np.array([[0.6, 0.1, 0.0], [0.5, 0.49, 1.0]])
    mask = np.array([[True, True, False], [True, True, False]])
    found = place(heat, mask)
    assert found.iou == pytest.approx(2 / 5)
    assert found.f1 == pytest.approx(2 * 2 / (3 + 4))
    assert found.pointing == 0
    assert found.area == pytest.approx(4 / 6)
    strict = place(heat, mask, hot=1.0)
    assert (strict.iou, strict.f1) == (0, 0)
    all_of_it = place(mask.astype(float), mask)
    assert (all_of_it.iou, all_of_it.f1, all_of_it.pointing) == (1, 1, 1)


def test_maps_that_point_to_several_places_or_nowhere() -> None:
    mask = np.array([[True, False], [False, False]])
    assert place(np.ones((2, 2)), mask).pointing == pytest.approx(1 / 4)  # as chance
    nowhere = place(np.zeros((2, 2)), mask)
    assert (nowhere.iou, nowhere.f1, nowhere.pointing) == (0, 0, 0)
    assert math.isnan(place(np.ones((2, 2)), np.zeros((2, 2), bool)).iou)
    with pytest.raises(ValueError, match="one size"):
        place(np.ones((2, 3)), mask)


def test_a_difference_is_what_was_changed_and_no_speck() -> None:
    rng = np.random.default_rng(0)
    original = rng.integers(60, 180, (64, 64, 3)).astype(np.uint8)
    fake = original + rng.integers(0, 6, original.shape).astype(np.uint8)  # of the encoder
    fake[20:40, 10:50] += 40
    fake[3, 3] += 60
    mask = difference(fake, original)
    assert mask[22:38, 12:48].all()
    assert mask.sum() == pytest.approx(20 * 40, rel=0.03)


def test_curves_tell_good_maps_from_bad() -> None:
    face = np.zeros((3, 32, 32), np.float32)
    face[:, 4:10, 4:10] = 9.0
    good = np.zeros((32, 32), np.float32)
    good[:12, :12] = 1
    found = curves(corner_score, face, good)
    assert found.deletion.shape == found.insertion.shape == (STEPS + 1,)
    assert found.deletion[0] == found.insertion[-1] == corner_score(face[None])[0]
    assert found.gain > 0
    assert curves(corner_score, face, -good).gain == pytest.approx(-found.gain, abs=0.05)


def test_videos_count_together() -> None:
    here, there = Place(1, 1, 1, 0.5), Place(0, 0, 0, 0.5)
    found = summary(
        {str(k): [here, there, Place(math.nan, math.nan, math.nan, 0)] for k in range(9)}
    )
    value, span = found["iou"]
    assert (value, span.low, span.high) == pytest.approx((0.5, 0.5, 0.5))  # all videos are alike
    value, span = summary({str(k): [here if k % 2 else there] for k in range(10)})["pointing"]
    assert span.low < 0.3 < value < 0.7 < span.high
    assert summary({}) == {}


class OfTheCorner:
    """Finds fakes by the upper left quarter alone."""

    def score(self, faces: Faces) -> Scores:
        size = faces.shape[-1] // 2
        bright = faces[:, :, :size, :size].mean(axis=(1, 2, 3)).astype(np.float64)
        return sigmoid(20 * (bright - 0.4))

    def warm_up(self) -> None:
        pass


def test_a_detector_that_goes_by_what_was_changed_points_there(tmp_path: Path) -> None:
    data, masks = tmp_path / "faces", tmp_path / "masks"
    masks.mkdir()
    box, points = (16.0, 16.0, 80.0, 80.0), np.zeros((5, 2), dtype=np.float32)
    rows = []
    for name, label in (("000_003", 1), ("004_005", 1), ("000", 0)):
        path = f"crops/{name}/1.png"
        (data / "crops" / name).mkdir(parents=True)
        image = np.full((64, 64, 3), 90, np.uint8)
        if label:
            image[8:30, 8:30] = 220
        cv2.imwrite(str(data / path), image)
        kind: Label = 1 if label else 0
        rows.append(FaceCrop(path, f"set/{name}", 0, 1, 0.04, box, 1.0, points, box, kind))
    write_manifest(data, rows)
    options = PreprocessOptions(margin=0.0, frames=1)
    (data / OPTIONS).write_text(json.dumps(asdict(options) | {"version": 1}), encoding="utf-8")
    with av.open(str(masks / "000_003.mp4"), "w") as container:  # the second has none
        stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 96, 96, "yuv420p"
        for _ in range(3):
            frame = np.zeros((96, 96, 3), np.uint8)
            frame[24:46, 24:46] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    recipe = InputRecipe(image_size=64, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    checkpoint = Checkpoint(recipe, options, scorer=OfTheCorner(), name="x", sha256="")
    found, blind = measure(checkpoint, data, masks)
    assert list(found) == ["set/000_003"]
    (ours,), (middle,) = found["set/000_003"], blind["set/000_003"]
    assert ours.area == pytest.approx(22**2 / 64**2, rel=0.1)
    assert ours.pointing == 1 > middle.pointing
    assert ours.iou > 0.4 > middle.iou
