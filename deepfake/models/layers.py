"""Blocks that three or more networks share: attention, feed-forward, the encoder of both."""

import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head attention of tokens over themselves or over a context.

    Vaswani et al., NeurIPS 2017, https://arxiv.org/abs/1706.03762

    Args:
        dim: Width of the tokens.
        heads: Number of heads.
        head_dim: Width of a head; None divides `dim` among the heads.
        dropout: Probability of dropping an output value.
        qkv_bias: Add biases to queries, keys and values.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        *,
        head_dim: int | None = None,
        dropout: float = 0.0,
        qkv_bias: bool = False,
    ) -> None:
        super().__init__()
        if head_dim is None and dim % heads:
            raise ValueError(f"dim {dim} is not divisible by {heads} heads; set head_dim")
        self.heads = heads
        self.head_dim = head_dim if head_dim is not None else dim // heads
        inner = heads * self.head_dim
        self.query = nn.Linear(dim, inner, bias=qkv_bias)
        self.key_value = nn.Linear(dim, 2 * inner, bias=qkv_bias)
        self.project = nn.Linear(inner, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, tokens: Tensor, context: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Return (B, N, D) for tokens (B, N, D), attending over context (B, M, D) or themselves.

        Only where `mask`, broadcast to (B, heads, N, M), is true.
        """
        context = tokens if context is None else context
        query = self._split(self.query(tokens))
        key, value = (self._split(part) for part in self.key_value(context).chunk(2, dim=-1))
        mixed = F.scaled_dot_product_attention(query, key, value, mask)  # (B, heads, N, head_dim)
        projected: Tensor = self.dropout(self.project(mixed.transpose(1, 2).flatten(2)))
        return projected

    def weights(self, tokens: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the attention (B, heads, N, M) that `forward` mixes with; each row sums to 1."""
        context = tokens if context is None else context
        query = self._split(self.query(tokens))
        key = self._split(self.key_value(context).chunk(2, dim=-1)[0])
        scores: Tensor = query @ key.mT * self.head_dim**-0.5
        return scores.softmax(dim=-1)

    def _split(self, tokens: Tensor) -> Tensor:
        batch, count, _ = tokens.shape
        return tokens.reshape(batch, count, self.heads, self.head_dim).transpose(1, 2)


class FeedForward(nn.Sequential):
    """Two linear layers with GELU between, on tokens (B, N, D).

    Args:
        dim: Width of the tokens.
        hidden: Width between the layers.
        dropout: Probability of dropping a value after each layer.
    """

    def __init__(self, dim: int, hidden: int, *, dropout: float = 0.0) -> None:
        super().__init__(
            nn.Linear(dim, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, dim),
            nn.Dropout(dropout),
        )


class EncoderBlock(nn.Module):
    """Attention and feed-forward, each normalised before and added to its input.

    Dosovitskiy et al., ICLR 2021, https://arxiv.org/abs/2010.11929

    Args:
        dim: Width of the tokens.
        heads: Number of heads.
        head_dim: Width of a head; None divides `dim` among the heads.
        mlp_dim: Width inside the feed-forward layer.
        dropout: Probability of dropping a value.
        qkv_bias: Add biases to queries, keys and values.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        mlp_dim: int,
        *,
        head_dim: int | None = None,
        dropout: float = 0.0,
        qkv_bias: bool = False,
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = Attention(
            dim, heads, head_dim=head_dim, dropout=dropout, qkv_bias=qkv_bias
        )
        self.mlp_norm = nn.LayerNorm(dim)
        self.mlp = FeedForward(dim, mlp_dim, dropout=dropout)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return (B, N, D) for tokens (B, N, D); `mask` as of `Attention`."""
        tokens = tokens + self.attention(self.attention_norm(tokens), mask=mask)
        mixed: Tensor = tokens + self.mlp(self.mlp_norm(tokens))
        return mixed

    def attention_weights(self, tokens: Tensor) -> Tensor:
        """Return the attention (B, heads, N, N) of this block for its input tokens (B, N, D)."""
        return self.attention.weights(self.attention_norm(tokens))


class Encoder(nn.Sequential):
    """`depth` encoder blocks one after the other; arguments as of `EncoderBlock`."""

    def __init__(
        self,
        dim: int,
        depth: int,
        heads: int,
        mlp_dim: int,
        *,
        head_dim: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(
            *(
                EncoderBlock(dim, heads, mlp_dim, head_dim=head_dim, dropout=dropout)
                for _ in range(depth)
            )
        )

    def attention_maps(self, tokens: Tensor) -> list[Tensor]:
        """Return the attention (B, heads, N, N) of every block, first block first."""
        maps = []
        for block in self:
            assert isinstance(block, EncoderBlock)
            maps.append(block.attention_weights(tokens))
            tokens = block(tokens)
        return maps


def to_patches(feature_map: Tensor, patch_size: int) -> Tensor:
    """Cut a map (B, C, H, W) into patches (B, N, P * P * C), flattened by row, column, channel."""
    if patch_size == 1:
        return feature_map.flatten(2).mT
    batch, channels, height, width = feature_map.shape
    rows, columns = height // patch_size, width // patch_size
    grid = feature_map.reshape(batch, channels, rows, patch_size, columns, patch_size)
    grid = grid.permute(0, 2, 4, 3, 5, 1)  # (B, rows, columns, P, P, C)
    return grid.reshape(batch, rows * columns, patch_size * patch_size * channels)
