"""Tar files give what the folder gives that they were made from."""

import json
import shutil
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from deepfake.data.__main__ import main
from deepfake.data.datamodule import FaceDataModule
from deepfake.data.shards.write import write_shards
from deepfake.errors import DeepfakeError
from deepfake.evaluation.faces import image_reader
from deepfake.recipe import InputRecipe
from preprocessing.crops.manifest import read_manifest
from preprocessing.errors import ManifestError
from preprocessing.types import FaceCrop

Write = Callable[[Path, list[FaceCrop]], Path]
Row = Callable[..., FaceCrop]


@pytest.fixture
def shards(drawn_faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Tar files of at most 0.2 MB; a drawn crop has about 25 kB."""
    out = tmp_path / "shards"
    assert main(["shard", str(drawn_faces), "--out", str(out), "--size", "0.2"]) == 0
    assert f"tar files in {out}" in capsys.readouterr().out
    return out


def batches(root: Path, **settings: Any) -> list[dict[str, torch.Tensor]]:  # noqa: ANN401
    given = {"batch_size": 4, "recipe": InputRecipe(image_size=32), "num_workers": 0}
    data = FaceDataModule(root, **{**given, **settings})
    loaders = (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
    return [batch for loader in loaders for batch in loader]


@pytest.mark.parametrize(
    "settings",
    [
        {"augmentation": "none"},
        {"augmentation": "paper", "sampling": "weighted", "num_workers": 2},
        {"augmentation": "strong", "fakes": "mixed"},
        {"augmentation": "none", "frames": 2, "sampling": "paired"},
    ],
    ids=str,
)
def test_batches_are_equal(drawn_faces: Path, shards: Path, settings: dict[str, Any]) -> None:
    expected, found = batches(drawn_faces, **settings), batches(shards, **settings)
    assert len(found) == len(expected) > 0
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.keys() == theirs.keys()
        for name, values in ours.items():
            torch.testing.assert_close(values, theirs[name], rtol=0, atol=0)


def test_crops_are_in_the_tars_byte_for_byte(drawn_faces: Path, shards: Path) -> None:
    tars = sorted(shards.glob("*.tar"))
    assert len(tars) > 1
    assert all(path.stat().st_size < 220_000 for path in tars)
    seen = []
    for path in tars:
        with tarfile.open(path) as tar:
            for member in tar:
                if member.name.endswith(".png"):
                    file = tar.extractfile(member)
                    assert file is not None
                    assert file.read() == (drawn_faces / member.name).read_bytes()
                    seen.append(member.name)
    crops = read_manifest(drawn_faces)
    assert sorted(seen) == sorted(crop.path for crop in crops)
    assert seen != sorted(seen)
    assert not (shards / "crops").exists()
    read = image_reader(shards, [crop.path for crop in crops])
    for crop in crops[::7]:
        np.testing.assert_array_equal(read(crop), image_reader(drawn_faces, [crop.path])(crop))
    assert image_reader(shards, [crops[0].path])(crops[0]).shape == (100, 100, 3)


def test_webdataset_reads_them(drawn_faces: Path, shards: Path) -> None:
    tariterators = pytest.importorskip("webdataset.tariterators")
    samples = []
    for path in sorted(shards.glob("*.tar")):
        with path.open("rb") as file:
            members = tariterators.tar_file_iterator(file)
            named = ({**member, "__url__": path.name} for member in members)
            samples += list(tariterators.group_by_keys(named))
    assert len(samples) == 36
    for sample in samples:
        assert sample["png"] == (drawn_faces / f"{sample['__key__']}.png").read_bytes()
        known = json.loads(sample["json"])
        assert known["label"] == (1 if known["video"].startswith("fake") else 0)


def test_the_same_crops_give_the_same_bytes(drawn_faces: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_shards(drawn_faces, tmp_path / name, megabytes=0.3)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_long_names_and_dots_are_kept(tmp_path: Path, write_faces: Write, row: Row) -> None:
    rows = [row(f"real/{'x' * 90}/{'y' * 90}/{'z' * 90}.v1", 0, label=0)]
    folder = write_faces(tmp_path / "faces", rows)
    write_shards(folder, tmp_path / "shards")
    crop = read_manifest(tmp_path / "shards")[0]
    expected = cv2.imread(str(folder / crop.path))
    assert expected is not None
    expected = expected[:, :, ::-1]
    np.testing.assert_array_equal(image_reader(tmp_path / "shards", [crop.path])(crop), expected)


def test_what_is_wrong_is_said(
    drawn_faces: Path, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DeepfakeError, match="holds something already"):
        write_shards(drawn_faces, shards)
    with pytest.raises(DeepfakeError, match="holds shards already"):
        write_shards(shards, tmp_path / "again")
    with pytest.raises(DeepfakeError, match="above 0"):
        write_shards(drawn_faces, tmp_path / "again", megabytes=0)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "webdataset", None)
        with pytest.raises(DeepfakeError, match=r"pip install .*\[shards\]"):
            write_shards(drawn_faces, tmp_path / "again")
    next(drawn_faces.rglob("*.png")).unlink()
    with pytest.raises(ManifestError, match="is missing"):
        write_shards(drawn_faces, tmp_path / "again")
    assert [path.name for path in tmp_path.iterdir() if "again" in path.name] == []

    damaged = tmp_path / "damaged"
    shutil.copytree(shards, damaged)
    for path in damaged.glob("*.tar"):
        path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(ManifestError, match="missing or damaged"):
        batches(damaged)
    table = pq.read_table(damaged / "shards.parquet")
    pq.write_table(table.slice(1), damaged / "shards.parquet")
    with pytest.raises(ManifestError, match="lacks"):
        batches(damaged)
    next(damaged.glob("*.tar")).unlink()
    pq.write_table(table, damaged / "shards.parquet")
    with pytest.raises(ManifestError, match="not a file"):
        batches(damaged)
