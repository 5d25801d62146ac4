"""Arrays of a Keras file as torch has them: the layout of MesoNet's released weights."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

NAME = re.compile(r"^(?:.*/)?(conv2d|batch_normalization|dense)(?:_(\d+))?/(\w+):0$")
ARRAYS = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def from_keras(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return arrays as tensors such as conv2d.0.weight, counted by kind; others as they are.

    Keras counts on through a session, so that only the order of its numbers tells the layer.
    """
    found = {name: NAME.match(name) for name in state}
    if not all(found.values()):
        return state
    parts = {name: (m[1], int(m[2] or 0), m[3]) for name, m in found.items() if m is not None}
    tensors: dict[str, Tensor] = {}
    for name, (kind, number, array) in parts.items():
        before = {n for k, n, _ in parts.values() if k == kind and n < number}
        tensor = _transposed(state[name]) if array == "kernel" else state[name]
        tensors[f"{kind}.{len(before)}.{ARRAYS.get(array, array)}"] = tensor
        if kind == "batch_normalization":
            tensors[f"{kind}.{len(before)}.num_batches_tracked"] = torch.tensor(0)
    return tensors


def _transposed(kernel: Tensor) -> Tensor:
    """Return a kernel (H, W, in, out) or (in, out) as torch has it: (out, in, H, W), (out, in).

    MesoNet's first dense kernel takes a map (8, 8, 16) flattened by row, column, channel; ours
    takes it by channel, row, column.
    """
    if kernel.ndim == 4:
        return kernel.permute(3, 2, 0, 1).contiguous()
    if kernel.ndim != 2:
        return kernel
    weight = kernel.mT
    if weight.shape[1] == 1024:
        weight = weight.reshape(-1, 8, 8, 16).permute(0, 3, 1, 2).flatten(1)
    return weight.contiguous()
