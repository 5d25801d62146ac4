"""CADDM: a face judged as a whole, and by its map seen through ever larger windows."""

from torch import Tensor, nn

from deepfake.models.backbones import build_backbone
from deepfake.models.network import Network


class CADDM(Network):
    """A backbone's average, and what unpadded convolutions leave of its map: one place.

    In training the maps on the way are held to where a part was swapped; scores don't need that.

    Dong et al., CVPR 2023, https://arxiv.org/abs/2210.14457

    Args:
        backbone: As `deepfake.models.backbones.build_backbone` takes it.
        pretrained: Start it from ImageNet weights.
    """

    def __init__(self, backbone: str = "efficientnet-b4", *, pretrained: bool = False) -> None:
        super().__init__()
        self.backbone = build_backbone(backbone, pretrained=pretrained)
        self.num_features = width = int(self.backbone.num_features)  # type: ignore[arg-type]
        last = nn.Conv2d(width, width, 3), nn.ReLU(), nn.Conv2d(width, width, 1)
        end = _Window(nn.Sequential(*last), nn.Conv2d(width, width, 3))
        self.windows = nn.Sequential(*(_window(width, kernel) for kernel in (1, 3, 3)), end)
        self.head = nn.Linear(width, 1)

    def forward_features(self, faces: Tensor) -> Tensor:
        """Return features (B, D) for faces (B, 3, 224, 224), whose map is 7 x 7."""
        seen: Tensor = self.backbone(faces)
        features: Tensor = seen.mean(dim=(2, 3)) + self.windows(seen).mean(dim=(2, 3))
        return features


class _Window(nn.Module):
    def __init__(self, layers: nn.Sequential, skip: nn.Module) -> None:
        super().__init__()
        self.layers, self.skip = layers, skip

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu(self.layers(x) + self.skip(x))


def _window(width: int, kernel: int) -> _Window:
    first, second = nn.Conv2d(width, width, kernel), nn.Conv2d(width, width, 3, 1, 1, bias=False)
    norms = [nn.BatchNorm2d(width) for _ in range(3)]
    skip = nn.Sequential(nn.Conv2d(width, width, kernel, bias=False), norms[2])
    return _Window(nn.Sequential(first, norms[0], nn.ReLU(), second, norms[1]), skip)
