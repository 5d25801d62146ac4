"""A learned rule from faces to a person: attention decides how much each face of a clip counts."""

import torch
from torch import Tensor, nn


class AttentionPooling(nn.Module):
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
        super().__init__()
        self.encoder = encoder
        for name, child in encoder.named_children():
            if name.startswith("head"):
                child.requires_grad_(requires_grad=False)
        width = int(encoder.num_features)  # type: ignore[arg-type]
        self.num_features = width
        self.value = nn.Linear(width, dim)
        self.gate = nn.Linear(width, dim)
        # Without bias, which would add the same to every face and so change nothing.
        self.weigh = nn.Linear(dim, 1, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, 1)

    def forward_features(self, faces: Tensor, padding: Tensor | None = None) -> Tensor:
        """Return pooled features (B, D) of clips; arguments as of `forward`."""
        features = self._features(faces)
        weights = self._weights(features, padding)
        return (weights[..., None] * features).sum(dim=1)

    def forward(self, faces: Tensor, padding: Tensor | None = None) -> Tensor:
        """Return one logit per clip (B,).

        Args:
            faces: Crops of one track (B, T, 3, H, W).
            padding: True (B, T) for faces that only fill the clip and must not count.
        """
        features = self.dropout(self.forward_features(faces, padding))
        logits: Tensor = self.head(features)  # (B, 1)
        return logits.squeeze(1)

    def attention(self, faces: Tensor, padding: Tensor | None = None) -> Tensor:
        """Return how much each face counts (B, T); the weights of a clip sum to 1."""
        return self._weights(self._features(faces), padding)

    def _features(self, faces: Tensor) -> Tensor:
        """Return the features of each face (B, T, D)."""
        if faces.ndim != 5:
            raise ValueError(
                f"expected clips (B, T, 3, H, W), got {tuple(faces.shape)}; set data.frames to "
                "the number of faces a clip"
            )
        found: Tensor = self.encoder.forward_features(faces.flatten(0, 1))  # type: ignore[operator]
        return found.reshape(faces.shape[0], faces.shape[1], found.shape[1])

    def _weights(self, features: Tensor, padding: Tensor | None) -> Tensor:
        gated = torch.tanh(self.value(features)) * torch.sigmoid(self.gate(features))
        rating: Tensor = self.weigh(gated).squeeze(2)  # (B, T)
        if padding is not None:
            rating = rating.masked_fill(padding, -torch.inf)
        return rating.softmax(dim=1)
