"""A convolutional network read at several of its stages, with a map of where a face was changed."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepfake.models.backbones import create_timm
from deepfake.models.network import Network


class MultiStageClassifier(Network):
    """Classify a face by the averages of several stages of a backbone.

    Traces of a blend are fine and local: they are strong in early stages and fade in the last. A
    1x1 convolution on one stage may learn where the face was changed, as the mask of Face X-ray
    (Li et al., CVPR 2020, https://arxiv.org/abs/1912.13458).

    Args:
        name: Network of timm with stages, such as "tf_efficientnet_lite0".
        pretrained: Start from ImageNet weights; see `deepfake.models.backbones.create_timm`.
        stages: Which of timm's stages are averaged, from 0.
        map_stage: Which of `stages` gives the map.
        dropout: Rate before the last layer.
    """

    def __init__(
        self,
        name: str = "tf_efficientnet_lite0",
        *,
        pretrained: bool = False,
        stages: tuple[int, ...] = (2, 3, 4),
        map_stage: int = 3,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if map_stage not in stages:
            raise ValueError(f"map_stage {map_stage} must be one of stages {tuple(stages)}")
        self.backbone: Any = create_timm(
            name, pretrained=pretrained, features_only=True, out_indices=tuple(stages)
        )
        widths = self.backbone.feature_info.channels()
        self.map_place = list(stages).index(map_stage)
        self.num_features = sum(widths)
        self.norm = nn.BatchNorm1d(self.num_features)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.num_features, 1)
        self.map_head = nn.Conv2d(widths[self.map_place], 1, 1)

    def _pooled(self, maps: list[Tensor]) -> Tensor:
        return torch.cat([features.mean((2, 3)) for features in maps], dim=1)

    def forward_features(self, faces: Tensor) -> Tensor:
        """Return the averages (B, D) of normalised faces (B, 3, H, W)."""
        return self._pooled(self.backbone(faces))

    def forward_head(self, features: Tensor) -> Tensor:
        """Return logits (B,) of features (B, D)."""
        return super().forward_head(self.dropout(self.norm(features)))

    def localise(self, faces: Tensor, size: int | None = None) -> tuple[Tensor, Tensor]:
        """Return logits (B,), and logits (B, S, S) of each place having been changed.

        Args:
            faces: Normalised (B, 3, H, W).
            size: Side S of the map; None leaves it as the stage gives it.
        """
        maps: list[Tensor] = self.backbone(faces)
        places: Tensor = self.map_head(maps[self.map_place])
        if size is not None and size != places.shape[-1]:
            places = F.interpolate(places, size=(size, size), mode="bilinear")
        return self.forward_head(self._pooled(maps)), places.squeeze(1)
