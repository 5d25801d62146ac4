"""Xception with frequencies beside or in place of colours, as DeepfakeBench trains it."""

import numpy as np
import torch
from torch import Tensor, nn

from deepfake.models.timm_classifier import TimmClassifier

XCEPTION = "legacy_xception"


class SPSL(TimmClassifier):
    """Xception on colours and the image that the phase of the spectrum alone gives.

    Spatial-Phase Shallow Learning: Liu et al., CVPR 2021, https://arxiv.org/abs/2103.01856
    """

    def __init__(self) -> None:
        super().__init__(XCEPTION, settings={"in_chans": 4})

    def forward_features(self, faces: Tensor) -> Tensor:
        """Return features (B, 2048) for faces (B, 3, H, W)."""
        spectrum = torch.fft.fft2(faces.mean(dim=1, keepdim=True))
        phase = torch.polar(torch.ones_like(spectrum.real), spectrum.angle())
        return super().forward_features(torch.cat([faces, torch.fft.ifft2(phase).real], dim=1))


class F3Net(TimmClassifier):
    """Xception on four frequency bands of the face, their borders learnt: the FAD branch.

    Qian et al., ECCV 2020, https://arxiv.org/abs/2007.09355

    Args:
        image_size: Side of the face, in pixels.
    """

    dct: Tensor
    bands: Tensor

    def __init__(self, image_size: int = 256) -> None:
        super().__init__(XCEPTION, settings={"in_chans": 12}, dropout=0.5)
        self.filters = nn.ParameterList(
            [0.1 * torch.randn(image_size, image_size) for _ in range(4)]
        )
        place = np.arange(image_size)
        waves = np.cos(np.pi / image_size * place[:, None] * (place + 0.5))
        waves *= np.where(place == 0, 1, 2**0.5)[:, None] / image_size**0.5
        sums = place[:, None] + place  # of the two frequencies
        edges = (image_size // 2.82, image_size // 2)
        limits = ((0, edges[0]), edges, (edges[1], 2 * image_size), (0, 2 * image_size))
        bands = np.stack([(low <= sums) & (sums <= high) for low, high in limits])
        self.register_buffer("dct", torch.from_numpy(waves).float(), persistent=False)
        self.register_buffer("bands", torch.from_numpy(bands).float(), persistent=False)

    def forward_features(self, faces: Tensor) -> Tensor:
        """Return features (B, 2048) for faces (B, 3, S, S)."""
        spectrum = self.dct @ faces @ self.dct.mT
        masks = [
            band + 2 * torch.sigmoid(learnt) - 1
            for band, learnt in zip(self.bands, self.filters, strict=True)
        ]
        parts = [self.dct.mT @ (spectrum * mask) @ self.dct for mask in masks]
        return super().forward_features(torch.cat(parts, dim=1))  # of (B, 12, S, S)
