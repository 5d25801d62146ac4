"""The Cross Efficient ViT checkpoint of Coccomini et al., `cross_efficient_vit.pth`."""

from collections.abc import Mapping

from torch import Tensor

from deepfake.checkpoints.published.base import PublishedModel
from deepfake.checkpoints.published.convert import load_strictly, rename
from deepfake.checkpoints.published.efficient_vit import OUTPUT, PREPROCESS, RECIPE
from deepfake.models.cross_efficient_vit import CrossEfficientViT

# "sm" is the branch of the deep map, whose tokens are the narrower ones.
ATTENTION = (
    (r"\.to_q\.", ".query."),
    (r"\.to_kv\.", ".key_value."),
    (r"\.to_out\.0\.", ".project."),
)
RULES = (
    (r"^sm_image_embedder\.", "deep."),
    (r"^lg_image_embedder\.", "shallow."),
    (r"^(deep|shallow)\.efficient_net\.", r"\1.backbone.net."),
    (r"^(deep|shallow)\.to_patch_embedding\.1\.", r"\1.embed."),
    (r"^(deep|shallow)\.cls_token$", r"\1.class_token"),
    (r"^(deep|shallow)\.pos_embedding$", r"\1.positions"),
    (r"^sm_mlp_head\.", "deep_head."),
    (r"^lg_mlp_head\.", "shallow_head."),
    (r"^multi_scale_encoder\.layers\.(\d+)\.0\.", r"encoders.\1.deep."),
    (r"^multi_scale_encoder\.layers\.(\d+)\.1\.", r"encoders.\1.shallow."),
    (r"^(encoders\.\d+\.(?:deep|shallow))\.norm\.", r"\1_norm."),
    (r"^(encoders\.\d+\.(?:deep|shallow))\.layers\.(\d+)\.0\.norm\.", r"\1.\2.attention_norm."),
    (r"^(encoders\.\d+\.(?:deep|shallow))\.layers\.(\d+)\.0\.fn\.", r"\1.\2.attention."),
    (r"^(encoders\.\d+\.(?:deep|shallow))\.layers\.(\d+)\.1\.norm\.", r"\1.\2.mlp_norm."),
    (r"^(encoders\.\d+\.(?:deep|shallow))\.layers\.(\d+)\.1\.fn\.net\.", r"\1.\2.mlp."),
    (r"^multi_scale_encoder\.layers\.(\d+)\.2\.layers\.(\d+)\.0\.", r"encoders.\1.deep_cross.\2."),
    (
        r"^multi_scale_encoder\.layers\.(\d+)\.2\.layers\.(\d+)\.1\.",
        r"encoders.\1.shallow_cross.\2.",
    ),
    (r"_cross\.(\d+)\.fn\.norm\.", r"_cross.\1.norm."),
    (r"_cross\.(\d+)\.fn\.fn\.", r"_cross.\1.attention."),
    *ATTENTION,
)


def matches(state: Mapping[str, Tensor]) -> bool:
    """Tell whether these are the tensors of the published Cross Efficient ViT."""
    return {"sm_image_embedder.cls_token", "lg_image_embedder.cls_token"} <= state.keys()


def load(state: Mapping[str, Tensor]) -> PublishedModel:
    """Return the published network."""
    network = CrossEfficientViT.published()
    load_strictly(network, rename(state, RULES), family="Cross Efficient ViT")
    return PublishedModel(
        name="cross_efficient_vit",
        network=network,
        recipe=RECIPE,
        preprocess=PREPROCESS,
        output=OUTPUT,
        licence="MIT",
        aggregation="coccomini_identity_round",
    )
