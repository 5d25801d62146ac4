import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deepfake.data.fakes.hulls import dense_from_five
from deepfake.data.landmarks import LANDMARKS, SCHEMA, find_landmarks, with_dense_landmarks
from deepfake.data.table import FaceTable
from deepfake.errors import DeepfakeError
from preprocessing.crops.manifest import read_table


def table_of(folder: Path) -> FaceTable:
    return FaceTable.from_manifest(folder, read_table(folder))


def test_without_the_file_the_five_stay(drawn_faces: Path) -> None:
    assert with_dense_landmarks(table_of(drawn_faces)).landmarks.shape[1:] == (5, 2)


def test_stored_landmarks_go_to_their_crop_and_the_others_are_estimated(drawn_faces: Path) -> None:
    table = table_of(drawn_faces)
    points = np.arange(136, dtype=np.float32)
    stored = pa.FixedSizeListArray.from_arrays(pa.array(points), 136)
    names = pa.array([table.path[5].as_py()])
    pq.write_table(pa.table([names, stored], schema=SCHEMA), drawn_faces / LANDMARKS)
    dense = with_dense_landmarks(table).landmarks
    np.testing.assert_array_equal(dense[5], points.reshape(68, 2))
    np.testing.assert_allclose(dense[4], dense_from_five(table.landmarks[4]))


def test_found_landmarks_lie_near_the_five(drawn_faces: Path) -> None:
    pytest.importorskip("dlib", reason="the extra landmarks is not installed")
    assert find_landmarks(drawn_faces) == 36
    table = with_dense_landmarks(table_of(drawn_faces))
    assert table.landmarks.shape == (36, 68, 2)
    # A drawn face is no face: only where it is can be told.
    assert np.abs(table.landmarks.mean(axis=(0, 1)) - [0.5, 0.58]).max() < 0.2


def test_missing_extra_says_what_to_install(
    drawn_faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "dlib", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(DeepfakeError, match=r"\.\[landmarks\]"):
        find_landmarks(drawn_faces)
