"""Which places of the last convolutional map raise the logit, by the grad-cam library.

Grad-CAM (Selvaraju et al., ICCV 2017, https://arxiv.org/abs/1610.02391) in the form of HiResCAM
(Draelos and Carin, 2020, https://arxiv.org/abs/2011.08891), which multiplies the map by its
gradient place by place. Behind average pooling and a linear layer the two are the same; behind a
head that treats places differently, such as MesoNet's, only the latter shows what raises the logit.
"""

import math
import warnings
from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn

from deepfake.errors import DeepfakeError, require

LEAST_SIDE = 4  # cells a side; a coarser map says nothing about places


class ExplainError(DeepfakeError):
    """A network that cannot be explained, or a library that is missing."""


def grad_cam(network: nn.Module, faces: Tensor) -> Tensor:
    """Return the places that speak for "fake" (B, S, S), each map stretched to [0, 1].

    Args:
        network: Gives logits (B,) of faces (B, 3, S, S); its gradients are cleared.
        faces: Normalised faces (B, 3, S, S).

    Raises:
        ExplainError: The library is missing, or the network has no map.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its many dependencies
        require("pytorch_grad_cam", "explain", "Grad-CAM", ExplainError)
        from pytorch_grad_cam import HiResCAM
    layer, prefix = find_map(network, faces[:1])
    reshape = None if prefix is None else lambda tokens: _to_map(tokens, prefix)
    network.eval()
    with (
        torch.inference_mode(mode=False),
        torch.enable_grad(),
        HiResCAM(network, [layer], reshape) as cam,
    ):
        targets: list[Any] = [lambda logit: logit] * len(faces)
        maps = cam(faces.clone().requires_grad_(), targets)  # frozen layers need it
    network.zero_grad()
    return torch.from_numpy(maps).float().clamp(0, 1)


def find_map(network: nn.Module, face: Tensor) -> tuple[nn.Module, int | None]:
    """Return the last module whose output is a square map, and how it has to be read.

    A module that runs more than once, such as a shared activation, has no single map.

    Args:
        network: Gives logits of faces.
        face: One normalised face (1, 3, S, S).

    Returns:
        The module, with None where its output is (B, C, H, W); where it is (B, N, D), the number
        of tokens before the patches.

    Raises:
        ExplainError: There is no such module.
    """
    tokens = _token_layer(network)
    runs: Counter[nn.Module] = Counter()
    maps: list[tuple[nn.Module, int | None]] = []

    def record(module: nn.Module, inputs: Any, output: Any) -> None:  # noqa: ANN401, ARG001
        runs[module] += 1
        if not isinstance(output, Tensor):
            return
        if output.ndim == 4 and output.shape[2] == output.shape[3] >= LEAST_SIDE:
            maps.append((module, None))
        elif module is tokens:
            maps.append((module, output.shape[1] - math.isqrt(output.shape[1]) ** 2))

    handles = [module.register_forward_hook(record) for module in network.modules()]
    try:
        with torch.no_grad():
            network.eval()(face)
    finally:
        for handle in handles:
            handle.remove()
    usable = [found for found in maps if runs[found[0]] == 1]
    plain = [found for found in usable if found[0] is tokens]
    if not usable:
        raise ExplainError(
            f"{type(network).__name__} has no map of at least {LEAST_SIDE}x{LEAST_SIDE} places "
            f"for a face of {face.shape[-1]} pixels. Use a larger face."
        )
    return (plain or usable)[-1]


def _token_layer(network: nn.Module) -> nn.Module | None:
    """Return the first norm of the last block of a plain transformer of timm.

    Its only convolution cuts the face into patches; and behind the last block's attention, only
    the class token has a gradient.
    """
    for module in network.modules():
        blocks = getattr(module, "blocks", None)
        if isinstance(blocks, nn.Sequential | nn.ModuleList) and len(blocks):
            norm = getattr(blocks[-1], "norm1", None)
            if isinstance(norm, nn.Module):
                return norm
    return None


def _to_map(tokens: Tensor, prefix: int) -> Tensor:
    """Return patches (B, N, D) behind a prefix as a map (B, D, S, S)."""
    side = math.isqrt(tokens.shape[1] - prefix)
    return tokens[:, prefix:].mT.reshape(tokens.shape[0], -1, side, side)
