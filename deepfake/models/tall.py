"""TALL: four faces of a clip in one thumbnail, and a Swin transformer that sees it as a picture."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepfake.models.backbones import create_timm
from deepfake.models.network import Network

FRAMES = 4
SIZE = 224  # pixels, of a face and of the thumbnail


class TALL(Network):
    """Swin-B on two rows of two faces, with a position for each frame.

    Xu et al., ICCV 2023, https://arxiv.org/abs/2307.07494, with the windows of its code: 14, and 7
    in the last stage.

    Args:
        pretrained: Start Swin from ImageNet weights, which timm downloads.
    """

    frames = FRAMES

    def __init__(self, pretrained: bool = False) -> None:
        super().__init__()
        self.backbone = create_timm(
            "swin_base_patch4_window7_224", pretrained=pretrained, num_classes=0, window_size=14
        )
        self.num_features = int(self.backbone.num_features)
        self.positions = nn.Parameter(0.02 * torch.randn(1, FRAMES, self.backbone.embed_dim))
        self.head = nn.Linear(self.num_features, 1)

    def forward_features(self, faces: Tensor) -> Tensor:
        """Return features (B, 1024) for clips (B, T, 3, 224, 224); a short one's last repeats."""
        if faces.ndim != 5 or not 1 <= faces.shape[1] <= FRAMES or faces.shape[-1] != SIZE:
            raise ValueError(f"expected clips (B, 1 to 4, 3, 224, 224), got {tuple(faces.shape)}")
        faces = faces[:, [min(frame, faces.shape[1] - 1) for frame in range(FRAMES)]]
        small = F.avg_pool2d(faces.flatten(0, 1), 2)  # as bilinear halving of the thumbnail
        thumbnail = _tiled(small.reshape(-1, FRAMES, *small.shape[1:]))
        tokens: Tensor = self.backbone.patch_embed(thumbnail)  # (B, 56, 56, C)
        side = tokens.shape[1] // 2
        places = self.positions[..., None, None].expand(-1, -1, -1, side, side)
        tokens = tokens + _tiled(places).permute(0, 2, 3, 1)
        features: Tensor = self.backbone.norm(self.backbone.layers(tokens))
        return features.mean(dim=(1, 2))


def _tiled(maps: Tensor) -> Tensor:
    """Return four maps (B, 4, C, H, W) as two rows of two (B, C, 2 H, 2 W)."""
    batch, _, channels, height, width = maps.shape
    rows = maps.reshape(batch, 2, 2, channels, height, width).permute(0, 3, 1, 4, 2, 5)
    return rows.reshape(batch, channels, 2 * height, 2 * width)
