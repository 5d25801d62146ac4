"""ConViT as timm stores it, trained with one output column."""

from collections.abc import Mapping
from typing import Literal

from torch import Tensor

from deepfake.checkpoints.published.base import PublishedModel
from deepfake.checkpoints.published.convert import load_strictly, rename, split_qkv
from deepfake.models.convit import ConViT
from deepfake.recipe import InputRecipe
from preprocessing.types import PreprocessOptions

LOCAL_DEPTH = 10
NAMES = {"blocks.0.attn.gating_param", "patch_embed.proj.weight", "pos_embed", "head.weight"}
HEADS: dict[int, Literal["tiny", "small", "base"]] = {4: "tiny", 9: "small", 16: "base"}
RULES = (
    (r"^cls_token$", "class_token"),
    (r"^pos_embed$", "positions"),
    (r"^patch_embed\.proj\.", "embed."),
    (r"^blocks\.(\d)\.", r"local_blocks.\1."),
    (r"^blocks\.1(\d)\.", r"blocks.\1."),
    (r"\.attn\.gating_param$", ".attention.gate"),
    (r"\.attn\.qk\.", ".attention.query_key."),
    (r"\.attn\.v\.", ".attention.value."),
    (r"\.attn\.qkv\.", ".attention.to_qkv."),
    (r"\.attn\.proj\.", ".attention.project."),
    (r"\.attn\.pos_proj\.", ".attention.position."),
    (r"\.norm1\.", ".attention_norm."),
    (r"\.norm2\.", ".mlp_norm."),
    (r"\.mlp\.fc1\.", ".mlp.0."),
    (r"\.mlp\.fc2\.", ".mlp.3."),
)


def matches(state: Mapping[str, Tensor]) -> bool:
    """Tell whether these are the tensors of a ConViT with one output."""
    shapes = {name: tuple(state[name].shape) for name in NAMES if name in state}
    if shapes.keys() != NAMES:
        return False
    return shapes["head.weight"][0] == 1 and shapes["blocks.0.attn.gating_param"][0] in HEADS


def load(state: Mapping[str, Tensor]) -> PublishedModel:
    """Return the ConViT of the size, face size and patch size that the tensors have."""
    size = HEADS[len(state["blocks.0.attn.gating_param"])]
    patch = state["patch_embed.proj.weight"].shape[-1]
    image_size = round(state["pos_embed"].shape[1] ** 0.5) * patch
    network = ConViT(size, image_size=image_size, patch_size=patch, local_depth=LOCAL_DEPTH)
    load_strictly(network, split_qkv(rename(state, RULES)), family="ConViT")
    return PublishedModel(
        name=f"convit_{size}",
        network=network,
        recipe=InputRecipe(image_size=image_size),
        preprocess=PreprocessOptions(),
        output="its one column, the logit of fake",
        licence="that of the file; none is known",
    )
