"""MS-EffViT of DeepGuard: two maps of an EfficientNet, each with a transformer's dense half."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from deepfake.models.backbones import create_timm
from deepfake.models.network import Network

MAPS = (1, 4)  # of timm's five: strides 4 and 32


class _Excite(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(dim, dim, 3, padding=1, groups=dim, bias=False)
        narrow, widen = nn.Linear(dim, dim // 4, bias=False), nn.Linear(dim // 4, dim, bias=False)
        self.gate = nn.Sequential(narrow, nn.GELU(), widen, nn.Sigmoid())
        self.mix = nn.Conv2d(dim, dim, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        spread = nn.functional.gelu(self.spread(x))
        gates: Tensor = self.gate(spread.mean(dim=(2, 3)))
        mixed: Tensor = self.mix(spread * gates[:, :, None, None])
        return x + mixed


class _Branch(nn.Module):
    """Embed a map (B, C, H, W); return the mean of its tokens (B, D)."""

    def __init__(
        self, channels: int, tokens: int, *, dim: int, depth: int, ratio: int, stride: int
    ) -> None:
        super().__init__()
        kernel = 3 if stride == 2 else 1
        embed = nn.Conv2d(channels, dim, kernel, stride=stride, padding=kernel // 2)
        self.embed = nn.Sequential(embed, _Excite(dim))
        self.positions = nn.Parameter(0.02 * torch.randn(1, 1 + tokens, dim))  # row 0 is unused
        self.embed_norm = nn.LayerNorm(dim)
        self.norms = nn.ModuleList([nn.LayerNorm(dim) for _ in range(depth)])
        self.mlps = nn.ModuleList(
            [
                nn.Sequential(
                    nn.LayerNorm(dim), nn.Linear(dim, ratio * dim), nn.GELU(),
                    nn.Linear(ratio * dim, dim),
                )
                for _ in range(depth)
            ]
        )  # fmt: skip
        self.norm = nn.LayerNorm(dim)

    def forward(self, features: Tensor) -> Tensor:
        x = self.embed(features).flatten(2).mT + self.positions[:, 1:]  # (B, N, D)
        x = self.embed_norm(x)
        for norm, mlp in zip(self.norms, self.mlps, strict=True):
            x = x + norm(x)  # as published: attention is computed there and not used
            x = x + mlp(x)
        mean: Tensor = self.norm(x).mean(dim=1)
        return mean


class MSEffViT(Network):
    """An early and the last map of an EfficientNet, a branch each, joined.

    The published blocks compute attention and leave it unused, so tokens meet in the mean alone;
    so here, without attention's tensors. HanMoonSub/DeepGuard, 2026, MIT.

    Args:
        backbone: EfficientNet, by its name in timm.
        image_size: Side of the face, in pixels, a multiple of 32.
        dims: Widths of the early and the late branch.
        depths: Their blocks.
        ratios: Their dense layers' widening.
        pretrained: Start the EfficientNet from timm's weights, which are downloaded.
    """

    def __init__(
        self,
        backbone: str = "tf_efficientnet_b0",
        *,
        image_size: int = 224,
        dims: Sequence[int] = (120, 160),
        depths: Sequence[int] = (2, 4),
        ratios: Sequence[int] = (4, 6),
        pretrained: bool = False,
    ) -> None:
        super().__init__()
        self.backbone = create_timm(
            backbone, pretrained=pretrained, features_only=True, out_indices=MAPS
        )
        info = self.backbone.feature_info
        strides, channels = info.reduction(), info.channels()
        self.branches = nn.ModuleList(
            [
                _Branch(
                    channels[place], (image_size // (strides[place] * step)) ** 2,
                    dim=dims[place], depth=depths[place], ratio=ratios[place], stride=step,
                )
                for place, step in enumerate((2, 1))
            ]
        )  # fmt: skip
        self.num_features = width = sum(dims)
        self.head = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width // 2), nn.GELU(), nn.Dropout(0.1),
            nn.Linear(width // 2, 1),
        )  # fmt: skip

    def forward_features(self, faces: Tensor) -> Tensor:
        """Return features (B, sum of dims) for faces (B, 3, S, S)."""
        maps = self.backbone(faces)
        pairs = zip(self.branches, maps, strict=True)
        return torch.cat([branch(features) for branch, features in pairs], dim=1)
