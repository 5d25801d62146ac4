"""Checkpoints run by another backend than their own."""

from pathlib import Path

import numpy as np
import pytest

from deepfake.checkpoints.export import export
from deepfake.checkpoints.graphs import graph_folder, load_with
from deepfake.checkpoints.loading import load, sha256
from deepfake.checkpoints.scorers import OnnxScorer, OpenVinoScorer, TorchScorer
from deepfake.errors import CheckpointError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "deepfake"


def test_a_graph_is_made_once_and_then_used(checkpoint: Path, cache: Path) -> None:
    assert graph_folder() == cache
    plain = load_with(checkpoint)
    assert isinstance(plain.scorer, TorchScorer)
    assert not cache.exists()
    made = load_with(checkpoint, "onnx")
    assert isinstance(made.scorer, OnnxScorer)
    assert made.name == str(checkpoint)
    assert made.sha256 == plain.sha256 == sha256(checkpoint)
    assert (made.recipe, made.calibration, made.aggregation) == (
        plain.recipe,
        plain.calibration,
        plain.aggregation,
    )
    size = plain.recipe.image_size
    faces = np.random.default_rng(0).normal(size=(3, 3, size, size)).astype(np.float32)
    assert made.scorer.score(faces) == pytest.approx(plain.scorer.score(faces), abs=1e-5)
    assert isinstance(load_with(checkpoint).scorer, OnnxScorer)
    assert isinstance(load_with(checkpoint, "torch").scorer, TorchScorer)
    assert [file.name for file in cache.iterdir()] == [f"{plain.sha256}.onnx"]


def test_graphs_by_other_backends(checkpoint: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="the extra export is not installed")
    graph = tmp_path / "model.onnx"
    export(checkpoint, "onnx", graph)
    own, other = load(graph), load_with(graph, "openvino")
    assert isinstance(other.scorer, OpenVinoScorer)
    size = own.recipe.image_size
    faces = np.random.default_rng(0).normal(size=(2, 3, size, size)).astype(np.float32)
    assert other.scorer.score(faces) == pytest.approx(own.scorer.score(faces), abs=1e-5)
    with pytest.raises(CheckpointError, match="without a network of torch"):
        load_with(graph, "torch")


def test_the_shipped_model_runs_in_torch_too() -> None:
    assert isinstance(load_with(Path("default")).scorer, OnnxScorer)
    shipped = load_with(Path("default"), "torch")
    assert isinstance(shipped.scorer, TorchScorer)
    assert shipped.name == "default"
