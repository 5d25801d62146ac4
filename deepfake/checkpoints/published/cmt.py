"""CMT as its authors store it, trained with one output column."""

from collections.abc import Mapping
from typing import Literal

from torch import Tensor

from deepfake.checkpoints.published.base import PublishedModel
from deepfake.checkpoints.published.convert import load_strictly, rename
from deepfake.models.cmt import CMT
from deepfake.recipe import InputRecipe
from preprocessing.types import PreprocessOptions

NAMES = {"relative_pos_a", "patch_embed_a.proj.weight", "head.weight"}
WIDTHS: dict[int, Literal["Ti", "XS", "S", "B"]] = {46: "Ti", 52: "XS", 64: "S", 76: "B"}
# The stem is convolution, GELU, norm, three times over.
RULES = (
    *((rf"^stem_conv{n}\.", f"stem.{3 * (n - 1)}.") for n in (1, 2, 3)),
    *((rf"^stem_norm{n}\.", f"stem.{3 * (n - 1) + 2}.") for n in (1, 2, 3)),
    *((rf"^relative_pos_{s}$", f"stages.{i}.positions") for i, s in enumerate("abcd")),
    *((rf"^patch_embed_{s}\.proj\.", f"stages.{i}.embed.") for i, s in enumerate("abcd")),
    *((rf"^patch_embed_{s}\.norm\.", f"stages.{i}.norm.") for i, s in enumerate("abcd")),
    *((rf"^blocks_{s}\.", f"stages.{i}.blocks.") for i, s in enumerate("abcd")),
    (r"^_fc\.", "project."),
    (r"^_bn\.", "norm."),
    (r"\.norm1\.", ".attention_norm."),
    (r"\.norm2\.", ".mlp_norm."),
    (r"\.attn\.q\.", ".attention.query."),
    (r"\.attn\.k\.", ".attention.key."),
    (r"\.attn\.v\.", ".attention.value."),
    (r"\.attn\.proj\.", ".attention.project."),
    (r"\.attn\.sr\.", ".attention.reduce."),
    (r"\.mlp\.conv1\.", ".mlp.widen."),
    (r"\.mlp\.proj\.", ".mlp.depthwise."),
    (r"\.mlp\.proj_bn\.", ".mlp.norm."),
    (r"\.mlp\.conv2\.", ".mlp.narrow."),
    (r"^(stages\.\d\.blocks\.\d+)\.proj\.", r"\1.local."),
)


def matches(state: Mapping[str, Tensor]) -> bool:
    """Tell whether these are the tensors of a CMT with one output."""
    shapes = {name: tuple(state[name].shape) for name in NAMES if name in state}
    if shapes.keys() != NAMES:
        return False
    return shapes["head.weight"][0] == 1 and shapes["patch_embed_a.proj.weight"][0] in WIDTHS


def load(state: Mapping[str, Tensor]) -> PublishedModel:
    """Return the CMT of the size and face size that the tensors have."""
    size = WIDTHS[len(state["patch_embed_a.proj.weight"])]
    image_size = 4 * round(state["relative_pos_a"].shape[1] ** 0.5)
    network = CMT(size, image_size=image_size)
    load_strictly(network, rename(state, RULES), family="CMT")
    return PublishedModel(
        name=f"cmt_{size.lower()}",
        network=network,
        recipe=InputRecipe(image_size=image_size),
        preprocess=PreprocessOptions(),
        output="its one column, the logit of fake",
        licence="that of the file; none is known",
    )
