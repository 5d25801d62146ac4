"""A learned rule from faces to a person: attention decides how much each face of a clip counts."""

import torch
from torch import Tensor, nn

from deepfake.models.network import ClipNetwork


class AttentionPooling(ClipNetwork):
    """Encode each face of a track, and judge their mean, weighted by gated attention.

    Ilse et al., ICML 2018, https://arxiv.org/abs/1802.04712, equation 9. The order of faces does
    not count, and their number may differ from that in training.

    Args:
        encoder: The network of single faces, with `num_features` and `forward_features`. Its own
            head is not used and does not learn.
        dim: Width of the attention.
        dropout: Probability of dropping a value of the pooled features.
    """

    def __init__(self, encoder: nn.Module, *, dim: int = 128, dropout: float = 0.0) -> None:
        if dim < 1:
            raise ValueError(f"dim must be at least 1, got {dim}")
        super().__init__(encoder)
        width = int(self.encoder.num_features)
        self.num_features = width
        self.value = nn.Linear(width, dim)
        self.gate = nn.Linear(width, dim)
        # Without bias, which would add the same to every face and so change nothing.
        self.weigh = nn.Linear(dim, 1, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, 1)

    def forward_head(self, features: Tensor) -> Tensor:
        """Return one logit per clip (B,) of pooled features (B, D)."""
        return super().forward_head(self.dropout(features))

    def forward_features(self, faces: Tensor, padding: Tensor | None = None) -> Tensor:
        """Return pooled features (B, D) of clips; arguments as of `forward`."""
        features = self.encoded(faces)
        return (self._weights(features, padding)[..., None] * features).sum(dim=1)

    def attention(self, faces: Tensor, padding: Tensor | None = None) -> Tensor:
        """Return how much each face counts (B, T); the weights of a clip sum to 1."""
        return self._weights(self.encoded(faces), padding)

    def _weights(self, features: Tensor, padding: Tensor | None) -> Tensor:
        gated = torch.tanh(self.value(features)) * torch.sigmoid(self.gate(features))
        rating: Tensor = self.weigh(gated).squeeze(2)  # (B, T)
        if padding is not None:
            rating = rating.masked_fill(padding, -torch.inf)
        return rating.softmax(dim=1)
