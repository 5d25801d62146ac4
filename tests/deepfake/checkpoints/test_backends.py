"""Checkpoints run by another backend than their own."""

from pathlib import Path

import numpy as np
import pytest

from deepfake.checkpoints.export import export
from deepfake.checkpoints.loading import load, load_with
from deepfake.checkpoints.scorers import OnnxScorer, OpenVinoScorer, TorchScorer
from deepfake.errors import CheckpointError


def test_a_checkpoint_of_torch_is_no_graph(checkpoint: Path) -> None:
    assert isinstance(load_with(checkpoint).scorer, TorchScorer)
    assert isinstance(load_with(checkpoint, "torch").scorer, TorchScorer)
    with pytest.raises(CheckpointError, match="--format onnx"):
        load_with(checkpoint, "onnx")


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
