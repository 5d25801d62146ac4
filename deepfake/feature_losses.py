"""Losses that shape the network's features beside its logits.

Each adds a term on the features (B, D) to binary cross-entropy on the logits, which trains the
head that predicts. `uses_features` tells `FakeClassifier` to call `criterion(logits, labels,
features)`. The pairs are those of one process's batch.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepfake.errors import DeepfakeError
from deepfake.losses import BinaryCrossEntropy


class FeatureLoss(nn.Module):
    """Binary cross-entropy plus a term on the features, which a child gives.

    Args:
        entropy: As of `BinaryCrossEntropy`, of every child too.
    """

    uses_features = True

    def __init__(self, **entropy: Any) -> None:  # noqa: ANN401
        super().__init__()
        self.classification = BinaryCrossEntropy(**entropy)

    def prepare(self, real: int, fake: int) -> None:
        """Take the weight of fakes from the number of real and fake faces in an epoch."""
        self.classification.prepare(real, fake)

    def term(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return what is added, for features (B, D) and labels (B,) that are 0 or 1."""
        raise NotImplementedError

    def forward(self, logits: Tensor, labels: Tensor, features: Tensor) -> Tensor:
        """Return the mean loss of logits (B,), labels (B,) and features (B, D)."""
        entropy: Tensor = self.classification(logits, labels)
        return entropy + self.term(features.float(), labels)


class SupervisedContrastive(FeatureLoss):
    """Pull faces of one class together and push the two apart, on the unit sphere.

    Khosla et al., NeurIPS 2020, https://arxiv.org/abs/2004.11362, equation 2.

    Args:
        weight: Of the term.
        temperature: Cosines are divided by it.
        entropy: As of `FeatureLoss`.
    """

    def __init__(
        self,
        weight: float = 1.0,
        temperature: float = 0.1,
        **entropy: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**entropy)
        if temperature <= 0:
            raise ValueError(f"temperature must be above 0, got {temperature}")
        self.weight = weight
        self.temperature = temperature

    def term(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return the weighted contrast; a face alone in its class counts nothing."""
        unit = F.normalize(features, dim=1)
        itself = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
        scores = (unit @ unit.mT / self.temperature).masked_fill(itself, float("-inf"))
        log_share = scores - scores.logsumexp(dim=1, keepdim=True)  # (B, B)
        positive = (labels[:, None] == labels) & ~itself
        count = positive.sum(dim=1)
        if not bool((count > 0).any()):
            return features.sum() * 0.0
        total = log_share.masked_fill(~positive, 0.0).sum(dim=1)
        anchors = count > 0
        return self.weight * -(total[anchors] / count[anchors]).mean()


class AMSoftmax(FeatureLoss):
    """Ask each face to be nearer to its class's prototype by a margin of the cosine.

    Wang et al., IEEE Signal Processing Letters 2018, https://arxiv.org/abs/1801.05599, equation 6.

    Args:
        num_features: Width of the network's features.
        weight: Of the term.
        scale: Cosines are multiplied by it.
        margin: Taken off the cosine of the true class.
        entropy: As of `FeatureLoss`.
    """

    def __init__(
        self,
        num_features: int,
        weight: float = 1.0,
        scale: float = 30.0,
        margin: float = 0.35,
        **entropy: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**entropy)
        self.weight = weight
        self.scale = scale
        self.margin = margin
        self.prototypes = nn.Parameter(torch.randn(2, num_features))

    def term(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return the weighted cross-entropy over the two prototypes."""
        if features.shape[1] != self.prototypes.shape[1]:
            raise DeepfakeError(
                f"AMSoftmax has num_features {self.prototypes.shape[1]}, but the network's "
                f"features are {features.shape[1]} wide; set num_features to that"
            )
        cosines = F.linear(F.normalize(features, dim=1), F.normalize(self.prototypes, dim=1))
        true = labels.long()
        margins = self.margin * F.one_hot(true, 2).to(cosines.dtype)
        return self.weight * F.cross_entropy(self.scale * (cosines - margins), true)


class AlignmentUniformity(FeatureLoss):
    """Draw faces of one class together while all spread over the unit sphere.

    Wang and Isola, ICML 2020, https://arxiv.org/abs/2005.10242, with classes as positive pairs and
    the weights of GenD, Yermakov et al., WACV 2026, https://arxiv.org/abs/2508.06248.

    Args:
        alignment: Weight of the mean squared distance inside the classes.
        uniformity: Weight of the logarithm of the mean Gaussian potential of all pairs.
        t: Sharpness of the potential exp(-t d^2).
        entropy: As of `FeatureLoss`.
    """

    def __init__(
        self,
        alignment: float = 0.1,
        uniformity: float = 0.5,
        t: float = 2.0,
        **entropy: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**entropy)
        self.alignment = alignment
        self.uniformity = uniformity
        self.t = t

    def term(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return the weighted sum of both; what has no pair counts nothing."""
        unit = F.normalize(features, dim=1)
        first, second = torch.triu_indices(len(unit), len(unit), offset=1, device=unit.device)
        if not len(first):
            return features.sum() * 0.0
        squared = (unit[first] - unit[second]).square().sum(dim=1)  # (pairs,)
        spread = squared.mul(-self.t).exp().mean().log()
        same = labels[first] == labels[second]
        near = squared[same].mean() if bool(same.any()) else squared.sum() * 0.0
        return self.alignment * near + self.uniformity * spread
