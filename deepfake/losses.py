"""Losses on logits that torch lacks; each maps logits (B,) and labels (B,) to a mean loss.

Losses that look at the network's features too are in `deepfake.feature_losses`.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class BinaryCrossEntropy(nn.Module):
    """Binary cross-entropy with label smoothing and a weight for the fakes.

    Args:
        label_smoothing: Share of each label that goes to the other class, in [0, 1).
        pos_weight: Weight of fakes over reals; "balanced" takes it from the class counts.
    """

    weight: Tensor

    def __init__(
        self, label_smoothing: float = 0.0, pos_weight: float | Literal["balanced"] = 1.0
    ) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must lie in [0, 1), got {label_smoothing}")
        self.label_smoothing = label_smoothing
        self.pos_weight = pos_weight
        start = 1.0 if pos_weight == "balanced" else float(pos_weight)
        self.register_buffer("weight", torch.tensor(start), persistent=False)

    def prepare(self, real: int, fake: int) -> None:
        """Take the weight from the number of real and fake faces in an epoch."""
        if self.pos_weight == "balanced" and real and fake:
            self.weight.fill_(real / fake)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss."""
        targets = labels * (1 - self.label_smoothing) + self.label_smoothing / 2
        return F.binary_cross_entropy_with_logits(logits, targets, pos_weight=self.weight)


class FocalLoss(nn.Module):
    """Cross-entropy that counts faces less the better they are classified already.

    (1 - p)^gamma * cross-entropy, where p is the probability given to the true class. Lin et al.,
    ICCV 2017, https://arxiv.org/abs/1708.02002, equation 5.

    Args:
        gamma: How much less, at least 0; 0 is cross-entropy.
        alpha: Weight of the fakes in [0, 1], reals get the rest; None weighs both with 1.
    """

    def __init__(self, gamma: float = 2.0, alpha: float | None = None) -> None:
        super().__init__()
        if gamma < 0:
            raise ValueError(f"gamma must be at least 0, got {gamma}")
        if alpha is not None and not 0 <= alpha <= 1:
            raise ValueError(f"alpha must lie in [0, 1], got {alpha}")
        self.gamma = gamma
        self.alpha = alpha

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss; labels may lie between 0 and 1."""
        from torchvision.ops import sigmoid_focal_loss  # slow to import

        alpha = -1.0 if self.alpha is None else self.alpha  # torchvision's word for none
        loss: Tensor = sigmoid_focal_loss(logits, labels, alpha, self.gamma, "mean")
        return loss
