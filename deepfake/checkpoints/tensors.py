"""Reading tensors from a file without running any code of it, whatever program wrote it."""

import argparse
import codecs
import pathlib
import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepfake.errors import CheckpointError, require

TORCH_HEADS = (b"PK\x03\x04", b"\x80")  # a zip archive, or a pickle as torch before 1.6 wrote
MAX_VALUES = 1_000_000  # in one data set of a Keras file; MesoNet's largest has 16,384
MAX_ENTRIES = 1_000  # groups and data sets of a Keras file; MesoNet's have at most 87
# Scalars of numpy, such as a best loss kept beside the weights, and the options of the training
# script. Rebuilding one runs no code.
SAFE_GLOBALS = [
    argparse.Namespace,
    pathlib.PosixPath,
    np.dtype,
    codecs.encode,
    *(type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64, np.bool_)),
    (getattr(np, "_core", None) or np.core).multiarray.scalar,
    ((getattr(np, "_core", None) or np.core).multiarray.scalar, "numpy.core.multiarray.scalar"),
]


def read_tensors(path: Path) -> Mapping[str, Any]:
    """Return what a checkpoint file holds, without running any code of the file."""
    if not path.is_file():
        raise CheckpointError(f"No checkpoint at {path}. Give the path of an existing file.")
    with path.open("rb") as file:
        head = file.read(9)
    if head.startswith(b"\x89HDF"):
        return read_h5(path)
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


def read_h5(path: Path) -> dict[str, Tensor]:
    """Return the arrays of a Keras weight file by their full names, as float32.

    Reads plain arrays of numbers of bounded size only: no links to other files, no external
    storage, no objects.

    Raises:
        CheckpointError: h5py is missing, or the file is damaged or holds anything else.
    """
    require("h5py", "keras", f"{path.name}, a Keras file,", CheckpointError)
    import h5py

    tensors: dict[str, Tensor] = {}
    entries = 0

    def visit(name: str, entry: Any) -> None:  # noqa: ANN401
        nonlocal entries
        entries += 1
        if entries > MAX_ENTRIES:
            raise CheckpointError(f"{path} has over {MAX_ENTRIES} entries; MesoNet's have 87.")
        if isinstance(entry, h5py.Dataset):
            tensors[name] = _read(path, name, entry)

    try:
        with h5py.File(path, "r") as file:
            file.visititems(visit)
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"{path} is damaged: expected a Keras weight file, found {error}. Download it again."
        ) from error
    return tensors


def _read(path: Path, name: str, entry: Any) -> Tensor:  # noqa: ANN401
    if entry.dtype.kind not in "fiu" or entry.external or entry.is_virtual:
        raise CheckpointError(
            f"{path} holds {name} of type {entry.dtype}, stored "
            f"{'elsewhere' if entry.external or entry.is_virtual else 'inside'}; only arrays of "
            "numbers inside the file are read. Give a file of weights alone."
        )
    if entry.size is None or entry.size > MAX_VALUES:
        raise CheckpointError(
            f"{path} holds {name} of shape {entry.shape}; at most {MAX_VALUES} values are read, "
            "since MesoNet's largest has 16,384. Is it another network's file?"
        )
    return torch.from_numpy(np.asarray(entry[()], dtype=np.float32).copy())
