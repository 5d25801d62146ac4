"""Read a checkpoint that somebody published, recognise its network, and rebuild it here."""

import codecs
import pickle
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from deepfake.checkpoints.published import (
    cmt,
    convit,
    cross_efficient_vit,
    cvit,
    deepfakebench,
    deepware,
    efficient_vit,
    mesonet,
    polimi,
    sbi,
    selimsef,
)
from deepfake.checkpoints.published.base import PublishedModel
from deepfake.errors import CheckpointError

# Each has `matches(state)` and `load(state)`. The first that matches wins.
FAMILIES: tuple[ModuleType, ...] = (
    efficient_vit,
    cross_efficient_vit,
    convit,
    cmt,
    selimsef,
    deepware,
    sbi,
    deepfakebench,
    polimi,
    cvit,
    mesonet,
)

TORCH_HEADS = (b"PK\x03\x04", b"\x80")  # a zip archive, or a pickle as torch before 1.6 wrote
CONTAINERS = ("state_dict", "model_state_dict", "model", "net", "network")
PREFIXES = ("module.", "model.", "net.", "network.")
# Scalars of numpy, such as a best loss kept beside the weights. Rebuilding one runs no code.
SAFE_GLOBALS = [
    np.dtype,
    codecs.encode,
    *(type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64, np.bool_)),
    (getattr(np, "_core", None) or np.core).multiarray.scalar,
    ((getattr(np, "_core", None) or np.core).multiarray.scalar, "numpy.core.multiarray.scalar"),
]


def load_published(source: str | Path | Mapping[str, Tensor]) -> PublishedModel:
    """Return the network of a published checkpoint with its weights, recipe and output rule.

    The network is recognised from the names and shapes of the tensors alone.

    Args:
        source: A file (.pth, .pt, .ckpt, .bin, .tar, .safetensors, .h5; the content counts, not
            the name), or the tensors by name.

    Raises:
        CheckpointError: The file cannot be read safely, is of no known network, or lacks a tensor.
    """
    if isinstance(source, Mapping):
        name, contents = "the given tensors", cast("Mapping[str, Any]", source)
    else:
        name, contents = str(source), read_tensors(Path(source))
    state = _unwrap(contents, name)
    for candidate in _without_prefixes(state):
        for family in FAMILIES:
            if family.matches(candidate):
                return cast("PublishedModel", family.load(candidate))
    known = ", ".join(family.__name__.rpartition(".")[2] for family in FAMILIES)
    raise CheckpointError(
        f"{name} holds no network that is known here: {len(state)} tensors, beginning with "
        f"{', '.join(list(state)[:3])}. Known families of published checkpoints: {known}."
    )


def read_tensors(path: Path) -> Mapping[str, Any]:
    """Return what a checkpoint file holds, without running any code of the file."""
    if not path.is_file():
        raise CheckpointError(f"No checkpoint at {path}. Give the path of an existing file.")
    with path.open("rb") as file:
        head = file.read(9)
    if head.startswith(b"\x89HDF"):
        return mesonet.read_h5(path)
    if head[8:9] == b"{":
        return _read_safetensors(path)
    if head.startswith(TORCH_HEADS):
        return _read_torch(path)
    raise CheckpointError(_not_a_checkpoint(path))


def _read_safetensors(path: Path) -> Mapping[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise CheckpointError(
            f"{path} is damaged: expected a complete .safetensors file, found {error}. "
            "Download it again."
        ) from error


def _read_torch(path: Path) -> Mapping[str, Any]:
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(SAFE_GLOBALS):
            warnings.simplefilter("ignore")  # about pickle protocols, which decide nothing here
            contents = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(_needs_code(path, str(error))) from error
    except (RuntimeError, EOFError, ValueError, LookupError, TypeError, OSError) as error:
        raise CheckpointError(_not_a_checkpoint(path)) from error
    if not isinstance(contents, Mapping):
        raise CheckpointError(
            f"{path} holds a {type(contents).__name__}: expected tensors by name (a state_dict)."
        )
    return contents


def _needs_code(path: Path, message: str) -> str:
    wanted = re.search(r"GLOBAL (\S+)", message)
    return (
        f"{path} is refused: reading it would run code of the file "
        f"({wanted[1] if wanted else 'a pickle that torch.save did not write'}), and only tensors "
        "are read here. Ask its author for a plain state_dict."
    )


def _not_a_checkpoint(path: Path) -> str:
    return (
        f"{path} ({path.stat().st_size} bytes) is no checkpoint or is cut short: expected a file "
        "written by torch.save, .safetensors or Keras .h5. Download it again."
    )


def _unwrap(contents: Mapping[str, Any], name: str) -> Mapping[str, Tensor]:
    for key in CONTAINERS:
        inner = contents.get(key)
        if isinstance(inner, Mapping):
            return _unwrap(inner, name)
    if not contents or not all(isinstance(value, Tensor) for value in contents.values()):
        found = ", ".join(f"{key} ({type(contents[key]).__name__})" for key in list(contents)[:5])
        raise CheckpointError(
            f"{name} holds no tensors by name: expected a state_dict, bare or under "
            f"{', '.join(CONTAINERS)}; found {found or 'nothing'}."
        )
    return contents


def _without_prefixes(state: Mapping[str, Tensor]) -> Iterator[Mapping[str, Tensor]]:
    """Yield the tensors as named, then without each prefix that all of them share."""
    yield state
    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in state):
            yield from _without_prefixes({k.removeprefix(prefix): v for k, v in state.items()})
