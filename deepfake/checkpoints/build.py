"""Networks built from what a checkpoint or a card says of them."""

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deepfake.cli.outside import imported
from deepfake.errors import CheckpointError

if TYPE_CHECKING:
    from torch import nn


def build(spec: Mapping[str, Any]) -> "nn.Module":
    """Build the network that a checkpoint names, without weights.

    Args:
        spec: `class_path` and `init_args`, both plain; arguments may be specs, or lists of them.

    Raises:
        CheckpointError: The class is not a network that may be built.
    """
    from torch import nn

    path = str(spec.get("class_path", ""))
    module_name = path.rpartition(".")[0]
    if f"{module_name}.".startswith("deepfake.models."):
        try:
            importlib.import_module(module_name)
        except ImportError as error:
            raise CheckpointError(f"This version has no network {path}.") from error
    # Never import what a file names: only what the user has imported already is looked up.
    found = imported(path)
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise CheckpointError(
            f"The checkpoint names the network {path!r}, which is not one of this project. If you "
            f"trust it, import {module_name or 'its module'} first (from Python, or with --import)."
        )
    arguments = dict(spec.get("init_args") or {})
    if "pretrained" in arguments:
        arguments["pretrained"] = False  # the weights come from the checkpoint
    arguments = {name: _built(value) for name, value in arguments.items()}
    try:
        return found(**arguments)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"The checkpoint's arguments do not fit {path}: {error}") from error


def _built(value: Any) -> Any:  # noqa: ANN401
    """Return an argument with the networks that it or its list names."""
    if isinstance(value, Mapping) and "class_path" in value:
        return build(value)
    return [_built(one) for one in value] if isinstance(value, list) else value
