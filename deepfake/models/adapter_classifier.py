"""A frozen transformer of timm whose features are joined by those of a small adapter."""

from typing import Any

import torch
from torch import Tensor, nn

from deepfake.models.layers import small_head
from deepfake.models.timm_classifier import TimmClassifier


class AdapterClassifier(TimmClassifier):
    """A backbone of timm that stays as it is, a bottleneck beside its features, a linear layer.

    The adapter of FS-VFM: Wang et al., 2025, https://arxiv.org/abs/2510.10663

    Args:
        name: Name in timm.
        reduction: How much narrower than the features the bottleneck is.
        pretrained: Start the backbone from timm's weights, which are downloaded.
        settings: Further arguments of `timm.create_model`.
    """

    def __init__(
        self,
        name: str = "vit_base_patch16_224",
        *,
        reduction: int = 4,
        pretrained: bool = False,
        settings: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(name, train="head", pretrained=pretrained, settings=settings)
        width = self.num_features
        down = nn.Linear(width, width // reduction, bias=False)
        up = nn.Linear(width // reduction, width, bias=False)
        self.adapter = nn.Sequential(down, nn.ReLU(), up, nn.ReLU())
        self.num_features = 2 * width
        self.head = small_head(self.num_features)

    def forward_features(self, faces: Tensor) -> Tensor:
        """Return features (B, 2 D) for faces (B, 3, S, S)."""
        features = super().forward_features(faces)
        return torch.cat([features, self.adapter(features)], dim=1)
