import multiprocessing
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from onnx import ModelProto

from deepfake.checkpoints import export
from deepfake.checkpoints.export import to_onnx
from deepfake.checkpoints.loading import DEFAULT, Checkpoint, load, load_network
from deepfake.checkpoints.scorers import GraphScorer, OnnxScorer
from deepfake.data.splits.crop_hashes import KNOWN, crop_hashes, write_known
from deepfake.data.splits.leaks import sample_rows
from deepfake.errors import DeepfakeError
from deepfake.evaluation import workers
from deepfake.evaluation.faces import Folder
from deepfake.evaluation.run import SCORES, _warn_of_copies, evaluate
from deepfake.recipe import InputRecipe
from preprocessing.crops.manifest import OPTIONS, SCHEMA, read_table, write_manifest
from preprocessing.types import FaceCrop

NUMBERS = ["score", "sharpness", "brightness"]
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


FIXTURE = Path(__file__).parents[2] / "fixtures" / "last.ckpt"


@pytest.fixture(scope="module")
def graph() -> ModelProto:
    return to_onnx(*load_network(FIXTURE))


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch, graph: ModelProto) -> None:
    monkeypatch.setattr(export, "to_onnx", lambda *_: graph)
    monkeypatch.setattr(workers, "MANY", 15)
    monkeypatch.setattr(workers, "PART", 4)


def folder_of_five(folder: Path) -> pa.Table:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / OPTIONS).write_text('{"frames": 3, "version": 1}', encoding="utf-8")
    return crops(folder, {f"v{k}": k for k in range(5)})


def scored(judge: Checkpoint, folder: Path, table: pa.Table, count: int) -> NDArray[np.float64]:
    """Return score, sharpness and brightness (N, 3), sorted by path."""
    found = pa.concat_tables(workers.score_folder(judge, folder, table, count)).sort_by("path")
    assert found["path"].to_pylist() == sorted(table["path"].to_pylist())
    return np.column_stack([found[name].to_numpy() for name in NUMBERS])


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("checkpoint", [FIXTURE, DEFAULT], ids=["torch", "onnx"])
def test_many_crops_get_the_scores_of_few(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = load(checkpoint)
    table = folder_of_five(tmp_path)
    alone, two = (scored(judge, tmp_path, table, count) for count in (1, 2))
    monkeypatch.setattr(workers, "MANY", 16)
    few = scored(judge, tmp_path, table, 2)
    assert len(set(few[:, 0])) == 15
    np.testing.assert_allclose(alone, few, rtol=0, atol=1e-6)
    np.testing.assert_allclose(two, few, rtol=0, atol=1e-6)


@pytest.mark.usefixtures("many")
def test_evaluate_keeps_the_order_of_the_manifest_whoever_scores(tmp_path: Path) -> None:
    found = []
    for count in (1, 2):
        folder_of_five(tmp_path / str(count) / "faces")
        evaluate([FIXTURE], [tmp_path / str(count) / "faces"], out=tmp_path, workers=count)
        found.append(pq.read_table(tmp_path / SCORES).drop(NUMBERS))
    assert len(found[0]) == 15
    assert found[0].equals(found[1])


class Wrong(OnnxScorer):
    """A graph whose logits are off."""

    def outputs(self, faces: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
        return [logits + np.float32(2e-4) for logits in super().outputs(faces)]


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("fault", ["differs", "fails"])
def test_torch_goes_on_where_a_graph_will_not_do(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("no such operator\nfrom line 1")

    judge, table = load(FIXTURE), folder_of_five(tmp_path)
    if fault == "differs":
        monkeypatch.setattr(workers, "OnnxScorer", Wrong)
    else:
        monkeypatch.setattr(export, "to_onnx", refuse)
    found = scored(judge, tmp_path, table, 2)
    (line,) = (one.getMessage() for one in caplog.records if one.name == workers.__name__)
    why = "a logit of the graph is off by 0.0002" if fault == "differs" else "no such operator"
    assert line == f"torch scores {tmp_path}, not ONNX Runtime: {why}"
    monkeypatch.setattr(workers, "MANY", 16)
    np.testing.assert_array_equal(found, scored(judge, tmp_path, table, 2))


class Deadly(GraphScorer):
    """Kills its process at the face that is brighter than the others."""

    def outputs(self, faces: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
        if faces.max() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return [np.zeros(len(faces), np.float32)]

    def warm_up(self) -> None:
        """Load nothing."""


@pytest.mark.usefixtures("many")
def test_a_worker_that_dies_ends_the_run(tmp_path: Path) -> None:
    table = folder_of_five(tmp_path)
    recipe = InputRecipe(image_size=32, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    judge = replace(load(FIXTURE), recipe=recipe, scorer=Deadly(tmp_path))
    for path in table["path"].to_pylist():
        cv2.imwrite(str(tmp_path / path), np.full((64, 64, 3), 255 * ("v4" in path), np.uint8))
    with pytest.raises(DeepfakeError, match=r"was not scored to the end: .* SIGKILL"):
        list(workers.score_folder(judge, tmp_path, table, 2))
    assert not multiprocessing.active_children()


@pytest.mark.usefixtures("many")
def test_a_crop_that_is_gone_is_told_from_a_worker(tmp_path: Path) -> None:
    folder_of_five(tmp_path)
    (tmp_path / "v4" / "1.png").unlink()
    with pytest.raises(DeepfakeError, match=r"1\.png cannot be read\. Run preprocess again"):
        evaluate([FIXTURE], [tmp_path], out=tmp_path / "out", workers=2)
    assert not multiprocessing.active_children()
    assert not (tmp_path / "out").exists()
    (kept,) = (tmp_path / ".scores").iterdir()
    paths = pq.read_table(kept)["path"].to_pylist()
    assert len(paths) >= 6  # of the two videos, at least, that were scored before
    assert not any("v4" in path for path in paths)


@pytest.mark.usefixtures("many")
def test_an_end_before_the_end_takes_workers_and_graph_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "graphs"))
    (tmp_path / "graphs").mkdir()
    parts = workers.score_folder(load(FIXTURE), tmp_path, folder_of_five(tmp_path), 2)
    next(parts)
    assert multiprocessing.active_children()
    assert list((tmp_path / "graphs").iterdir())
    parts.close()  # as Ctrl-C does
    assert not multiprocessing.active_children()
    assert not list((tmp_path / "graphs").iterdir())
