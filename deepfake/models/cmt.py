"""CMT: convolutions inside every block of a transformer of four stages."""

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepfake.models.layers import (
    attention_scores,
    check_multiple,
    join_heads,
    recorded,
    split_heads,
)
from deepfake.models.network import Network


class Size(NamedTuple):
    """What table 1 of the paper varies: stem width, widths and depths of the stages, MLP ratio."""

    stem: int
    dims: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]
    mlp_ratio: float


SIZES = {
    "Ti": Size(16, (46, 92, 184, 368), (2, 2, 10, 2), 3.6),
    "XS": Size(16, (52, 104, 208, 416), (3, 3, 12, 3), 3.77),
    "S": Size(32, (64, 128, 256, 512), (3, 3, 16, 3), 4.0),
    "B": Size(38, (76, 152, 304, 608), (4, 4, 20, 4), 4.0),
}
HEADS = (1, 2, 4, 8)
REDUCTIONS = (8, 4, 2, 1)  # how much coarser keys and values are, in each stage
STRIDE = 32  # of the whole network; with the reductions, faces must be multiples of it
NUM_FEATURES = 1280


class LightweightAttention(nn.Module):
    """Attention over keys and values of a coarser grid, with a learnt bias of relative position.

    Args:
        dim: Width of the tokens.
        heads: Number of heads.
        reduction: Side of the cell that gives one key and value.
    """

    def __init__(self, dim: int, heads: int, *, reduction: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.project = nn.Linear(dim, dim)
        self.reduce: nn.Module = nn.Identity()
        if reduction > 1:
            self.reduce = nn.Sequential(
                nn.Conv2d(dim, dim, reduction, stride=reduction, groups=dim), nn.BatchNorm2d(dim)
            )

    def forward(self, tokens: Tensor, side: int, bias: Tensor) -> Tensor:
        """Return (B, N, D) for tokens (B, N, D) of a square grid and a bias (heads, N, M)."""
        query, key, value = self._parts(tokens, side)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias.to(query.dtype))
        projected: Tensor = self.project(join_heads(mixed))
        return projected

    def weights(self, tokens: Tensor, side: int, bias: Tensor) -> Tensor:
        """Return the attention (B, heads, N, M) that `forward` mixes with; each row sums to 1."""
        query, key, _ = self._parts(tokens, side)
        return (attention_scores(query, key) + bias).softmax(dim=-1)

    def _parts(self, tokens: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor]:
        coarse = self.reduce(_to_map(tokens, side)).flatten(2).mT  # (B, M, D)
        parts = self.query(tokens), self.key(coarse), self.value(coarse)
        query, key, value = (split_heads(part, self.heads) for part in parts)
        return query, key, value


class InvertedResidual(nn.Module):
    """Feed-forward on maps: widen, look at the neighbours beside a shortcut, narrow.

    Args:
        dim: Channels of the map.
        hidden: Channels between.
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.widen = nn.Sequential(nn.Conv2d(dim, hidden, 1), nn.GELU(), nn.BatchNorm2d(hidden))
        self.depthwise = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.norm = nn.BatchNorm2d(hidden)
        self.narrow = nn.Sequential(nn.Conv2d(hidden, dim, 1), nn.BatchNorm2d(dim))

    def forward(self, feature_map: Tensor) -> Tensor:
        """Return a map (B, C, H, W) for a map (B, C, H, W)."""
        wide = self.widen(feature_map)
        wide = self.norm(F.gelu(self.depthwise(wide) + wide))
        narrow: Tensor = self.narrow(wide)
        return narrow


class CMTBlock(nn.Module):
    """Local perception unit, lightweight attention, inverted residual feed-forward.

    Args:
        dim: Width of the tokens.
        heads: Number of heads.
        reduction: Side of the cell that gives one key and value.
        hidden: Channels inside the feed-forward part.
    """

    def __init__(self, dim: int, heads: int, *, reduction: int, hidden: int) -> None:
        super().__init__()
        self.local = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = LightweightAttention(dim, heads, reduction=reduction)
        self.mlp_norm = nn.LayerNorm(dim)
        self.mlp = InvertedResidual(dim, hidden)

    def forward(self, feature_map: Tensor, bias: Tensor) -> Tensor:
        """Return a map (B, C, S, S) for a map (B, C, S, S) and a bias (heads, N, M)."""
        side = feature_map.shape[-1]
        perceived: Tensor = self.local(feature_map) + feature_map
        tokens = perceived.flatten(2).mT
        tokens = tokens + self.attention(self.attention_norm(tokens), side, bias)
        mixed: Tensor = _to_map(tokens, side) + self.mlp(_to_map(self.mlp_norm(tokens), side))
        return mixed


class CMTStage(nn.Module):
    """Halve the map, then blocks that share one table of relative positions.

    Args:
        in_dim: Channels of the stage's input.
        dim: Width of the stage.
        heads: Number of heads.
        depth: Number of blocks.
        reduction: Side of the cell that gives one key and value.
        hidden: Channels inside the feed-forward parts.
        side: Side of the stage's own map.
    """

    def __init__(
        self,
        in_dim: int,
        dim: int,
        *,
        heads: int,
        depth: int,
        reduction: int,
        hidden: int,
        side: int,
    ) -> None:
        super().__init__()
        self.embed = nn.Conv2d(in_dim, dim, 2, stride=2)
        self.norm = nn.LayerNorm(dim)
        self.positions = nn.Parameter(
            torch.randn(heads, side * side, (side // reduction) ** 2) * 0.02
        )
        self.blocks = nn.ModuleList(
            CMTBlock(dim, heads, reduction=reduction, hidden=hidden) for _ in range(depth)
        )

    def forward(self, feature_map: Tensor) -> Tensor:
        """Return a map (B, D, S, S) for a map (B, C, 2S, 2S)."""
        halved: Tensor = self.embed(feature_map)
        feature_map = _to_map(self.norm(halved.flatten(2).mT), halved.shape[-1])
        for block in self.blocks:
            feature_map = block(feature_map, self.positions)
        return feature_map


class CMT(Network):
    """Classify a face by four stages of blocks that mix convolution and attention.

    Guo et al., CVPR 2022, https://arxiv.org/abs/2107.06263

    Args:
        size: One of the paper's, smallest to largest: Ti, XS, S, B.
        image_size: Side of the face, in pixels, a multiple of 32. The paper has 160 for Ti, 192
            for XS, 224 for S, 256 for B.
        dropout: Probability of dropping a feature before the head.
    """

    def __init__(
        self,
        size: Literal["Ti", "XS", "S", "B"] = "S",
        *,
        image_size: int = 224,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_multiple(image_size, STRIDE)
        stem, dims, depths, ratio = SIZES[size]
        layers: list[nn.Module] = []
        for channels, stride in ((3, 2), (stem, 1), (stem, 1)):
            convolution = nn.Conv2d(channels, stem, 3, stride=stride, padding=1)
            layers += [convolution, nn.GELU(), nn.BatchNorm2d(stem)]
        self.stem = nn.Sequential(*layers)
        self.stages = nn.ModuleList(
            CMTStage(
                before,
                dim,
                heads=heads,
                depth=depth,
                reduction=reduction,
                hidden=int(dim * ratio),
                side=image_size // (4 * 2**number),
            )
            for number, (before, dim, heads, depth, reduction) in enumerate(
                zip((stem, *dims[:3]), dims, HEADS, depths, REDUCTIONS, strict=True)
            )
        )
        self.num_features = NUM_FEATURES
        self.project = nn.Conv2d(dims[3], NUM_FEATURES, 1)
        self.norm = nn.BatchNorm2d(NUM_FEATURES)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(NUM_FEATURES, 1)

    def forward_features(self, faces: Tensor) -> Tensor:
        """Return features (B, D) of normalised faces (B, 3, H, W)."""
        feature_map = self.stem(faces)
        for stage in self.stages:
            feature_map = stage(feature_map)
        features: Tensor = F.silu(self.norm(self.project(feature_map)))
        return features.mean(dim=(2, 3))

    def forward_head(self, features: Tensor) -> Tensor:
        """Return logits (B,) of features (B, D)."""
        return super().forward_head(self.dropout(features))

    def attention_maps(self, faces: Tensor) -> list[Tensor]:
        """Return the attention (B, heads, N, M) of every block.

        N are the cells of the block's own map, M those of its coarser keys; the four stages have
        different N, and there is no class token.
        """
        return recorded(self.stages.modules(), lambda: self.forward_features(faces))


def _to_map(tokens: Tensor, side: int) -> Tensor:
    batch, _, dim = tokens.shape
    return tokens.mT.reshape(batch, dim, side, side)
