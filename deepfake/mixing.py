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

    name: str  # of a transform of torchvision

    def __init__(self, alpha: float) -> None:
        if alpha <= 0:
            raise ValueError(f"alpha must be above 0, got {alpha}")
        from torchvision.transforms import v2  # slow to import

        self._transform = getattr(v2, self.name)(alpha=alpha)

    def __call__(self, batch: FaceBatch) -> FaceBatch:
        """Return the batch of faces or clips mixed; its labels then lie between 0 and 1."""
        from torchvision.tv_tensors import Image, Video

        kind = Image if batch["face"].ndim == 4 else Video
        labels = torch.stack([1 - batch["label"], batch["label"]], dim=1)
        face, mixed = self._transform(kind(batch["face"]), labels)
        return {**batch, "face": face.as_subclass(Tensor), "label": mixed[:, 1]}


class Mixup(Mixing):
    """Add two faces.

    Zhang et al., ICLR 2018, https://arxiv.org/abs/1710.09412

    Args:
        alpha: As of `Mixing`.
    """

    name = "MixUp"

    def __init__(self, alpha: float = 0.2) -> None:
        super().__init__(alpha)


class CutMix(Mixing):
    """Replace a rectangle of a face by that of another.

    Yun et al., ICCV 2019, https://arxiv.org/abs/1905.04899

    Args:
        alpha: As of `Mixing`.
    """

    name = "CutMix"

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__(alpha)
