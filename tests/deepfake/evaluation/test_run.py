from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest

from deepfake.data.splits.crop_hashes import KNOWN, crop_hashes, write_known
from deepfake.data.splits.leaks import sample_rows
from deepfake.evaluation.faces import Folder
from deepfake.evaluation.run import _warn_of_copies
from preprocessing.crops.manifest import SCHEMA, read_table, write_manifest
from preprocessing.types import FaceCrop

NONE: pa.Table = SCHEMA.empty_table()


def crops(folder: Path, looks: dict[str, int]) -> pa.Table:
    """Write three crops of each video, smooth random pictures by the number of its looks."""
    box, points = (0.0, 0.0, 64.0, 64.0), np.zeros((5, 2), dtype=np.float32)
    rows = []
    for video, seed in looks.items():
        (folder / video).mkdir(parents=True)
        for frame in range(3):
            coarse = np.random.default_rng([seed, frame]).integers(0, 256, (12, 12, 3), np.uint8)
            path = f"{video}/{frame}.png"
            cv2.imwrite(str(folder / path), cv2.resize(coarse, (64, 64)))
            rows.append(FaceCrop(path, video, 0, frame, 0.0, box, 1.0, points, box))
    write_manifest(folder, rows)
    return read_table(folder)


def test_training_footage_under_another_name_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    crops(tmp_path / "trained", {"a": 1, "b": 2})
    rows = sample_rows(read_table(tmp_path / "trained"))
    write_known(tmp_path / KNOWN, crop_hashes(rows, tmp_path / "trained"))
    checkpoint = tmp_path / "best.ckpt"
    for name, looks in (("copies", {"x": 2, "y": 7, "z": 8}), ("others", {"x": 5, "y": 6})):
        measured = crops(tmp_path / name, looks)
        _warn_of_copies([Folder(tmp_path / name, measured, NONE)], "ours", checkpoint, ())
    (warning,) = caplog.messages
    assert "ours was trained on footage of 1 of the 3 videos" in warning
    assert "such as x;" in warning
    _warn_of_copies([Folder(tmp_path / "copies", NONE, NONE)], "ours", checkpoint, ())
    assert len(caplog.messages) == 1  # those of another side are not measured
