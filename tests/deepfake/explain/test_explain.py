"""Heat maps: known answers, every network, and whether they show what networks go by."""

import csv
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from torch import Tensor, nn

from deepfake.aggregation import sigmoid
from deepfake.checkpoints.loading import Checkpoint, load
from deepfake.checkpoints.scorers import Faces, Scores
from deepfake.explain.grad_cam import ExplainError, find_map, grad_cam
from deepfake.explain.maps import explain_crops, rollout_of
from deepfake.explain.occlusion import occlusion_map
from deepfake.explain.rollout import has_grid, rollout, rollout_map
from deepfake.models.cmt import CMT
from deepfake.models.convit import ConViT
from deepfake.models.cross_efficient_vit import CrossEfficientViT
from deepfake.models.cvit import CViT
from deepfake.models.efficient_vit import EfficientViT
from deepfake.models.efficientnet import EfficientNet
from deepfake.models.mesonet import Meso4, MesoInception4
from deepfake.models.timm_classifier import TimmClassifier
from recipes.research.heat_maps import curves

TINY = "test_efficientnet"
# Small ones of each kind; whether attention gives the map, or gradients.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], int, bool]] = {
    "efficient_vit": (lambda: EfficientViT(TINY, image_size=128, dim=32, depth=2), 128, True),
    "efficient_vit_one_patch": (
        lambda: EfficientViT(TINY, image_size=128, patch_size=4, dim=32, depth=1),
        128,
        False,
    ),
    "cross_efficient_vit": (
        lambda: CrossEfficientViT(
            image_size=96,
            shallow_patch=3,
            depth=1,
            deep_depth=1,
            shallow_depth=1,
            cross_depth=1,
            mlp_dim=32,
        ),
        96,
        False,  # 3x3 patches are too few
    ),
    "convit": (lambda: ConViT(image_size=64, depth=3, local_depth=2), 64, True),
    "cmt": (lambda: CMT("Ti", image_size=128), 128, False),
    "cvit": (
        lambda: CViT(128, 4, channels=(8, 8, 16, 16, 32), dim=32, depth=1, heads=2, mlp_dim=32),
        128,
        False,
    ),
    "meso4": (lambda: Meso4(128), 128, False),
    "meso_inception4": (lambda: MesoInception4(128), 128, False),
    "efficientnet": (lambda: EfficientNet("efficientnet-b0"), 128, False),
    "timm_convolution": (lambda: TimmClassifier(TINY), 128, False),
    "timm_vit": (lambda: TimmClassifier("test_vit", image_size=64), 64, False),
    "frozen": (lambda: TimmClassifier(TINY, train="head"), 128, False),
}


class BrightCorner(nn.Module):
    """One convolution, and a head that looks at the upper left quarter alone."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Conv2d(3, 2, kernel_size=4, stride=4, bias=False)
        nn.init.constant_(self.map.weight, 0.1)

    def forward(self, faces: Tensor) -> Tensor:
        seen: Tensor = self.map(faces)
        return seen[:, 0, :4, :4].mean(dim=(1, 2))


def corner_score(faces: Faces) -> Scores:
    return sigmoid(faces[:, 0, :16, :16].mean(axis=(1, 2)))


def heat_map(network: torch.nn.Module, faces: torch.Tensor) -> torch.Tensor:
    """Return attention rollout where a network has it, else Grad-CAM."""
    maps = rollout_of(network, faces)
    return grad_cam(network, faces) if maps is None else maps


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_has_a_map(name: str) -> None:
    make, size, attention = NETWORKS[name]
    network = make().eval()
    faces = torch.randn(1, 3, size, size)
    maps = heat_map(network, faces)
    assert maps.shape == (1, size, size)
    assert maps.isfinite().all()
    assert maps.min() >= 0
    assert maps.max() <= 1
    assert all(parameter.grad is None for parameter in network.parameters())
    assert (rollout_of(network, faces) is not None) == attention


def test_grad_cam_shows_the_place_that_counts() -> None:
    network = BrightCorner()
    faces = torch.rand(1, 3, 32, 32) + 0.5
    (heat,) = grad_cam(network, faces)
    assert heat[:12, :12].min() > 0.3
    assert heat[20:, :].max() == heat[:, 20:].max() == 0
    assert find_map(network, faces) == (network.map, None)


def test_networks_without_a_map_are_told_so() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 1), nn.Flatten(0))
    with pytest.raises(ExplainError, match="Sequential has no map of at least 4x4"):
        grad_cam(network, torch.rand(1, 3, 2, 2))


def test_the_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_grad_cam", None)
    with pytest.raises(ExplainError, match=r"pip install -e '\.\[explain\]'"):
        grad_cam(BrightCorner(), torch.rand(1, 3, 32, 32))


def test_rollout_of_one_block_is_half_its_attention() -> None:
    attention = torch.tensor([[0.2, 0.3, 0.5], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    torch.testing.assert_close(rollout([attention[None, None]]), torch.tensor([[0.15, 0.25]]))


def test_rollout_multiplies_blocks_and_averages_heads() -> None:
    heads = torch.rand(1, 4, 5, 5).softmax(dim=-1)
    other = torch.rand(1, 2, 5, 5).softmax(dim=-1)
    first, second = ((a.mean(dim=1) + torch.eye(5)) / 2 for a in (heads, other))
    torch.testing.assert_close(rollout([heads, other]), (second @ first)[:, 0, 1:])


def test_which_attention_has_a_grid() -> None:
    assert has_grid([torch.zeros(1, 1, 17, 17)] * 2)
    assert not has_grid([torch.zeros(1, 1, 10, 10)])  # 3x3 patches are too few
    assert not has_grid([torch.zeros(1, 1, 16, 16)])  # no class token
    assert not has_grid([torch.zeros(1, 1, 17, 5)])
    assert not has_grid([torch.zeros(1, 1, 17, 17), torch.zeros(1, 1, 26, 26)])


def test_a_rollout_map_lies_as_the_patches_do() -> None:
    attention = torch.eye(17)[None, None].clone()
    attention[0, 0, 0] = 0
    attention[0, 0, 0, 1 + 4 * 1 + 2] = 1  # row 1, column 2
    (heat,) = rollout_map([attention], 32)
    assert divmod(int(heat.argmax()), 32) in {(r, c) for r in (11, 12) for c in (19, 20)}
    assert (heat.min(), heat.max()) == (0, 1)


def test_occlusion_shows_the_place_that_counts() -> None:
    faces = np.zeros((2, 3, 32, 32), np.float32)
    faces[0, :, 4:10, 4:10] = 3.0
    maps = occlusion_map(corner_score, faces)
    assert maps.shape == (2, 32, 32)
    assert maps[0].max() == 1
    assert maps[0, :12, :12].mean() > 0.5
    assert maps[0, 20:, :].max() == maps[0, :, 20:].max() == 0
    assert not maps[1].any()  # nothing lowers the score of a face without a sign


def test_which_method_a_checkpoint_gets(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load(checkpoint)
    crops = [np.full((50, 40, 3), 90, np.uint8)]
    maps, method = explain_crops(loaded, crops)
    assert (maps.shape, method) == ((1, 256, 256), "gradients")
    monkeypatch.setitem(sys.modules, "pytorch_grad_cam", None)
    assert explain_crops(loaded, crops)[1] == "occlusion"
    assert explain_crops(loaded, [])[1] == "none"
    temporal = replace(loaded, scorer=OfClips(), frames=3)
    assert explain_crops(temporal, crops)[1] == "occlusion"


class OfClips:
    """Scores clips of three faces."""

    def score(self, faces: Faces) -> Scores:
        assert faces.shape[1:3] == (3, 3)
        return np.full(len(faces), 0.5)

    def warm_up(self) -> None:
        pass


@pytest.fixture(scope="module")
def mesonet(shared_data: Path) -> tuple[Checkpoint, Faces]:
    """The published MesoNet, and the real crops that it is surest of."""
    pytest.importorskip("h5py", reason="needs h5py, which is not installed")
    loaded = load(shared_data / "weights/mesonet/Meso4_DF.h5")
    with (shared_data / "crops/labels.csv").open() as stream:
        rows = list(csv.DictReader(stream))[::2]
    images = [
        np.asarray(Pillow.open(shared_data / "crops" / r["path"]).convert("RGB")) for r in rows
    ]
    faces = np.stack([loaded.recipe.prepare(image) for image in images])
    surest = np.argsort(-loaded.scorer.score(faces))[:4]
    return loaded, faces[surest]


@pytest.mark.realdata
@pytest.mark.parametrize("method", ["gradients", "occlusion"])
def test_maps_of_real_crops_show_what_the_network_goes_by(
    method: str, mesonet: tuple[Checkpoint, Faces]
) -> None:
    loaded, faces = mesonet
    score = loaded.scorer.score
    if method == "occlusion":
        maps = occlusion_map(score, faces)
    else:
        maps = heat_map(loaded.scorer.network, torch.from_numpy(faces)).numpy()  # type: ignore[attr-defined]
    gain = np.mean([curves(score, f, m).gain for f, m in zip(faces, maps, strict=True)])
    assert gain > 0.1  # of a random map 0: a map and its reverse have opposite gains
