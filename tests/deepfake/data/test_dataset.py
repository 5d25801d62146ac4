import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from deepfake.data.dataset import FaceCrops, FacePairs, FaceReader, Kind, collate
from deepfake.data.sampling import clips, partners
from deepfake.data.table import FaceTable
from deepfake.data.transforms import make_augmentation
from deepfake.errors import DeepfakeError
from deepfake.recipe import InputRecipe
from preprocessing.crops.cropping import TEMPLATE
from preprocessing.crops.manifest import OPTIONS, read_table

RECIPE = InputRecipe(image_size=48)


def reader_of(folder: Path, augmentation: str = "none", seed: int = 0) -> FaceReader:
    table = FaceTable.from_manifest(folder, read_table(folder))
    augment = make_augmentation(augmentation)  # type: ignore[arg-type]
    return FaceReader(table, RECIPE, augment, seed)


def pairs_of(reader: FaceReader, kind: Kind) -> FacePairs:
    table = reader.table
    reals, fakes = np.flatnonzero(table.label == 0), np.flatnonzero(table.label == 1)
    pairs = np.stack([partners(table, fakes), fakes], axis=1)[:, :, None]
    return FacePairs(
        reader, reals[:, None], shares={kind: 1.0}, pairs=pairs, unpaired=fakes[:, None]
    )


def test_columns_say_what_the_manifest_says(drawn_faces: Path) -> None:
    table = FaceTable.from_manifest(drawn_faces, read_table(drawn_faces))
    assert len(table) == 36
    keys = table.videos.to_pylist()
    for row in range(len(table)):
        name = keys[table.video[row]]
        assert table.label[row] == name.startswith("fake")
        source = keys[table.source[row]] if table.source[row] >= 0 else None
        assert source == (name.replace("fake", "real") if table.label[row] else None)
        assert name.split("/")[1] in table.path[row].as_py()
    np.testing.assert_allclose(table.landmarks[0, 0], [0.36, 0.45])
    part = table.take(table.label == 1)
    assert len(part) == 18
    assert part.path[0].as_py().startswith("crops/fake")


def test_landmarks_of_aligned_crops_lie_where_faces_were_turned_to(
    drawn_faces: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "aligned"
    shutil.copytree(drawn_faces, folder)
    options = json.loads((folder / OPTIONS).read_text(encoding="utf-8"))
    (folder / OPTIONS).write_text(json.dumps({**options, "crop": "aligned"}), encoding="utf-8")
    table = FaceTable.from_manifest(folder, read_table(folder))
    wanted = (TEMPLATE + options["margin"]) / (1 + 2 * options["margin"])
    np.testing.assert_allclose(table.landmarks[0], wanted, atol=0.06)
    straight = FaceTable.from_manifest(drawn_faces, read_table(drawn_faces)).landmarks[0]
    assert np.abs(straight - wanted).max() > np.abs(table.landmarks[0] - wanted).max()


def test_landmarks_are_in_pixels_of_the_crop(drawn_faces: Path) -> None:
    reader = reader_of(drawn_faces)
    frames, points = reader.read(np.array([0]), shrink=True)
    assert frames[0].shape == (72, 72, 3)  # one and a half times the network's input
    np.testing.assert_allclose(points[0][0], [0.36 * 72, 0.45 * 72], rtol=1e-5)


def test_plain_sample_is_the_prepared_crop(drawn_faces: Path) -> None:
    reader = reader_of(drawn_faces)
    rows = np.arange(len(reader.table))[:, None]
    (sample,) = FaceCrops(reader, rows)[0, 0, 7]
    expected = RECIPE.prepare(reader.table.image(7))
    np.testing.assert_array_equal(sample["face"].numpy(), expected)
    assert sample["label"] == reader.table.label[7]
    assert sample["video"] == reader.table.video[7]
    assert sample["index"] == 7


def test_missing_crop_is_named(drawn_faces: Path) -> None:
    reader = reader_of(drawn_faces)
    (drawn_faces / reader.table.path[3].as_py()).unlink()
    with pytest.raises(DeepfakeError, match=r"p1.*\.png is missing or damaged.*preprocess"):
        FaceCrops(reader, np.arange(5)[:, None])[0, 0, 3]


def test_clips_have_a_time_axis(drawn_faces: Path) -> None:
    reader = reader_of(drawn_faces, "strong")
    items = clips(reader.table, np.arange(len(reader.table)), 3)
    batch = collate([FaceCrops(reader, items)[0, i, i] for i in range(4)])
    assert batch["face"].shape == (4, 3, 3, 48, 48)
    assert batch["label"].shape == batch["video"].shape == batch["track"].shape == (4,)


@pytest.mark.parametrize("kind", ["videos", "self_blended", "swapped", "unpaired"])
def test_every_kind_gives_a_real_and_a_fake(drawn_faces: Path, kind: Kind) -> None:
    pairs = pairs_of(reader_of(drawn_faces, "strong"), kind)
    batch = collate([pairs[0, i, i] for i in range(6)])
    assert batch["label"].tolist() == [0, 1] * 6
    assert batch["face"].shape == (12, 3, 48, 48)
    assert bool(torch.isfinite(batch["face"]).all())
    assert len(set(batch["index"].tolist())) == (
        12 if kind != "videos" else len(set(batch["index"].tolist()))
    )


def test_real_and_fake_of_one_face_differ_in_the_face_only(drawn_faces: Path) -> None:
    pairs = pairs_of(reader_of(drawn_faces), "self_blended")
    for i in range(5):
        real, fake = pairs[0, i, i]
        change = (real["face"] - fake["face"]).abs().sum(dim=0)
        assert change[0].max() == 0
        assert change[24:40, 16:32].mean() > 0
        assert fake["video"] == real["video"] + len(pairs.reader.table.videos)


def test_videos_pair_a_fake_with_its_own_original(drawn_faces: Path) -> None:
    reader = reader_of(drawn_faces)
    pairs = pairs_of(reader, "videos")
    keys = reader.table.videos.to_pylist()
    for i in range(8):
        real, fake = pairs[0, i, i]
        assert keys[fake["video"]] == keys[real["video"]].replace("real", "fake")


def test_swapped_faces_come_from_other_people(drawn_faces: Path) -> None:
    pairs = pairs_of(reader_of(drawn_faces), "swapped")
    table = pairs.reader.table
    rng = np.random.default_rng(0)
    for index in range(len(pairs)):
        donor = pairs._donor(index, rng)
        assert table.person[pairs.reals[donor, 0]] != table.person[pairs.reals[index, 0]]


def test_half_of_the_pairs_are_degraded_with_the_same_draw(drawn_faces: Path) -> None:
    """With the same draw nothing outside the blended region differs; else all of it does."""
    pairs = pairs_of(reader_of(drawn_faces, "paper"), "self_blended")
    equal = 0
    for position in range(60):
        real, fake = pairs[0, position, position % len(pairs)]
        corner = slice(0, 6)
        equal += int(
            torch.allclose(real["face"][:, corner, corner], fake["face"][:, corner, corner])
        )
    assert 20 <= equal <= 45


def test_blank_faces_are_an_error_that_says_so(drawn_faces: Path) -> None:
    pairs = pairs_of(reader_of(drawn_faces), "self_blended")
    pairs.self_blend = type(pairs.self_blend)(min_change=1000.0)
    with pytest.raises(DeepfakeError, match="No visible fake"):
        pairs[0, 0, 0]
