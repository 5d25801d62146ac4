"""GenConViT's autoencoder branch."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from deepfake.models.backbones import create_timm
from deepfake.models.network import Network

WIDTHS = (3, 16, 32, 64, 128, 256)


class GenConViTED(Network):
    """ConvNeXt-T on the face and on what an autoencoder leaves of it.

    The published network also holds a Swin-T that never runs; it is left out.

    Wodajo et al., 2023, https://arxiv.org/abs/2307.07036

    Args:
        pretrained: Start ConvNeXt from ImageNet weights, which timm downloads.
    """

    num_features = 2000  # twice the thousand classes of ImageNet

    def __init__(self, pretrained: bool = False) -> None:
        super().__init__()
        down = [
            (nn.Conv2d(width, wider, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
            for width, wider in pairwise(WIDTHS)
        ]
        up = [
            (nn.ConvTranspose2d(wider, width, 2, stride=2), nn.ReLU())
            for width, wider in pairwise(WIDTHS)
        ]
        self.encoder = nn.Sequential(*(layer for step in down for layer in step))
        self.decoder = nn.Sequential(*(layer for step in reversed(up) for layer in step))
        self.backbone = create_timm("convnext_tiny", pretrained=pretrained)
        self.hidden = nn.Linear(self.num_features, self.num_features // 4)
        self.head = nn.Linear(self.num_features // 4, 1)
        self.activation = nn.GELU()

    def forward_features(self, faces: Tensor) -> Tensor:
        """Return features (B, 2000) for faces (B, 3, H, W), H and W multiples of 32."""
        rebuilt = self.decoder(self.encoder(faces))
        return torch.cat([self.backbone(rebuilt), self.backbone(faces)], dim=1)

    def forward_head(self, features: Tensor) -> Tensor:
        """Return logits (B,) of features (B, 2000)."""
        hidden = self.activation(self.hidden(self.activation(features)))
        return super().forward_head(hidden)
