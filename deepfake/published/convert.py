"""Rename published tensors and load them, leaving none out."""

import re
from collections.abc import Collection, Mapping, Sequence

from torch import Tensor, nn

from deepfake.errors import CheckpointError


def rename(state: Mapping[str, Tensor], rules: Sequence[tuple[str, str]]) -> dict[str, Tensor]:
    """Return the tensors under new names: each (pattern, replacement) is applied in turn."""
    renamed = {}
    for old, tensor in state.items():
        name = old
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        renamed[name] = tensor
    return renamed


def load_strictly(
    network: nn.Module,
    state: Mapping[str, Tensor],
    *,
    family: str,
    unused: Collection[str] = (),
) -> None:
    """Put the tensors into the network and set it to eval mode.

    Args:
        network: Takes the tensors.
        state: Tensors by the network's own names.
        family: Name of the published network, for messages.
        unused: Names that the file may hold and the network has no place for.

    Raises:
        CheckpointError: A tensor is missing, unknown or of another shape; the message names it.
    """
    own = network.state_dict()
    missing = [name for name in own if name not in state]
    unknown = [name for name in state if name not in own and name not in unused]
    if missing or unknown:
        problems = [f"{len(missing)} missing ({missing[0]})"] if missing else []
        problems += [f"{len(unknown)} unknown ({unknown[0]})"] if unknown else []
        raise CheckpointError(
            f"Not a complete {family} checkpoint: of its tensors {' and '.join(problems)}. "
            "Expected exactly those of the published network; download it again or say which "
            "variant it is."
        )
    for name, tensor in own.items():
        if tensor.shape != state[name].shape:
            raise CheckpointError(
                f"Not a {family} checkpoint of the published size: {name} is "
                f"{tuple(state[name].shape)}, expected {tuple(tensor.shape)}."
            )
    network.load_state_dict({name: state[name] for name in own})
    network.eval()
