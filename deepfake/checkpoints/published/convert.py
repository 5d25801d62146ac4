"""Turn published tensors into ours and load them, leaving none out."""

from collections.abc import Mapping

from torch import Tensor, nn

from deepfake.errors import CheckpointError


def fake_minus_real(columns: Tensor, *, fake: int) -> Tensor:
    """Return the row (1, ...) that gives z_fake - z_real, of a head's two rows (2, ...).

    Args:
        columns: Weight or bias of the head.
        fake: Which of the two columns is that of fake.
    """
    difference = columns[fake].double() - columns[1 - fake].double()
    return difference.to(columns.dtype)[None]


def fold_residuals(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors with each singular-value residual added to its main weight.

    Effort (Yan et al., ICML 2025, https://arxiv.org/abs/2411.15633) keeps `weight_main` and trains
    `U_residual` (O, R), `S_residual` (R,) and `V_residual` (R, I) beside it.
    """
    folded = {name: tensor for name, tensor in state.items() if "_residual" not in name}
    for name in [name for name in folded if name.endswith(".weight_main")]:
        layer, weight = name.removesuffix("weight_main"), folded.pop(name)
        parts = [state.get(f"{layer}{part}_residual") for part in "USV"]
        if all(part is not None for part in parts):
            u, s, v = (part.double() for part in parts if part is not None)
            weight = (weight.double() + (u * s) @ v).to(weight.dtype)
        folded[f"{layer}weight"] = weight
    return folded


def load_strictly(network: nn.Module, state: Mapping[str, Tensor], *, family: str) -> None:
    """Put the tensors into the network and set it to eval mode.

    Args:
        network: Takes the tensors.
        state: Tensors by the network's own names.
        family: Name of the published network, for messages.

    Raises:
        CheckpointError: A tensor is missing, unknown or of another shape; the message names it.
    """
    own = network.state_dict()
    missing = [name for name in own if name not in state]
    unknown = [name for name in state if name not in own]
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
