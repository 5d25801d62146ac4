"""Checkpoints run by another backend than their own: graphs are made of them once, and kept."""

import importlib.util
import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Literal

from deepfake.checkpoints.loading import (
    GRAPHS,
    Checkpoint,
    find_checkpoint,
    load,
    load_network,
    sha256,
)
from deepfake.checkpoints.scorers import OpenVinoScorer, TorchScorer
from deepfake.errors import CheckpointError

logger = logging.getLogger(__name__)

Backend = Literal["auto", "torch", "onnx", "openvino"]
PACKAGES = {"onnx": "onnxruntime", "openvino": "openvino"}  # the one that starts faster first
SUFFIXES = {"onnx": ".onnx", "openvino": ".xml"}


def load_with(path: Path | None = None, backend: Backend = "auto") -> Checkpoint:
    """Load a checkpoint to be run by a backend, on the CPU.

    "onnx" and "openvino" make a graph of a torch checkpoint, which takes seconds; its scores are
    within 1e-3 or it is refused. It is kept in `graph_folder`, and from then on "auto" runs it
    without importing torch. Without one "auto" runs torch, which for a few clips costs less than
    making a graph.

    Args:
        path: As of `deepfake.checkpoints.find_checkpoint`.
        backend: What computes the scores.

    Raises:
        CheckpointError: There is no such checkpoint, or the backend cannot run it.
        DeepfakeError: The graph's scores differ, or a package is missing.
    """
    found = find_checkpoint(path)
    if found.suffix in GRAPHS:
        return _load_graph(found, backend)
    if backend == "torch":
        return load(found)
    digest = sha256(found)
    files = {name: graph_folder() / f"{digest}{suffix}" for name, suffix in SUFFIXES.items()}
    if backend == "auto":
        kept = [name for name, file in files.items() if file.is_file() and _is_installed(name)]
        return _as(load(files[kept[0]]), found, digest) if kept else load(found)
    if not files[backend].is_file():
        from deepfake.checkpoints.export import export

        graph_folder().mkdir(parents=True, exist_ok=True)
        logger.info("making a graph of %s, kept in %s", found, graph_folder())
        export(found, backend, files[backend])
    return _as(load(files[backend]), found, digest)


def graph_folder() -> Path:
    """Return where graphs are kept: `deepfake/` in the user's folder for caches."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "deepfake"


def _load_graph(path: Path, backend: Backend) -> Checkpoint:
    checkpoint = load(path)
    if backend == "torch":  # only the shipped model has its weights beside it
        return replace(checkpoint, scorer=TorchScorer(load_network(path)[0]))
    if backend == "openvino" and path.suffix == ".onnx":
        return replace(checkpoint, scorer=OpenVinoScorer(path))
    if backend == "onnx" and path.suffix == ".xml":
        raise CheckpointError(
            f"{path} is a graph of OpenVINO, which ONNX Runtime cannot run. Give the checkpoint "
            "it was made from, or --backend openvino."
        )
    return checkpoint


def _is_installed(backend: str) -> bool:
    return importlib.util.find_spec(PACKAGES[backend]) is not None


def _as(graph: Checkpoint, path: Path, digest: str) -> Checkpoint:
    """Return a graph's checkpoint under the name of the one that it was made of."""
    return replace(graph, name=str(path), sha256=digest)
