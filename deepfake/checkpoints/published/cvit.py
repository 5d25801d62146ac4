"""Both versions of CViT.

Wodajo and Atnafu, 2021, https://arxiv.org/abs/2102.11126. Files
`cvit_deepfake_detection_ep_50.pth` and `cvit2_deepfake_detection_ep_50.pth`, bare or under
"state_dict".

Three habits of the published code go into the weights, so that the network needs none of them:
attention is scaled by the width of all heads together instead of one's; the first version adds
row i of its position embedding to both tokens of the i-th face of a batch, of which row 0 is kept,
as for a face alone; the second version has rows for 1025 tokens and uses two.
"""

from collections.abc import Mapping

from torch import Tensor

from deepfake.checkpoints.published.base import PublishedModel
from deepfake.checkpoints.published.convert import (
    UNSHRUNK,
    fake_minus_real,
    load_strictly,
    rename,
    split_qkv,
)
from deepfake.models.cvit import CViT
from deepfake.recipe import InputRecipe
from preprocessing.types import PreprocessOptions

PREPROCESS = PreprocessOptions(  # 10 pixels of a face of 200
    margin=0.05, crop="box", crop_size=UNSHRUNK
)
HEADS = 8
TOKENS = 2  # class token and the one patch of a 7 x 7 map
BATCH_ROWS = 32  # of the first version's position embedding
HEAD = ("mlp_head.2.weight", "mlp_head.2.bias")
RULES = (
    (r"^patch_to_embedding\.", "embed."),
    (r"^cls_token$", "class_token"),
    (r"^pos_embedding$", "position"),
    (r"^mlp_head\.", "head."),
    (r"^transformer\.layers\.(\d+)\.0\.fn\.norm\.", r"encoder.\1.attention_norm."),
    (r"^transformer\.layers\.(\d+)\.1\.fn\.norm\.", r"encoder.\1.mlp_norm."),
    (r"^transformer\.layers\.(\d+)\.0\.fn\.fn\.to_out\.", r"encoder.\1.attention.project."),
    (r"^transformer\.layers\.(\d+)\.0\.fn\.fn\.", r"encoder.\1.attention."),
    (r"^transformer\.layers\.(\d+)\.1\.fn\.fn\.net\.0\.", r"encoder.\1.mlp.0."),
    (r"^transformer\.layers\.(\d+)\.1\.fn\.fn\.net\.2\.", r"encoder.\1.mlp.3."),
)


def matches(state: Mapping[str, Tensor]) -> bool:
    """Say whether these are tensors of either version."""
    needed = {"features.0.weight", "patch_to_embedding.weight", "pos_embedding", *HEAD}
    return needed <= state.keys() and len(state[HEAD[0]]) == 2


def load(state: Mapping[str, Tensor]) -> PublishedModel:
    """Return the network with its recipe."""
    first = state["pos_embedding"].shape[:2] == (BATCH_ROWS, 1)
    name = "cvit" if first else "cvit2"
    single = dict(state) | {key: fake_minus_real(state[key], fake=0) for key in HEAD}
    tensors = _divided(rename(single, RULES))
    position = tensors["position"]
    tensors["position"] = position[:1].expand(1, TOKENS, -1) if first else position[:, :TOKENS]
    network = CViT()
    load_strictly(network, tensors, family=name)
    scored = "; each face is scored as the published code does alone (row 0)" if first else ""
    return PublishedModel(
        name=name,
        network=network,
        recipe=InputRecipe(image_size=224),
        preprocess=PREPROCESS,
        output=(
            "column 0 minus column 1, positive where the published argmax says fake; the published "
            f"score is the sigmoid of each column{scored}; published with face_recognition and 10 "
            "pixels around the face, here with MTCNN and 0.05 of its side"
        ),
        licence="GPL-3.0",
        aggregation="mean",
    )


def _divided(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors with queries apart from keys and values, and scaled for one head."""
    return {
        name: tensor * HEADS**-0.5 if name.endswith(".query.weight") else tensor
        for name, tensor in split_qkv(tensors).items()
    }
