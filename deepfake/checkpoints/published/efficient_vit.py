"""The Efficient ViT checkpoint of Coccomini et al., `efficient_vit.pth`."""

from collections.abc import Mapping

from torch import Tensor

from deepfake.checkpoints.published.base import PublishedModel
from deepfake.checkpoints.published.convert import load_strictly, rename, split_qkv
from deepfake.models.efficient_vit import EfficientViT
from deepfake.recipe import InputRecipe
from preprocessing.types import PreprocessOptions

# cv2.imread without a change of colour order, no normalisation.
RECIPE = InputRecipe(
    image_size=224,
    colour="BGR",
    values="byte",
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    resize="pad_centred",
    interpolation="area",
)
# MTCNN on frames of half size; the box is widened to a square, without margin.
PREPROCESS = PreprocessOptions(margin=0.0, crop="square", thresholds=(0.85, 0.95, 0.95))
OUTPUT = "its one column, the logit of fake"

RULES = (
    (r"^efficient_net\.", "backbone.net."),
    (r"^patch_to_embedding\.", "embed."),
    (r"^cls_token$", "class_token"),
    (r"^pos_embedding$", "positions"),
    (r"^transformer\.layers\.(\d+)\.0\.norm\.", r"encoder.\1.attention_norm."),
    (r"^transformer\.layers\.(\d+)\.0\.fn\.to_out\.0\.", r"encoder.\1.attention.project."),
    (r"^transformer\.layers\.(\d+)\.0\.fn\.to_qkv\.", r"encoder.\1.attention.to_qkv."),
    (r"^transformer\.layers\.(\d+)\.1\.norm\.", r"encoder.\1.mlp_norm."),
    (r"^transformer\.layers\.(\d+)\.1\.fn\.net\.", r"encoder.\1.mlp."),
    (r"^mlp_head\.", "head."),
)


def matches(state: Mapping[str, Tensor]) -> bool:
    """Tell whether these are the tensors of the published Efficient ViT."""
    return {"patch_to_embedding.weight", "efficient_net._conv_stem.weight"} <= state.keys()


def load(state: Mapping[str, Tensor]) -> PublishedModel:
    """Return the published network; every face scores as in the first place of a batch."""
    network = EfficientViT.published()
    load_strictly(network, split_qkv(rename(state, RULES)), family="Efficient ViT")
    return PublishedModel(
        name="efficient_vit",
        network=network,
        recipe=RECIPE,
        preprocess=PREPROCESS,
        output=OUTPUT,
        licence="MIT",
        aggregation="coccomini_identity_round",
    )
