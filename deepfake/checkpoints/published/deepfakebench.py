"""DeepfakeBench's EfficientNet-B4 and Xception.

Yan et al., NeurIPS 2023, https://arxiv.org/abs/2307.01426. Files of the release v1.0.1, with the
prefix "backbone.".
"""

from collections.abc import Mapping

from torch import Tensor, nn

from deepfake.checkpoints.published.base import PublishedModel
from deepfake.checkpoints.published.convert import fake_minus_real, load_strictly, rename
from deepfake.models.efficientnet import EfficientNet
from deepfake.models.timm_classifier import TimmClassifier
from deepfake.recipe import InputRecipe
from preprocessing.types import PreprocessOptions

RULES = (
    (r"^backbone\.last_(layer|linear)\.(1\.)?", "head.1."),  # "1." where dropout was configured
    (r"^backbone\.efficientnet\.", "backbone."),
)
UNUSED = tuple(
    f"backbone.adjust_channel.{name}"  # belongs to other detectors of DeepfakeBench
    for name in (
        *("0.weight", "0.bias", "1.weight", "1.bias"),
        *("1.running_mean", "1.running_var", "1.num_batches_tracked"),
    )
)


def matches(state: Mapping[str, Tensor]) -> bool:
    """Say whether these are tensors of one of the two networks."""
    return bool(_head(state)) and (_is_efficientnet(state) or _is_xception(state))


def load(state: Mapping[str, Tensor]) -> PublishedModel:
    """Return the network with its recipe."""
    network: nn.Module
    unused: tuple[str, ...] = ()
    if _is_efficientnet(state):
        name = "deepfakebench_efficientnet_b4"
        network = EfficientNet("efficientnet-b4", padding="nominal", stem_padding=False)
    else:
        name, unused = "deepfakebench_xception", UNUSED
        network = TimmClassifier("legacy_xception")
    single = dict(state) | {key: fake_minus_real(state[key], fake=1) for key in _head(state)}
    load_strictly(network, rename(single, RULES), family=name, unused=unused)
    return PublishedModel(
        name=name,
        network=network,
        recipe=InputRecipe(
            image_size=256, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), interpolation="linear"
        ),
        preprocess=PreprocessOptions(
            margin=0.15,  # "scale 1.3": 0.15 of the face on each side
            crop="aligned",
            crop_size=256,
        ),
        output=(
            "column 1 minus column 0, whose sigmoid is the published softmax; published with "
            "faces aligned by dlib's 81 landmarks, here by MTCNN's 5"
        ),
        licence="CC BY-NC 4.0",
        aggregation="mean",
    )


def _is_efficientnet(state: Mapping[str, Tensor]) -> bool:
    return "backbone.efficientnet._conv_stem.weight" in state


def _is_xception(state: Mapping[str, Tensor]) -> bool:
    return "backbone.block1.rep.0.pointwise.weight" in state


def _head(state: Mapping[str, Tensor]) -> list[str]:
    layers = ("last_layer", "last_layer.1", "last_linear", "last_linear.1")
    names = [f"backbone.{layer}.{kind}" for layer in layers for kind in ("weight", "bias")]
    return [name for name in names if name in state and len(state[name]) == 2]
