"""MesoNet's four weight files, written by Keras.

Afchar et al., WIFS 2018, https://arxiv.org/abs/1809.00888. Files `Meso4_{DF,F2F}.h5` and
`MesoInception_{DF,F2F}.h5` of DariusAf/MesoNet. Their output is P(real); here it is turned.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from deepfake.checkpoints.published.base import PublishedModel
from deepfake.checkpoints.published.convert import load_strictly
from deepfake.errors import CheckpointError
from deepfake.models.mesonet import Meso4, MesoInception4
from deepfake.recipe import InputRecipe
from preprocessing.types import PreprocessOptions

PREPROCESS = PreprocessOptions(margin=0.15, crop="aligned", crop_size=4096)  # resized once only
NAME = re.compile(r"^(?:.*/)?(conv2d|batch_normalization|dense)(?:_(\d+))?/(\w+):0$")
KINDS = {"kernel": "weight", "gamma": "weight", "beta": "bias", "bias": "bias"}
STATISTICS = {"moving_mean": "running_mean", "moving_variance": "running_var"}
# Our places of the convolutions, in the order in which Keras numbered them.
MESO4 = [f"layers.{layer}.0.0" for layer in range(4)]
INCEPTION = [
    f"layers.{layer}.0.branches.{place}"
    for layer in range(2)
    for place in ("0.0", "1.0", "1.2", "2.0", "2.2", "3.0", "3.2")
] + MESO4[2:]


def matches(state: Mapping[str, Tensor]) -> bool:
    """Say whether these are arrays of Meso4 or MesoInception4."""
    try:
        return len(_layers(state)["conv2d"]) in (len(MESO4), len(INCEPTION))
    except (CheckpointError, KeyError):
        return False


def load(state: Mapping[str, Tensor]) -> PublishedModel:
    """Return the network with its recipe."""
    layers = _layers(state)
    is_meso4 = len(layers["conv2d"]) == len(MESO4)
    name = "meso4" if is_meso4 else "mesoinception4"
    network = Meso4() if is_meso4 else MesoInception4()
    places = {
        "conv2d": MESO4 if is_meso4 else INCEPTION,
        "batch_normalization": [f"layers.{layer}.1" for layer in range(4)],
        "dense": ["hidden.1", "head.1"],
    }
    tensors: dict[str, Tensor] = {}
    for kind, found in layers.items():
        if len(found) != len(places[kind]):
            raise CheckpointError(
                f"Not a {name} file: expected {len(places[kind])} layers {kind}, found "
                f"{len(found)}."
            )
        for place, arrays in zip(places[kind], found, strict=True):
            for array, tensor in arrays.items():
                ours = KINDS.get(array) or STATISTICS.get(array, array)
                tensors[f"{place}.{ours}"] = _transposed(tensor) if array == "kernel" else tensor
            if kind == "batch_normalization":
                tensors[f"{place}.num_batches_tracked"] = torch.tensor(0)
    for parameter in ("head.1.weight", "head.1.bias"):
        tensors[parameter] = -tensors[parameter]  # the logit of real becomes that of fake
    load_strictly(network, tensors, family=name)
    return PublishedModel(
        name=name,
        network=network,
        recipe=InputRecipe(
            image_size=256, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), interpolation="nearest"
        ),
        preprocess=PREPROCESS,
        output=(
            "minus the published logit, whose sigmoid is P(real); published with faces found and "
            "aligned by face_recognition, here by MTCNN, with a margin chosen by eye"
        ),
        licence="Apache-2.0",
        aggregation="mean",
    )


def _layers(state: Mapping[str, Tensor]) -> dict[str, list[dict[str, Tensor]]]:
    """Return each kind's layers, in the order of their numbers, as arrays by name."""
    numbered: dict[str, dict[int, dict[str, Tensor]]] = {}
    for name, tensor in state.items():
        match = NAME.match(name)
        if match is None:
            raise CheckpointError(f"Not a MesoNet file: it holds {name}.")
        kind, number, array = match[1], int(match[2] or 0), match[3]
        numbered.setdefault(kind, {}).setdefault(number, {})[array] = tensor
    return {kind: [layers[n] for n in sorted(layers)] for kind, layers in numbered.items()}


def _transposed(kernel: Tensor) -> Tensor:
    """Return a kernel (H, W, in, out) or (in, out) as torch has it: (out, in, H, W), (out, in).

    The first dense kernel takes a map (8, 8, 16) flattened by row, column, channel; ours takes it
    by channel, row, column.
    """
    if kernel.ndim == 4:
        return kernel.permute(3, 2, 0, 1).contiguous()
    weight = kernel.mT
    if weight.shape[1] == 1024:
        weight = weight.reshape(-1, 8, 8, 16).permute(0, 3, 1, 2).flatten(1)
    return weight.contiguous()
