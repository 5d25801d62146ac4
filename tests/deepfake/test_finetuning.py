import pytest
from torch import nn

from deepfake.finetuning import StagedUnfreezing, distances
from deepfake.models.efficient_vit import EfficientViT
from deepfake.models.mesonet import Meso4
from deepfake.models.timm_classifier import TimmClassifier


class Backbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(1, 1, bias=False)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
            for _ in range(2)
        )
        self.norm1 = nn.LayerNorm(1, bias=False)


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter()
        self.backbone = Backbone()
        self.head = nn.Linear(1, 1, bias=False)


def test_distances_from_the_head() -> None:
    assert distances(Network()) == {
        "token": 0,
        "backbone.stem.weight": 5,
        "backbone.blocks.0.0.weight": 4,
        "backbone.blocks.0.1.weight": 3,
        "backbone.blocks.1.0.weight": 2,
        "backbone.blocks.1.1.weight": 1,
        "backbone.norm1.weight": 1,
        "head.weight": 0,
    }


def test_distances_in_real_networks() -> None:
    meso = distances(Meso4())
    assert {n for n, d in meso.items() if d == 0} == {"head.1.weight", "head.1.bias"}
    assert meso["layers.0.0.0.weight"] == max(meso.values())
    vit = distances(TimmClassifier("test_vit"))
    depth = max(vit.values())
    assert vit["backbone.cls_token"] == vit["backbone.pos_embed"] == depth
    assert vit["backbone.blocks.0.attn.qkv.weight"] == depth - 1
    assert vit["backbone.norm.weight"] == 1
    assert vit["head.1.weight"] == 0
    hybrid = distances(EfficientViT("tf_efficientnet_lite0", stage=3, image_size=64, dim=16))
    assert hybrid["class_token"] == hybrid["embed.weight"] == 0
    assert hybrid["backbone.net.conv_stem.weight"] == max(hybrid.values())


def test_reach_grows_epoch_by_epoch() -> None:
    staged = StagedUnfreezing(head_epochs=2, blocks_per_epoch=3)
    assert [staged.reach(epoch) for epoch in range(5)] == [0, 0, 3, 6, 9]
    at_once = StagedUnfreezing(head_epochs=1)
    assert [at_once.reach(epoch) for epoch in range(3)] == [0, None, None]
    with pytest.raises(ValueError, match="blocks_per_epoch"):
        StagedUnfreezing(blocks_per_epoch=0)
