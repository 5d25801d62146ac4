"""The Politecnico di Milano's EfficientNet-B4 and EfficientNetAutoAttB4.

Bonettini et al., ICPR 2020, https://arxiv.org/abs/2004.07676. Files
`EfficientNet{,AutoAtt}B4_{FFPP,DFDC}_bestval-*.pth`: bare tensors, or under "net".

The checkpoints say nothing of the release of efficientnet-pytorch that they were trained with.
They are of early 2020, when 0.6 was current, which pads strided convolutions for the 224 pixels
that they see; so does `load`. With 0.7, which pads for 380 pixels, the published code gives other
logits: pass `padding="nominal"` for those.
"""

from collections.abc import Mapping

from torch import Tensor

from deepfake.checkpoints.published.base import PublishedModel
from deepfake.checkpoints.published.convert import UNSHRUNK, load_strictly, rename
from deepfake.models.attention_efficientnet import EfficientNetAutoAttB4
from deepfake.models.efficientnet import EfficientNet, Padding
from deepfake.recipe import InputRecipe
from preprocessing.types import PreprocessOptions

RULES = (
    (r"^efficientnet\.attconv\.", "attention."),
    (r"^efficientnet\.", "backbone."),
    (r"^classifier\.", "head.1."),
)
PREPROCESS = PreprocessOptions(margin=0.2, crop="square", crop_size=UNSHRUNK)
ATTENTION = "efficientnet.attconv.weight"


def matches(state: Mapping[str, Tensor]) -> bool:
    """Say whether these are tensors of one of the two networks."""
    return {"efficientnet._conv_stem.weight", "classifier.weight"} <= state.keys()


def load(state: Mapping[str, Tensor], *, padding: Padding = "input") -> PublishedModel:
    """Return the network with its recipe.

    Args:
        state: Tensors by their published names.
        padding: "input" as efficientnet-pytorch 0.6, "nominal" as 0.7.
    """
    if ATTENTION in state:
        name = "polimi_efficientnet_autoatt_b4"
        network: EfficientNet = EfficientNetAutoAttB4(padding=padding)
    else:
        name = "polimi_efficientnet_b4"
        network = EfficientNet("efficientnet-b4", padding=padding)
    load_strictly(network, rename(state, RULES), family=name)
    release = "0.6" if padding == "input" else "0.7"
    return PublishedModel(
        name=name,
        network=network,
        recipe=InputRecipe(image_size=224),
        preprocess=PREPROCESS,
        output=(
            f"the published logit of fake, with the padding of efficientnet-pytorch {release}; "
            "published with BlazeFace and twice the margin above the face, here with MTCNN and "
            "one margin"
        ),
        licence="GPL-3.0",
        aggregation="mean_logit",
    )
