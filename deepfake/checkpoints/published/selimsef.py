"""The winner of the Deepfake Detection Challenge: EfficientNet-B7 of timm, one linear layer.

Seferbekov, 2020; see Dolhansky et al., https://arxiv.org/abs/2006.07397. Files named
`final_*_DeepFakeClassifier_tf_efficientnet_b7_ns_0_*`, whose tensors are under "state_dict" with
the prefix "module.". The same tensors without that prefix are those of `deepware`.
"""

from collections.abc import Mapping

from torch import Tensor

from deepfake.checkpoints.published.base import PublishedModel
from deepfake.checkpoints.published.convert import UNSHRUNK, load_strictly, rename
from deepfake.models.timm_classifier import TimmClassifier
from deepfake.recipe import InputRecipe
from preprocessing.types import PreprocessOptions

RULES = (
    (r"^module\.", ""),
    (r"^encoder\.", "backbone."),
    (r"^fc\.", "head.1."),
)
UNUSED = ("backbone.classifier.weight", "backbone.classifier.bias")  # ImageNet's 1000 classes


def matches(state: Mapping[str, Tensor]) -> bool:
    """Say whether these are tensors of the challenge's winner, as released."""
    return {"module.encoder.conv_stem.weight", "module.fc.weight"} <= state.keys()


def network(state: Mapping[str, Tensor], *, family: str) -> TimmClassifier:
    """Return the network with its weights; names may have the prefix "module." or not."""
    classifier = TimmClassifier("tf_efficientnet_b7", image_size=380)
    load_strictly(classifier, rename(state, RULES), family=family, unused=UNUSED)
    return classifier


def load(state: Mapping[str, Tensor]) -> PublishedModel:
    """Return the network with its recipe."""
    return PublishedModel(
        name="selimsef_b7",
        network=network(state, family="selimsef_b7"),
        recipe=InputRecipe(image_size=380, resize="pad_centred", interpolation="area_cubic"),
        preprocess=PreprocessOptions(
            margin=1 / 3,
            crop="box",
            crop_size=UNSHRUNK,
            thresholds=(0.7, 0.8, 0.8),
            min_score=0.0,
        ),
        output="the published logit of fake; computed in float32, published in half precision",
        licence="MIT",
        aggregation="selimsef_confident",
    )
