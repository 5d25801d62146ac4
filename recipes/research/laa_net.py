"""LAA-Net: a face, and a map of where it was blended.

Its weights load with `laa_net.yaml` of this folder laid beside them, under their name, and
`--import recipes.research.laa_net`.
"""

import torch
from torch import Tensor, nn

from deepfake.models.efficientnet import EfficientNet
from deepfake.models.network import Network

SIZES = (1792, 448, 160, 56)  # channels of B4's last maps, from the last on
TAKEN = (10, 22)  # blocks that end before a step down; the maps of 56 and 160 channels


class LAANet(Network):
    """EfficientNet-B4, a pyramid that adds to each map what the coarser one lacks, and two heads.

    Nguyen et al., CVPR 2024, https://arxiv.org/abs/2401.13856, without the head of consistency,
    which training alone needs.
    """

    num_features = 64

    def __init__(self) -> None:
        super().__init__()
        self.backbone = EfficientNet("efficientnet-b4", padding="nominal")
        self.backbone.head = nn.Identity()
        self.pyramid = nn.ModuleList(
            [
                _convolved(SIZES[0], SIZES[1], 3),
                nn.Sequential(_convolved(2 * SIZES[1], SIZES[2], 3), *_doubled(SIZES[2])),
                nn.Sequential(_convolved(2 * SIZES[2], SIZES[3], 3), *_doubled(SIZES[3])),
                nn.Sequential(_Inception(2 * SIZES[3]), *_doubled(2 * SIZES[3])),
            ]
        )
        self.judged = _headed()
        self.head = nn.Linear(self.num_features, 1)
        self.places = nn.Sequential(*_headed(), nn.Conv2d(64, 1, 1))

    def forward_map(self, faces: Tensor) -> Tensor:
        """Return the pyramid's finest map (B, 112, S / 4, S / 4) for faces (B, 3, S, S)."""
        net = self.backbone
        fine = net.blocks(net.stem(faces), 0, TAKEN[0])
        middle = net.blocks(fine, *TAKEN)
        coarse = net.blocks(middle, TAKEN[1])
        x: Tensor = net.backbone._swish(net.backbone._bn1(net.backbone._conv_head(coarse)))
        for layer, beside in zip(self.pyramid, (coarse, middle, fine), strict=False):
            x = layer(x)
            x = torch.cat([x, (1 - torch.sigmoid(x)) * beside], dim=1)
        return torch.relu(self.pyramid[3](x))

    def forward_features(self, faces: Tensor) -> Tensor:
        """Return features (B, 64) for faces (B, 3, S, S)."""
        features: Tensor = self.judged(self.forward_map(faces)).mean(dim=(2, 3))
        return features

    def localise(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B,), and logits (B, S / 4, S / 4) of each place's having been blended."""
        found = self.forward_map(faces)
        return self.forward_head(self.judged(found).mean(dim=(2, 3))), self.places(found).squeeze(1)


class _Inception(nn.Module):
    """Four views of a map side by side, all through one narrow convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.narrow = _convolved(width, width // 4, 1)
        self.three = _convolved(width // 4, width // 4, 3)
        self.five = _convolved(width // 4, width // 4, 5)
        self.widest = nn.MaxPool2d(3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        narrow = self.narrow(x)
        views = [narrow, self.three(narrow), self.five(narrow), self.narrow(self.widest(x))]
        return torch.cat(views, dim=1)


def _convolved(width: int, wider: int, kernel: int) -> nn.Sequential:
    layer = nn.Conv2d(width, wider, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(wider), nn.ReLU())


def _doubled(width: int) -> tuple[nn.Module, nn.Module]:
    return nn.ConvTranspose2d(width, width, 4, 2, 1, bias=False), nn.BatchNorm2d(width)


def _headed() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(2 * SIZES[3], 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU())
