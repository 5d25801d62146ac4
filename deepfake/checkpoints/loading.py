"""Checkpoints: our own, exported graphs, the shipped default, and everyone's published ones.

A checkpoint is all that a verdict depends on: the network, how videos become crops, how crops
become tensors, the calibration and the rule that joins the faces. Nothing is ever unpickled in a
way that could run code, and a class named in a checkpoint is built only if it is one of ours or
already imported.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from deepfake.checkpoints.build import build
from deepfake.checkpoints.card import limits_beside
from deepfake.checkpoints.scorers import OnnxScorer, OpenVinoScorer, Scorer, TorchScorer
from deepfake.checkpoints.settings import KEY, Settings
from deepfake.errors import CheckpointError

if TYPE_CHECKING:
    from torch import nn

    from preprocessing.types import PreprocessOptions

PREFIX = "network."  # of the network's tensors in a Lightning checkpoint
GRAPHS: dict[str, type[OnnxScorer | OpenVinoScorer]] = {
    ".onnx": OnnxScorer,
    ".xml": OpenVinoScorer,
}
Backend = Literal["auto", "torch", "onnx", "openvino"]
LATEST = Path("runs/latest/best.ckpt")
WEIGHTS = Path(__file__).parents[1] / "weights"
DEFAULT = Path("default")  # the word that names the shipped model
DEFAULT_MODEL = WEIGHTS / "default.onnx"
DEFAULT_WEIGHTS = WEIGHTS / "default.safetensors"  # of the same network, for torch
DEFAULT_SETTINGS = WEIGHTS / "default.json"


@dataclass(frozen=True, eq=False, kw_only=True)
class Checkpoint(Settings):
    """A network with all that its verdicts depend on.

    Args:
        name: The file, or "default".
        scorer: Gives P(fake) of prepared faces, before calibration.
        sha256: Of the file.
    """

    name: str
    scorer: Scorer
    sha256: str


def find_checkpoint(path: Path | None = None) -> Path:
    """Return the checkpoint to use: the given one, else the latest run's, else the shipped one.

    The word "default" stands for the shipped one.

    Raises:
        CheckpointError: There is none.
    """
    if path == DEFAULT:
        if not DEFAULT_MODEL.is_file():
            raise CheckpointError(
                f"No default model is installed at {DEFAULT_MODEL}. Give the path of a checkpoint."
            )
        return DEFAULT_MODEL
    if path is not None:
        if not path.is_file():
            raise CheckpointError(f"No checkpoint at {path}. Give the path of an existing file.")
        return path
    for candidate in (LATEST, DEFAULT_MODEL):
        if candidate.is_file():
            return candidate
    raise CheckpointError(
        f"No checkpoint: {LATEST} does not exist and no default model is installed. Train one with "
        "`python -m deepfake.train`, or give --checkpoint FILE."
    )


def load(path: Path | None = None, *, device: str = "cpu") -> Checkpoint:
    """Load a checkpoint of ours or a published one; see `find_checkpoint`.

    Raises:
        CheckpointError: It cannot be found, read safely, or recognised.
    """
    found = find_checkpoint(path)
    digest = sha256(found)
    name = "default" if found == DEFAULT_MODEL else str(found)
    if found.suffix in GRAPHS:
        return _load_graph(found, name, digest)
    network, settings = load_network(found)
    scorer = TorchScorer(network, device)
    return Checkpoint(**vars(settings), name=name, scorer=scorer, sha256=digest)


def load_with(path: Path | None = None, backend: Backend = "auto") -> Checkpoint:
    """Load a checkpoint to be run by a backend, on the CPU; "auto" is the file's own.

    Raises:
        CheckpointError: There is no such checkpoint, or the backend cannot run it.
    """
    found = find_checkpoint(path)
    own = {".onnx": ("onnx", "openvino"), ".xml": ("openvino",)}.get(found.suffix, ("torch",))
    checkpoint = load(found)
    if backend in ("auto", own[0]):
        return checkpoint
    if backend == "torch":  # of graphs, the shipped one alone has its weights beside it
        return replace(checkpoint, scorer=TorchScorer(load_network(found)[0]))
    if backend in own:
        return replace(checkpoint, scorer=OpenVinoScorer(found))
    raise CheckpointError(
        f"{found} is not for {backend}. Make a graph of the checkpoint that was trained: "
        f"`python -m deepfake.export --checkpoint C --format {backend} --out FILE`."
    )


def load_network(path: Path) -> tuple["nn.Module", Settings]:
    """Return the torch network of a checkpoint in eval mode, and its settings.

    Raises:
        CheckpointError: The file cannot be read safely or recognised, or holds a graph.
    """
    from deepfake.checkpoints.published.load import load_published
    from deepfake.checkpoints.tensors import read_tensors

    if path == DEFAULT_MODEL:
        _check_shipped(DEFAULT_WEIGHTS)
        path = DEFAULT_WEIGHTS
    if path.suffix in GRAPHS:
        raise CheckpointError(
            f"{path} is a graph without a network of torch. Give the checkpoint it was made from."
        )
    contents = read_tensors(path)
    if path.suffix == ".safetensors":
        contents = _with_settings(contents, path)
    if KEY in contents:
        network, settings = restore(contents, path)
        return network, _with_card(settings, path)
    published = load_published(path)
    note = f"published {published.name} ({published.licence}); {published.output}"
    settings = Settings(
        published.recipe, published.preprocess, aggregation=published.aggregation,
        network=published.spec, frames=published.frames, note=note,
    )  # fmt: skip
    return published.network.eval(), _with_card(settings, path)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _load_graph(path: Path, name: str, digest: str) -> Checkpoint:
    scorer = GRAPHS[path.suffix](path)
    if path == DEFAULT_MODEL:
        _check_shipped(path, digest)
        text: str | None = DEFAULT_SETTINGS.read_text(encoding="utf-8")  # spares loading the graph
    else:
        text = scorer.metadata(KEY)
    if text is None:
        raise CheckpointError(
            f"{path} is a graph without this project's settings in its metadata. "
            "Make one with `python -m deepfake.export`."
        )
    settings = _with_card(Settings.from_json(text, path), path)
    return Checkpoint(**vars(settings), name=name, scorer=scorer, sha256=digest)


def _with_card(settings: Settings, path: Path) -> Settings:
    """Return settings with the limits in the card beside a checkpoint, if it brings none itself."""
    return settings if settings.limits else replace(settings, limits=limits_beside(path))


def _check_shipped(path: Path, digest: str | None = None) -> None:
    lines = (WEIGHTS / "SHA256").read_text(encoding="ascii").splitlines()
    expected = {name: value for value, name in (line.split() for line in lines)}.get(path.name, "")
    found = digest or sha256(path)
    if found != expected:
        raise CheckpointError(
            f"The shipped model {path} is damaged: its SHA-256 is {found[:16]}..., "
            f"expected {expected[:16]}.... Install the package again."
        )


def _with_settings(tensors: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """Return tensors of a .safetensors file of ours as in a Lightning checkpoint, others as is.

    The settings of the shipped model are those beside it, for the graph and for the network alike.
    """
    if path == DEFAULT_WEIGHTS:
        text: str | None = DEFAULT_SETTINGS.read_text(encoding="utf-8")
    else:
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        text = header.get("__metadata__", {}).get(KEY)
    if text is None:
        return tensors
    state = {f"{PREFIX}{name}": tensor for name, tensor in tensors.items()}
    try:
        return {KEY: json.loads(text), "state_dict": state}
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: its settings are not JSON: {error}") from error


def restore(contents: Mapping[str, Any], path: Path) -> tuple["nn.Module", Settings]:
    """Return the network with its weights, and the settings, of a Lightning checkpoint of ours.

    Raises:
        CheckpointError: A part is missing or does not fit.
    """
    settings = Settings.from_dict(contents[KEY], path)
    if settings.network is None:
        raise CheckpointError(
            f"{path} does not say which network it holds. Train with `python -m deepfake.train`, "
            "derive the network from deepfake.models.network.Network, or give FakeClassifier a "
            "network_spec."
        )
    network = build(settings.network)
    state = contents.get("state_dict")
    if not isinstance(state, Mapping):
        raise CheckpointError(f"{path} has no state_dict.")
    weights = {
        key.removeprefix(PREFIX): value for key, value in state.items() if key.startswith(PREFIX)
    }
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise CheckpointError(f"{path}: its weights do not fit its network: {reason}") from error
    return network.eval(), settings


def published_crops(family: str) -> "PreprocessOptions":
    """Return how a published family cuts faces; see `published.load.published_crops`."""
    from deepfake.checkpoints.published.load import published_crops as find_it

    return find_it(family)
