"""ConViT: attention that begins as a convolution and learns how far to leave it."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepfake.models.backbones import build_backbone, map_size
from deepfake.models.layers import (
    EncoderBlock,
    attention_scores,
    join_heads,
    recorded,
    split_heads,
    with_class_token,
)
from deepfake.models.network import Network

SIZES = {"tiny": 4, "small": 9, "base": 16}  # heads; each is 48 wide
HEAD_DIM = 48
RAW_PATCH = 16


class GatedPositionalAttention(nn.Module):
    """Attention by content mixed with attention by relative position, gated for each head.

    d'Ascoli et al., ICML 2021, https://arxiv.org/abs/2103.10697, equation 7. Both kinds are
    normalised before they are mixed, so that the mixture is too.

    Args:
        dim: Width of the tokens.
        heads: Number of heads, a square number: each begins at one offset of a square kernel.
        grid: Side of the square grid of tokens.
        locality_strength: How sharply a head begins on its offset.
        dropout: Probability of dropping an output value.
    """

    relative: Tensor

    def __init__(
        self,
        dim: int,
        heads: int,
        *,
        grid: int,
        locality_strength: float = 1.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.kernel = round(heads**0.5)
        if self.kernel**2 != heads or dim % heads:
            raise ValueError(f"heads must be a square number that divides {dim}, got {heads}")
        self.heads = heads
        self.query_key = nn.Linear(dim, 2 * dim, bias=False)
        self.value = nn.Linear(dim, dim, bias=False)
        self.project = nn.Linear(dim, dim)
        self.position = nn.Linear(3, heads)
        self.gate = nn.Parameter(torch.ones(heads))
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("relative", _relative_coordinates(grid), persistent=False)
        self.begin_as_convolution(locality_strength)

    def begin_as_convolution(self, locality_strength: float) -> None:
        """Let each head look at one offset of a square kernel and pass values on as they are."""
        offsets = torch.arange(self.kernel) - (self.kernel - 1) / 2
        rows, columns = offsets.repeat(self.kernel), offsets.repeat_interleave(self.kernel)
        weight = torch.stack([2 * columns, 2 * rows, -torch.ones(self.heads)], dim=1)
        with torch.no_grad():
            self.position.weight.copy_(locality_strength * weight)
            self.position.bias.zero_()
            self.value.weight.copy_(torch.eye(self.value.in_features))
            self.gate.fill_(1.0)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (B, N, D) for tokens (B, N, D) of the grid by row."""
        query, key = self._query_key(tokens)
        value = split_heads(self.value(tokens), self.heads)
        content = F.scaled_dot_product_attention(query, key, value)
        mixed = self._gated(content, self._by_position() @ value)
        projected: Tensor = self.dropout(self.project(join_heads(mixed)))
        return projected

    def weights(self, tokens: Tensor) -> Tensor:
        """Return the attention (B, heads, N, N) that `forward` mixes with; each row sums to 1."""
        content = attention_scores(*self._query_key(tokens)).softmax(dim=-1)
        return self._gated(content, self._by_position())

    def _gated(self, content: Tensor, position: Tensor) -> Tensor:
        gate = self.gate.sigmoid()[:, None, None]
        return (1 - gate) * content + gate * position

    def _by_position(self) -> Tensor:
        scores: Tensor = self.position(self.relative)  # (N, N, heads)
        return scores.permute(2, 0, 1).softmax(dim=-1)

    def _query_key(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        query, key = self.query_key(tokens).chunk(2, dim=-1)
        return split_heads(query, self.heads), split_heads(key, self.heads)


def _relative_coordinates(grid: int) -> Tensor:
    """Return (N, N, 3): columns and rows from query to key, and their squared distance."""
    index = torch.arange(grid * grid)
    row, column = index // grid, index % grid
    rows, columns = row[None] - row[:, None], column[None] - column[:, None]
    return torch.stack([columns, rows, rows**2 + columns**2], dim=-1).float()


class ConViT(Network):
    """Classify a face by gated positional attention, then plain attention with a class token.

    d'Ascoli et al., ICML 2021, https://arxiv.org/abs/2103.10697

    Args:
        size: 4 heads (tiny), 9 (small) or 16 (base), each 48 wide.
        backbone: None cuts the face itself into patches; else what gives the feature map, as for
            `EfficientViT`.
        pretrained: Start a named backbone from ImageNet weights.
        stage: Where a named backbone stops, as for `EfficientViT`.
        trainable_blocks: Train only this many of the last blocks of a named backbone.
        image_size: Side of the face, in pixels.
        patch_size: Side of a patch, in pixels of the face or cells of the map. None is 16 on a
            face, 1 on a map.
        depth: Number of blocks.
        local_depth: How many of them, from the first, are gated positional ones.
        locality_strength: How sharply a head begins on its offset.
        dropout: Probability of dropping a value.
    """

    def __init__(
        self,
        size: Literal["tiny", "small", "base"] = "tiny",
        *,
        backbone: str | nn.Module | None = None,
        pretrained: bool = False,
        stage: int | None = None,
        trainable_blocks: int | None = None,
        image_size: int = 224,
        patch_size: int | None = None,
        depth: int = 12,
        local_depth: int = 10,
        locality_strength: float = 1.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        heads = SIZES[size]
        dim = heads * HEAD_DIM
        self.num_features = dim
        channels, side = 3, image_size
        self.backbone: nn.Module = nn.Identity()
        if backbone is not None:
            self.backbone = build_backbone(
                backbone, pretrained=pretrained, stage=stage, trainable_blocks=trainable_blocks
            )
            channels = int(self.backbone.num_features)  # type: ignore[arg-type]
            side = map_size(self.backbone, image_size)
        patch = patch_size or (RAW_PATCH if backbone is None else 1)
        if side % patch:
            raise ValueError(
                f"patch_size {patch} does not divide {side}; use a face of "
                f"{round(image_size / side * patch * max(1, round(side / patch)))} px or a patch "
                f"of {max(p for p in range(1, patch) if side % p == 0)}"
            )
        grid = side // patch
        self.embed = nn.Conv2d(channels, dim, patch, stride=patch)
        self.class_token = nn.Parameter(torch.randn(1, 1, dim) * 0.02)
        self.positions = nn.Parameter(torch.randn(1, grid * grid, dim) * 0.02)
        self.local_blocks = nn.ModuleList()
        for _ in range(local_depth):
            attention = GatedPositionalAttention(
                dim, heads, grid=grid, locality_strength=locality_strength, dropout=dropout
            )
            block = EncoderBlock(dim, heads, 4 * dim, dropout=dropout, attention=attention)
            self.local_blocks.append(block)
        self.blocks = nn.ModuleList(
            EncoderBlock(dim, heads, 4 * dim, dropout=dropout) for _ in range(depth - local_depth)
        )
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, 1)
        for module in self.modules():
            if isinstance(module, nn.LayerNorm):
                module.eps = 1e-6  # as published; torch's own default is 1e-5

    def tokens(self, faces: Tensor) -> Tensor:
        """Return the patch tokens (B, N, D) by row, with their positions."""
        patches: Tensor = self.embed(self.backbone(faces)).flatten(2).mT
        return patches + self.positions

    def forward_features(self, faces: Tensor) -> Tensor:
        """Return the class token (B, D) of normalised faces (B, 3, H, W)."""
        tokens = self.tokens(faces)
        for block in self.local_blocks:
            tokens = block(tokens)
        tokens = with_class_token(self.class_token, tokens)
        for block in self.blocks:
            tokens = block(tokens)
        normed: Tensor = self.norm(tokens)
        return normed[:, 0]

    def attention_maps(self, faces: Tensor) -> list[Tensor]:
        """Return the attention (B, heads, N, N) of every block; token 0 is the class.

        The class token joins after the gated blocks; in their maps it attends to itself alone.
        """
        layers = (*self.local_blocks.modules(), *self.blocks.modules())
        maps = recorded(layers, lambda: self.forward_features(faces))
        for number in range(len(self.local_blocks)):
            maps[number] = F.pad(maps[number], (1, 0, 1, 0))
            maps[number][:, :, 0, 0] = 1.0
        return maps
