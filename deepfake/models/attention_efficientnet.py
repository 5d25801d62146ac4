"""EfficientNet that weighs its own map by where it looks.

Bonettini et al., ICPR 2020, https://arxiv.org/abs/2004.07676
"""

import torch
from torch import Tensor, nn

from deepfake.models.efficientnet import EfficientNet, Padding


class EfficientNetAutoAttB4(EfficientNet):
    """EfficientNet-B4 with an attention map after the blocks of 56 channels.

    A 1x1 convolution and a sigmoid give one weight in (0, 1) for each place of the map that leaves
    block 9; the map is multiplied by them. Figure 2 of the paper.

    Args:
        padding: Of strided convolutions: "input" is "same" padding for the faces given, whatever
            their size; "nominal" is that for 380 pixels at every size, as efficientnet-pytorch 0.7
            has it.
        dropout: Rate before the last layer.
        pretrained: Start from ImageNet weights, which are downloaded.
    """

    BLOCKS = 10  # the last four have 56 channels: 28 x 28 places for faces of 224 pixels

    def __init__(
        self, *, padding: Padding = "input", dropout: float = 0.0, pretrained: bool = False
    ) -> None:
        super().__init__("efficientnet-b4", padding=padding, dropout=dropout, pretrained=pretrained)
        self.attention = nn.Conv2d(56, 1, kernel_size=1)

    def forward_map(self, faces: Tensor) -> Tensor:
        """Return the map (B, C, S / 32, S / 32) of the last block for faces (B, 3, S, S)."""
        x = self.blocks(self.stem(faces), 0, self.BLOCKS)
        return self.blocks(x * self._weights(x), self.BLOCKS)

    def _weights(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.attention(x))
