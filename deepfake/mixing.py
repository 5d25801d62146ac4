"""Mixes of two faces of a batch, with their labels mixed alike."""

import torch
from torch import Tensor

from deepfake.types import FaceBatch


class Mixing:
    """A way to mix a batch with itself in another order.

    Args:
        alpha: Of the symmetric Beta distribution that the share of each partner is drawn from;
            1 draws evenly, less leaves most faces nearly as they are.
    """

    def __init__(self, alpha: float) -> None:
        if alpha <= 0:
            raise ValueError(f"alpha must be above 0, got {alpha}")
        self.alpha = alpha

    def __call__(self, batch: FaceBatch) -> FaceBatch:
        """Return the batch mixed; its labels then lie between 0 and 1."""
        share = float(torch.distributions.Beta(self.alpha, self.alpha).sample())
        order = torch.randperm(len(batch["label"])).to(batch["label"].device)
        face, share = self.mix(batch["face"], batch["face"][order], share)
        label = share * batch["label"] + (1 - share) * batch["label"][order]
        return {**batch, "face": face, "label": label}

    def mix(self, face: Tensor, partner: Tensor, share: float) -> tuple[Tensor, float]:
        """Return faces or clips (B, ..., H, W) mixed, and the share of `face` in them."""
        raise NotImplementedError


class Mixup(Mixing):
    """Add two faces.

    Zhang et al., ICLR 2018, https://arxiv.org/abs/1710.09412

    Args:
        alpha: As of `Mixing`.
    """

    def __init__(self, alpha: float = 0.2) -> None:
        super().__init__(alpha)

    def mix(self, face: Tensor, partner: Tensor, share: float) -> tuple[Tensor, float]:
        """Return the weighted sum of both."""
        return share * face + (1 - share) * partner, share


class CutMix(Mixing):
    """Replace a rectangle of a face by that of another.

    Yun et al., ICCV 2019, https://arxiv.org/abs/1905.04899

    Args:
        alpha: As of `Mixing`.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__(alpha)

    def mix(self, face: Tensor, partner: Tensor, share: float) -> tuple[Tensor, float]:
        """Return `face` with a rectangle of `partner`, and the share of pixels that stayed."""
        height, width = face.shape[-2:]
        cut = (1 - share) ** 0.5
        rows, columns = round(height * cut), round(width * cut)
        y = int(torch.randint(-rows // 2, height - rows // 2 + 1, ()))
        x = int(torch.randint(-columns // 2, width - columns // 2 + 1, ()))
        top, bottom = max(0, y), min(height, y + rows)
        left, right = max(0, x), min(width, x + columns)
        mixed = face.clone()
        mixed[..., top:bottom, left:right] = partner[..., top:bottom, left:right]
        return mixed, 1 - max(0, bottom - top) * max(0, right - left) / (height * width)
