"""Deepware's scanner: the network of `selimsef`, trained anew, on contrast-stretched faces.

Files `*.pt` of deepware/deepfake-scanner: bare tensors without the prefix "module.", by which they
are told from the challenge winner's.
"""

from collections.abc import Mapping

from torch import Tensor

from deepfake.checkpoints.published import selimsef
from deepfake.checkpoints.published.base import PublishedModel
from deepfake.checkpoints.published.convert import UNSHRUNK
from deepfake.recipe import InputRecipe
from preprocessing.types import PreprocessOptions


def matches(state: Mapping[str, Tensor]) -> bool:
    """Say whether these are tensors of one of deepware's models."""
    return {"encoder.conv_stem.weight", "fc.weight"} <= state.keys()


def load(state: Mapping[str, Tensor]) -> PublishedModel:
    """Return the network with its recipe."""
    return PublishedModel(
        name="deepware_b7",
        network=selimsef.network(state, family="deepware_b7"),
        recipe=InputRecipe(image_size=380, values="stretch"),
        preprocess=PreprocessOptions(
            margin=0.325,  # a square of 1.65 times the face
            crop="square",
            crop_size=UNSHRUNK,
            min_score=0.98,
        ),
        output=(
            "the published logit of fake; published with one frame a second, here with a fixed "
            "number of frames"
        ),
        licence="GPL-3.0",
        aggregation="deepware_identity",
    )
