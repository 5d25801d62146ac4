"""What torch lacks among the losses; each maps logits (B,) and labels (B,) to a mean loss."""

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
