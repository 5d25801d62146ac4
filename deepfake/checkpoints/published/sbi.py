"""Self-Blended Images: EfficientNet-B4 with two classes.

Shiohara and Yamasaki, CVPR 2022, https://arxiv.org/abs/2204.08376. Files `FFraw.tar` and its c23
twin, whose tensors are under "model" with the prefix "net.".
"""

from collections.abc import Mapping

from torch import Tensor

from deepfake.checkpoints.published.base import PublishedModel
from deepfake.checkpoints.published.convert import UNSHRUNK, fake_minus_real, load_strictly, rename
from deepfake.models.efficientnet import EfficientNet
from deepfake.recipe import InputRecipe
from preprocessing.types import PreprocessOptions

RULES = ((r"^net\._fc\.", "head.1."), (r"^net\.", "backbone."))
HEAD = ("net._fc.weight", "net._fc.bias")


def matches(state: Mapping[str, Tensor]) -> bool:
    """Say whether these are tensors of Self-Blended Images' network."""
    return {"net._conv_stem.weight", *HEAD} <= state.keys() and len(state[HEAD[0]]) == 2


def load(state: Mapping[str, Tensor]) -> PublishedModel:
    """Return the network with its recipe."""
    single = dict(state) | {name: fake_minus_real(state[name], fake=1) for name in HEAD}
    network = EfficientNet("efficientnet-b4")
    load_strictly(network, rename(single, RULES), family="sbi_efficientnet_b4")
    return PublishedModel(
        name="sbi_efficientnet_b4",
        network=network,
        recipe=InputRecipe(
            image_size=380, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), interpolation="linear"
        ),
        preprocess=PreprocessOptions(margin=1 / 8, crop="box", crop_size=UNSHRUNK),
        output=(
            "column 1 minus column 0, whose sigmoid is the published softmax; published with "
            "RetinaFace and without faces under half the largest, here with MTCNN and all faces"
        ),
        licence="academic or non-profit, noncommercial research use only",
        aggregation="sbi_frame_max_mean",
    )
