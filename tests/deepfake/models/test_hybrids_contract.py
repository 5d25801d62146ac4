from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from deepfake.models.cmt import CMT
from deepfake.models.convit import ConViT
from deepfake.models.cross_efficient_vit import CrossEfficientViT
from deepfake.models.efficient_vit import EfficientViT

Make = Callable[[int], nn.Module]
LITE0 = "tf_efficientnet_lite0"


def compact(size: int) -> nn.Module:
    return EfficientViT(LITE0, stage=-1, image_size=size, dim=192, depth=2, heads=3, mlp_dim=384)


def small_efficient_vit(size: int) -> nn.Module:
    return EfficientViT(image_size=size, dim=64, depth=2, heads=2, head_dim=32, mlp_dim=96)


def small_timm(size: int) -> nn.Module:
    return EfficientViT("test_efficientnet", image_size=size, dim=64, depth=1)


def small_cross_efficient_vit(size: int) -> nn.Module:
    return CrossEfficientViT(
        image_size=size,
        shallow_patch=size // 32,
        depth=1,
        deep_depth=1,
        shallow_depth=1,
        cross_depth=1,
        mlp_dim=96,
    )


def small_convit(size: int) -> nn.Module:
    return ConViT(image_size=size, depth=3, local_depth=2)


def convit_on_map(size: int) -> nn.Module:
    return ConViT(backbone=LITE0, stage=-1, image_size=size, depth=3, local_depth=2)


def convit_on_b0(size: int) -> nn.Module:
    return ConViT(backbone="efficientnet-b0", stage=4, image_size=size, depth=2, local_depth=1)


# Shallow ones of each kind at two sizes in pixels; the published depths are below.
NETWORKS: dict[str, tuple[Make, tuple[int, int]]] = {
    "efficient_vit_b0": (small_efficient_vit, (224, 160)),
    "efficient_vit_compact": (compact, (224, 96)),
    "efficient_vit_timm": (small_timm, (224, 64)),
    "cross_efficient_vit": (small_cross_efficient_vit, (224, 96)),
    "convit": (small_convit, (224, 96)),
    "convit_on_map": (convit_on_map, (224, 96)),
    "convit_on_b0": (convit_on_b0, (224, 64)),
    "cmt_ti": (lambda size: CMT("Ti", image_size=size), (224, 64)),
}
SIZES: dict[str, Make] = {
    "efficient_vit": lambda size: EfficientViT(image_size=size),
    "cross_efficient_vit": lambda size: CrossEfficientViT(
        image_size=size, shallow_patch=size // 32
    ),
    "convit_tiny": lambda size: ConViT("tiny", image_size=size),
    "convit_small": lambda size: ConViT("small", image_size=size),
    "convit_base": lambda size: ConViT("base", image_size=size),
    "convit_small_on_b0": lambda size: ConViT("small", backbone="efficientnet-b0", image_size=size),
    "cmt_xs": lambda size: CMT("XS", image_size=size),
    "cmt_s": lambda size: CMT("S", image_size=size),
    "cmt_b": lambda size: CMT("B", image_size=size),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_hybrid_keeps_the_contract(name: str, contract: ModuleType) -> None:
    make, sizes = NETWORKS[name]
    for size in sizes:
        contract.holds(make(size), [size])


@pytest.mark.parametrize("name", SIZES)
def test_hybrid_of_every_size_keeps_the_contract(name: str, contract: ModuleType) -> None:
    contract.holds(SIZES[name](64), [64])


@pytest.mark.parametrize(
    ("make", "parameters"),
    [
        (EfficientViT.published, 109_447_781),
        (CrossEfficientViT.published, 101_377_610),
        (ConViT, 5_517_705),
        (lambda: CMT("Ti", image_size=160), 8_212_707),
        (lambda: CMT("XS", image_size=192), 13_967_489),
        (lambda: CMT("S"), 24_976_441),
    ],
)
def test_hybrid_has_its_published_size(make: Callable[[], nn.Module], parameters: int) -> None:
    assert sum(parameter.numel() for parameter in make().parameters()) == parameters


def test_compact_efficient_vit_is_below_15_megabytes_in_half_precision() -> None:
    assert sum(parameter.numel() for parameter in compact(224).parameters()) * 2 < 15e6


@pytest.mark.parametrize("name", ["efficient_vit_b0", "cross_efficient_vit", "convit", "cmt_ti"])
def test_attention_can_be_asked_for(name: str, contract: ModuleType) -> None:
    make, sizes = NETWORKS[name]
    size = min(sizes)
    network = make(size).eval()
    faces = contract.random_faces(size)
    with torch.no_grad():
        before = network(faces)
        maps = network.attention_maps(faces)  # type: ignore[operator]
        assert torch.equal(network(faces), before)
    for weights in maps:
        assert weights.shape[0] == len(faces)
        torch.testing.assert_close(weights.sum(dim=-1), torch.ones(weights.shape[:3]))
    if name != "cmt_ti":
        assert {weights.shape[2:] for weights in maps} == {maps[0].shape[2:]}
        assert maps[0].shape[2] == maps[0].shape[3]


# One size of each class: the others repeat its blocks, and their graphs take minutes to make.
EXPORTED: dict[str, Make] = {
    "efficient_vit": SIZES["efficient_vit"],
    "cross_efficient_vit": SIZES["cross_efficient_vit"],
    "convit_tiny": SIZES["convit_tiny"],
    "convit_small_on_b0": SIZES["convit_small_on_b0"],
    "cmt_ti": NETWORKS["cmt_ti"][0],
    "compact": compact,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPORTED)
def test_hybrid_exports_to_onnx(name: str, contract: ModuleType, tmp_path: Path) -> None:
    faces = contract.random_faces(64)
    contract.onnx_export_agrees(EXPORTED[name](64), faces, tmp_path / "n.onnx")
