"""A temporal network: any network of faces, and a transformer over the frames of a track."""

import torch
from torch import Tensor, nn

from deepfake.models.layers import Encoder, recorded, with_class_token
from deepfake.models.network import ClipNetwork

STD = 0.02  # of the embeddings, as in Dosovitskiy et al., ICLR 2021


class FrameTransformer(ClipNetwork):
    """Encode each face of a track, then let a small transformer judge them in their order.

    Args:
        encoder: The network of single faces, with `num_features` and `forward_features`. Its own
            head is not used and does not learn.
        frames: Most frames of a clip.
        dim: Width of the transformer.
        depth: Number of transformer blocks.
        heads: Number of attention heads.
        dropout: Probability of dropping a token's value.
    """

    def __init__(
        self,
        encoder: nn.Module,
        frames: int = 16,
        *,
        dim: int = 256,
        depth: int = 2,
        heads: int = 4,
        dropout: float = 0.0,
    ) -> None:
        if frames < 1:
            raise ValueError(f"frames must be at least 1, got {frames}")
        super().__init__(encoder)
        self.num_features = dim
        self.frames = frames
        self.embed = nn.Linear(int(self.encoder.num_features), dim)
        self.class_token = nn.Parameter(torch.randn(1, 1, dim) * STD)
        self.position = nn.Parameter(torch.randn(1, frames, dim) * STD)
        self.dropout = nn.Dropout(dropout)
        self.transformer = Encoder(dim, depth, heads, 2 * dim, dropout=dropout)
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, 1)

    def forward_features(self, faces: Tensor, padding: Tensor | None = None) -> Tensor:
        """Return features (B, D) of clips of at most `frames`; arguments as of `forward`."""
        embedded = self.embed(self.encoded(faces)) + self.position[:, : faces.shape[1]]
        tokens = self.dropout(with_class_token(self.class_token, embedded))  # (B, T + 1, D)
        mask = None
        if padding is not None:
            counts = torch.cat([torch.ones_like(padding[:, :1]), ~padding], dim=1)
            mask = counts[:, None, None]  # (B, 1, 1, T + 1)
        for block in self.transformer:
            tokens = block(tokens, mask)
        features: Tensor = self.norm(tokens[:, 0])
        return features

    def attention_maps(self, faces: Tensor) -> list[Tensor]:
        """Return each block's attention (B, heads, T + 1, T + 1), the class token first."""
        return recorded(self.transformer.modules(), lambda: self.forward_features(faces))
