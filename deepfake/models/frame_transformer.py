"""A temporal network: any network of faces, and a transformer over the frames of a track."""

import torch
from torch import Tensor, nn

from deepfake.models.layers import Encoder

STD = 0.02  # of the embeddings, as in Dosovitskiy et al., ICLR 2021


class FrameTransformer(nn.Module):
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
        super().__init__()
        self.num_features = dim
        self.frames = frames
        self.encoder = encoder
        for name, child in encoder.named_children():
            if name.startswith("head"):
                child.requires_grad_(requires_grad=False)
        self.embed = nn.Linear(int(encoder.num_features), dim)  # type: ignore[arg-type]
        self.class_token = nn.Parameter(torch.randn(1, 1, dim) * STD)
        self.position = nn.Parameter(torch.randn(1, frames, dim) * STD)
        self.dropout = nn.Dropout(dropout)
        self.transformer = Encoder(dim, depth, heads, 2 * dim, dropout=dropout)
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, 1)

    def forward_features(self, faces: Tensor, padding: Tensor | None = None) -> Tensor:
        """Return features (B, D) of clips; arguments as of `forward`."""
        tokens, mask = self._tokens(faces, padding)
        for block in self.transformer:
            tokens = block(tokens, mask)
        features: Tensor = self.norm(tokens[:, 0])
        return features

    def forward(self, faces: Tensor, padding: Tensor | None = None) -> Tensor:
        """Return one logit per clip (B,).

        Args:
            faces: Crops of one track in order of time (B, T, 3, H, W), T at most `frames`.
            padding: True (B, T) for frames that only fill the clip and must not count.
        """
        logits: Tensor = self.head(self.forward_features(faces, padding))  # (B, 1)
        return logits.squeeze(1)

    def attention_maps(self, faces: Tensor) -> list[Tensor]:
        """Return each block's attention (B, heads, T + 1, T + 1), the class token first."""
        tokens, _ = self._tokens(faces, None)
        return self.transformer.attention_maps(tokens)

    def _tokens(self, faces: Tensor, padding: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return tokens (B, T + 1, D) and which of them count (B, 1, 1, T + 1)."""
        if faces.ndim != 5 or faces.shape[1] > self.frames:
            raise ValueError(
                f"expected clips (B, T, 3, H, W) of at most {self.frames} frames, got "
                f"{tuple(faces.shape)}; set data.frames or the network's frames"
            )
        frames = faces.shape[1]
        features: Tensor = self.encoder.forward_features(faces.flatten(0, 1))  # type: ignore[operator]
        embedded = self.embed(features).unflatten(0, (faces.shape[0], frames))  # (B, T, D)
        embedded = embedded + self.position[:, :frames]
        classes = self.class_token.expand(faces.shape[0], -1, -1)  # len() fixes B in exports
        tokens: Tensor = self.dropout(torch.cat([classes, embedded], dim=1))
        if padding is None:
            return tokens, None
        counts = torch.cat([torch.ones_like(padding[:, :1]), ~padding], dim=1)
        return tokens, counts[:, None, None]
