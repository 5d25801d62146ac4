from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from torch import nn

from deepfake.models.backbones import EfficientNetBackbone
from deepfake.models.efficient_vit import EfficientViT

Make = Callable[[int], nn.Module]


def compact_efficient_vit(image_size: int) -> nn.Module:
    return EfficientViT(
        "tf_efficientnet_lite0", stage=-1, image_size=image_size, dim=192, depth=2, heads=3,
        mlp_dim=384,
    )  # fmt: skip


def small_efficient_vit(image_size: int) -> nn.Module:
    return EfficientViT(image_size=image_size, dim=64, depth=2, heads=2, head_dim=32, mlp_dim=96)


# Small sizes keep the export quick; the published sizes are in tests/deepfake/published.
NETWORKS: dict[str, tuple[Make, tuple[int, int]]] = {
    "efficient_vit_b0": (small_efficient_vit, (224, 160)),
    "efficient_vit_compact": (compact_efficient_vit, (224, 96)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_hybrid_keeps_the_contract(name: str, contract: ModuleType) -> None:
    make, sizes = NETWORKS[name]
    for size in sizes:
        contract.holds(make(size), [size])


@pytest.mark.parametrize("name", NETWORKS)
def test_hybrid_exports_to_onnx(name: str, contract: ModuleType, tmp_path: Path) -> None:
    make, sizes = NETWORKS[name]
    size = min(sizes)
    contract.onnx_export_agrees(make(size), contract.random_faces(size), tmp_path / "n.onnx")
