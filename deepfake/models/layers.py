"""Blocks that networks share: attention, feed-forward, the encoder of both, tokens, heads."""

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEAD_STD = 0.01  # logits near 0, so that the first steps don't wreck pretrained features


class Attention(nn.Module):
    """Multi-head attention of tokens over themselves or over a context.

    Vaswani et al., NeurIPS 2017, https://arxiv.org/abs/1706.03762

    Args:
        dim: Width of the tokens.
        heads: Number of heads.
        head_dim: Width of a head; None divides `dim` among the heads.
        dropout: Probability of dropping an output value.
    """

    def __init__(
        self, dim: int, heads: int, *, head_dim: int | None = None, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if head_dim is None and dim % heads:
            raise ValueError(f"dim {dim} is not divisible by {heads} heads; set head_dim")
        self.heads = heads
        inner = heads * (head_dim if head_dim is not None else dim // heads)
        self.query = nn.Linear(dim, inner, bias=False)
        self.key_value = nn.Linear(dim, 2 * inner, bias=False)
        self.project = nn.Linear(inner, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, tokens: Tensor, context: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Return (B, N, D) for tokens (B, N, D), attending over context (B, M, D) or themselves.

        Only where `mask`, broadcast to (B, heads, N, M), is true.
        """
        query, key, value = self._parts(tokens, context)
        mixed = F.scaled_dot_product_attention(query, key, value, mask)  # (B, heads, N, head_dim)
        projected: Tensor = self.dropout(self.project(join_heads(mixed)))
        return projected

    def weights(self, tokens: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the attention (B, heads, N, M) that `forward` mixes with; each row sums to 1."""
        query, key, _ = self._parts(tokens, context)
        return attention_scores(query, key).softmax(dim=-1)

    def _parts(self, tokens: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        key, value = self.key_value(tokens if context is None else context).chunk(2, dim=-1)
        query, key, value = (split_heads(x, self.heads) for x in (self.query(tokens), key, value))
        return query, key, value


def split_heads(tokens: Tensor, heads: int) -> Tensor:
    """Return tokens (B, N, D) as (B, heads, N, D / heads)."""
    batch, count, dim = tokens.shape
    return tokens.reshape(batch, count, heads, dim // heads).transpose(1, 2)


def join_heads(mixed: Tensor) -> Tensor:
    """Return (B, heads, N, D / heads) as tokens (B, N, D)."""
    tokens: Tensor = mixed.transpose(1, 2).flatten(2)
    return tokens


def attention_scores(query: Tensor, key: Tensor) -> Tensor:
    """Return how alike queries and keys are (B, heads, N, M), scaled but not yet normalised."""
    scores: Tensor = query @ key.mT * query.shape[-1] ** -0.5
    return scores


def recorded(layers: Iterable[nn.Module], run: Callable[[], object]) -> list[Tensor]:
    """Return the attention that layers mix with while something runs, in order of their calls.

    Args:
        layers: Those among them that have `weights` are recorded.
        run: Calls them.
    """
    maps: list[Tensor] = []

    def record(layer: nn.Module, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        maps.append(layer.weights(*inputs))  # type: ignore[operator]

    handles = [x.register_forward_hook(record) for x in layers if hasattr(x, "weights")]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return maps


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
        mlp_dim: Width inside the feed-forward layer.
        head_dim: Width of a head; None divides `dim` among the heads.
        dropout: Probability of dropping a value.
        attention: Another attention than `Attention`.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        mlp_dim: int,
        *,
        head_dim: int | None = None,
        dropout: float = 0.0,
        attention: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = attention or Attention(dim, heads, head_dim=head_dim, dropout=dropout)
        self.mlp_norm = nn.LayerNorm(dim)
        self.mlp = FeedForward(dim, mlp_dim, dropout=dropout)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return (B, N, D) for tokens (B, N, D); `mask` as of `Attention`."""
        given = {} if mask is None else {"mask": mask}
        tokens = tokens + self.attention(self.attention_norm(tokens), **given)
        mixed: Tensor = tokens + self.mlp(self.mlp_norm(tokens))
        return mixed


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


def with_class_token(token: Tensor, tokens: Tensor) -> Tensor:
    """Return tokens (B, N, D) behind a class token (1, 1, D)."""
    classes = token.expand(tokens.shape[0], -1, -1)  # len() would fix B in exports
    return torch.cat([classes, tokens], dim=1)


def to_patches(feature_map: Tensor, patch_size: int) -> Tensor:
    """Cut a map (B, C, H, W) into patches (B, N, P * P * C), flattened by row, column, channel."""
    if patch_size == 1:
        return feature_map.flatten(2).mT
    batch, channels, height, width = feature_map.shape
    rows, columns = height // patch_size, width // patch_size
    grid = feature_map.reshape(batch, channels, rows, patch_size, columns, patch_size)
    grid = grid.permute(0, 2, 4, 3, 5, 1)  # (B, rows, columns, P, P, C)
    return grid.reshape(batch, rows * columns, patch_size * patch_size * channels)


def small_head(width: int, dropout: float = 0.0) -> nn.Sequential:
    """Return dropout and a linear layer from features of that width to logits near 0."""
    linear = nn.Linear(width, 1)
    nn.init.normal_(linear.weight, std=HEAD_STD)
    nn.init.zeros_(linear.bias)
    return nn.Sequential(nn.Dropout(dropout), linear)


def check_multiple(image_size: int, stride: int) -> None:
    """Raise a ValueError unless a face's side is a multiple of the network's stride, in pixels."""
    if image_size < stride or image_size % stride:
        nearest = max(stride, round(image_size / stride) * stride)
        raise ValueError(
            f"image_size must be a multiple of {stride}, got {image_size}; try {nearest}"
        )
