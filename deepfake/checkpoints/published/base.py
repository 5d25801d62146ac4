"""What a published checkpoint becomes here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from deepfake.recipe import InputRecipe
from preprocessing.types import PreprocessOptions


@dataclass(frozen=True)
class PublishedModel:
    """Somebody else's weights in a network of ours, with all that decides their scores.

    Args:
        name: What was recognised, such as "efficient_vit".
        network: In eval mode; `forward(faces (B, 3, S, S)) -> logits (B,)`, higher means fake.
        recipe: From a crop to the network's input.
        preprocess: From a video to crops: face detector thresholds, margin, shape of the crop.
        output: What was done to the published output to get the logit, in words.
        licence: Licence of the published weights, as far as known.
        aggregation: The published way from face scores to a video's, a name in
            `deepfake.aggregation`.
        frames: Crops that the network takes at once; 1 for single faces.
        spec: `class_path` and `init_args` that build the network, where known.
    """

    name: str
    network: nn.Module
    recipe: InputRecipe
    preprocess: PreprocessOptions
    output: str
    licence: str
    aggregation: str = "mean"
    frames: int = 1
    spec: Mapping[str, Any] | None = None
