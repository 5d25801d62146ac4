from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from deepfake.models.attention_efficientnet import EfficientNetAutoAttB4
from deepfake.models.caddm import CADDM
from deepfake.models.cvit import CViT
from deepfake.models.efficientnet import EfficientNet
from deepfake.models.frame_transformer import FrameTransformer
from deepfake.models.mesonet import Meso4, MesoInception4
from deepfake.models.timm_classifier import TimmClassifier

Make = Callable[[int], nn.Module]


def small_cvit(image_size: int) -> nn.Module:
    channels = (8, 8, 16, 16, 32)
    patch_size = image_size // 32  # one patch, as published
    return CViT(image_size, patch_size, channels=channels, dim=32, depth=2, heads=2, mlp_dim=64)


def frame_transformer(image_size: int) -> nn.Module:
    return FrameTransformer(Meso4(image_size), frames=3, dim=32, depth=2, heads=2)


# Small ones of each kind keep the export quick; published sizes are in checkpoints/published.
NETWORKS: dict[str, tuple[Make, tuple[int, ...]]] = {
    "meso4": (Meso4, (224, 256)),
    "mesoinception4": (MesoInception4, (224, 64)),
    "efficientnet_b0": (lambda _: EfficientNet("efficientnet-b0"), (224, 96)),
    "cvit": (small_cvit, (224, 96)),
    "frame_transformer": (frame_transformer, (224, 96)),
    "timm_convolution": (lambda _: TimmClassifier("test_efficientnet"), (224, 96)),
    "timm_vit": (lambda size: TimmClassifier("test_vit", image_size=size), (224, 64)),
}
# Whose graphs are no different from those above, or slow to export.
NOT_EXPORTED: dict[str, tuple[Make, tuple[int, ...]]] = {
    "efficientnet_autoatt_b4": (lambda _: EfficientNetAutoAttB4(), (160,)),
    "caddm": (lambda _: CADDM("test_efficientnet"), (224,)),
    "timm_norm": (lambda size: TimmClassifier("test_vit", train="norm", image_size=size), (64,)),
    "timm_unit": (lambda _: TimmClassifier("test_efficientnet", unit_features=True), (64,)),
}
TRACKS = ("frame_transformer",)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("name", [*NETWORKS, *NOT_EXPORTED])
def test_baseline_keeps_the_contract(name: str, contract: ModuleType) -> None:
    make, sizes = (NETWORKS | NOT_EXPORTED)[name]
    frames = 3 if name in TRACKS else None
    for size in sizes:
        contract.holds(make(size), [size], frames=frames)


def export(name: str, contract: ModuleType, file: Path) -> None:
    make, sizes = (NETWORKS | NOT_EXPORTED)[name]
    faces = contract.random_faces(min(sizes), frames=3 if name in TRACKS else None)
    contract.onnx_export_agrees(make(min(sizes)), faces, file)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_baseline_exports_to_onnx(name: str, contract: ModuleType, tmp_path: Path) -> None:
    export(name, contract, tmp_path / "n.onnx")


@pytest.mark.slow
def test_attention_map_exports_to_onnx(contract: ModuleType, tmp_path: Path) -> None:
    export("efficientnet_autoatt_b4", contract, tmp_path / "n.onnx")


@pytest.mark.parametrize(
    ("make", "parameters"),
    [
        (Meso4, 27_977),
        (MesoInception4, 28_615),
        (EfficientNet, 17_550_409),
        (EfficientNetAutoAttB4, 17_550_466),
        (lambda: TimmClassifier("legacy_xception"), 20_809_001),
        (lambda: TimmClassifier("tf_efficientnet_b7"), 63_789_521),
        (CViT, 88_989_505),
    ],
)
def test_published_size(make: Callable[[], nn.Module], parameters: int) -> None:
    """As published, with one logit, no unused head and CViT's position for the two tokens only."""
    with torch.device("meta"):
        network = make()
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
