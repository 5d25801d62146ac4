from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from deepfake.data.datamodule import FaceDataModule
from deepfake.errors import DeepfakeError
from deepfake.recipe import InputRecipe
from preprocessing.types import FaceCrop, PreprocessOptions

Write = Callable[[Path, list[FaceCrop]], Path]
Row = Callable[..., FaceCrop]
RECIPE = InputRecipe(image_size=32)


def module(root: Path, **settings: Any) -> FaceDataModule:  # noqa: ANN401
    given = {"batch_size": 4, "recipe": RECIPE, "num_workers": 0, "augmentation": "none"}
    return FaceDataModule(root, **{**given, **settings})


def labels(loader: Any) -> list[float]:  # noqa: ANN401
    return [value for batch in loader for value in batch["label"].tolist()]


def test_sides_are_the_official_ones(drawn_faces: Path) -> None:
    data = module(drawn_faces)
    assert sorted(labels(data.train_dataloader())) == [0.0] * 12 + [1.0] * 12
    assert len(labels(data.val_dataloader())) == len(labels(data.test_dataloader())) == 6
    assert data.class_counts == (12, 12)
    assert data.preprocess == PreprocessOptions()
    assert data.recipe == RECIPE
    train = {v for batch in data.train_dataloader() for v in batch["video"].tolist()}
    val = {v for batch in data.val_dataloader() for v in batch["video"].tolist()}
    assert not train & val


def test_frames_per_class(drawn_faces: Path) -> None:
    data = module(drawn_faces, frames_per_video=(3, 1))
    assert data.class_counts == (12, 4)


@pytest.mark.parametrize(
    "settings",
    [
        {"sampling": "paired"},
        {"fakes": "self_blended"},
        {"fakes": "mixed"},
        {"fakes": "mixed", "sampling": "weighted", "shares": {"swapped": 1.0}},
        {"fakes": "self_blended", "frames": 2},
    ],
    ids=str,
)
def test_pairs_fill_batches_with_as_many_of_both(
    drawn_faces: Path, settings: dict[str, Any]
) -> None:
    data = module(drawn_faces, **settings)
    batches = list(data.train_dataloader())
    assert batches
    for batch in batches:
        assert batch["label"].tolist() == [0.0, 1.0, 0.0, 1.0]
    assert {0.0, 1.0} == set(labels(data.val_dataloader()))


def test_validation_of_mixed_has_the_videos_and_made_fakes(drawn_faces: Path) -> None:
    batches = list(module(drawn_faces, fakes="mixed").val_dataloader())
    assert sum(len(batch["label"]) for batch in batches) == 6 + 2 * 3
    index = torch.cat([batch["index"] for batch in batches])
    assert len(set(index.tolist())) == len(index)


def test_workers_change_nothing(drawn_faces: Path) -> None:
    seen = []
    for workers in (0, 1, 2):
        data = module(
            drawn_faces, fakes="mixed", augmentation="strong", num_workers=workers, seed=5
        )
        seen.append([batch["face"] for batch in data.train_dataloader()])
    for others in seen[1:]:
        assert len(others) == len(seen[0])
        for face, other in zip(seen[0], others, strict=True):
            torch.testing.assert_close(face, other, rtol=0, atol=0)


def test_epochs_differ_and_seeds_repeat(drawn_faces: Path) -> None:
    def epoch(seed: int, number: int) -> torch.Tensor:
        loader = module(drawn_faces, fakes="self_blended", seed=seed).train_dataloader()
        loader.sampler.set_epoch(number)  # type: ignore[attr-defined]
        return torch.cat([batch["face"] for batch in loader])

    torch.testing.assert_close(epoch(1, 0), epoch(1, 0), rtol=0, atol=0)
    assert (epoch(1, 0) != epoch(1, 1)).any()
    assert (epoch(1, 0) != epoch(2, 0)).any()


def test_validation_never_changes(drawn_faces: Path) -> None:
    data = module(drawn_faces, fakes="self_blended", augmentation="strong")
    loader = data.val_dataloader()
    first = torch.cat([batch["face"] for batch in loader])
    loader.sampler.set_epoch(3)  # type: ignore[attr-defined]
    torch.testing.assert_close(torch.cat([batch["face"] for batch in loader]), first)


def test_missing_manifest_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(DeepfakeError, match=r"No manifest at .*preprocess VIDEOS.*--data\.root"):
        module(tmp_path).setup()


def test_no_labels_say_where_labels_come_from(tmp_path: Path, write_faces: Write, row: Row) -> None:
    folder = write_faces(tmp_path, [row("a", 0, label=None)])
    with pytest.raises(DeepfakeError, match="real/ and fake/"):
        module(folder).setup()


def test_unlabelled_faces_are_left_out_with_a_count(
    tmp_path: Path, write_faces: Write, row: Row, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [row(f"real/{i}", 0, label=0, split="train") for i in range(3)]
    rows += [row(f"fake/{i}", 0, label=1, split="train") for i in range(3)]
    rows += [row("real/v", 0, label=0, split="val"), row("fake/v", 0, label=1, split="val")]
    rows += [row("unknown", 0, label=None, split="train")]
    data = module(write_faces(tmp_path, rows))
    data.setup()
    assert "1 of 9 faces have no label" in caplog.text
    assert len(data.sides["train"]) == 6


def test_real_videos_alone_train_with_self_blending_only(
    tmp_path: Path, write_faces: Write, row: Row
) -> None:
    rows = [row(f"real/{i}", 0, label=0) for i in range(8)]
    folder = write_faces(tmp_path, rows)
    with pytest.raises(DeepfakeError, match=r"--data\.fakes self_blended"):
        module(folder).setup()
    data = module(folder, fakes="self_blended")
    assert set(labels(data.train_dataloader())) == {0.0, 1.0}


def test_fakes_without_known_originals_cannot_be_paired(
    tmp_path: Path, write_faces: Write, row: Row
) -> None:
    rows = [row(f"real/{i}", 0, label=0) for i in range(4)]
    rows += [row(f"fake/{i + 4}", 0, label=1) for i in range(4)]
    with pytest.raises(DeepfakeError, match="names the real video"):
        module(write_faces(tmp_path, rows), sampling="paired").train_dataloader()


def test_two_videos_are_enough_to_train(tmp_path: Path, write_faces: Write, row: Row) -> None:
    rows = [row("real/a", t, label=0, time_s=t) for t in range(2)]
    rows += [row("fake/b", t, label=1, time_s=t) for t in range(2)]
    data = module(write_faces(tmp_path, rows), batch_size=32)
    assert sorted(labels(data.train_dataloader())) == [0, 0, 1, 1]
    assert sorted(labels(data.val_dataloader())) == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 3, "fakes": "mixed"}, "multiple of 2"),
        ({"batch_size": 0}, "batch_size"),
        ({"frames": 0}, "frames"),
        ({"shares": {"selfblended": 1.0}}, "self_blended"),
    ],
)
def test_wrong_arguments_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        module(Path("anywhere"), **settings)
