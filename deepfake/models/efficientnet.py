"""EfficientNet with one logit, with the padding that published deepfake detectors have.

Tan and Le, ICML 2019, https://arxiv.org/abs/1905.11946
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from deepfake.models.layers import small_head
from deepfake.models.network import Network

Padding = Literal["nominal", "input"]


class EfficientNet(Network):
    """EfficientNet of the efficientnet-pytorch package, average pooling and one linear layer.

    Args:
        name: "efficientnet-b0" to "efficientnet-b7".
        padding: Of strided convolutions: "input" is "same" padding for the faces given, whatever
            their size; "nominal" is that of the name's own size (B4: 380 pixels) for every size,
            as efficientnet-pytorch 0.7 has it.
        stem_padding: False leaves the first convolution without padding, as DeepfakeBench does.
        dropout: Rate before the last layer.
        pretrained: Start from ImageNet weights, which are downloaded.
    """

    def __init__(
        self,
        name: str = "efficientnet-b4",
        *,
        padding: Padding = "input",
        stem_padding: bool = True,
        dropout: float = 0.0,
        pretrained: bool = False,
    ) -> None:
        super().__init__()
        from efficientnet_pytorch import EfficientNet as Backbone

        settings: dict[str, Any] = {} if padding == "nominal" else {"image_size": None}
        build = Backbone.from_pretrained if pretrained else Backbone.from_name
        self.backbone = build(name, include_top=False, **settings)
        if not pretrained:
            _initialise(self.backbone)
        self.backbone.set_swish(memory_efficient=False)  # halves inference speed on CPU otherwise
        if not stem_padding:
            stem = self.backbone._conv_stem
            plain = nn.Conv2d(3, stem.out_channels, kernel_size=3, stride=2, bias=False)
            plain.weight = stem.weight
            self.backbone._conv_stem = plain
        self.num_features: int = self.backbone._bn1.num_features
        self.head = small_head(self.num_features, dropout)
        self.to(memory_format=torch.channels_last)

    def stem(self, faces: Tensor) -> Tensor:
        """Return the first map (B, C, S / 2, S / 2) for faces (B, 3, S, S)."""
        net = self.backbone
        x: Tensor = net._conv_stem(faces.contiguous(memory_format=torch.channels_last))
        first: Tensor = net._swish(net._bn0(x))
        return first

    def blocks(self, x: Tensor, start: int = 0, stop: int | None = None) -> Tensor:
        """Return the map after blocks `start` to `stop` - 1, by default all."""
        net = self.backbone
        rate = net._global_params.drop_connect_rate / len(net._blocks)
        for index in range(start, len(net._blocks) if stop is None else stop):
            x = net._blocks[index](x, drop_connect_rate=rate * index)
        return x

    def forward_map(self, faces: Tensor) -> Tensor:
        """Return the map (B, C, S / 32, S / 32) of the last block for faces (B, 3, S, S)."""
        return self.blocks(self.stem(faces))

    def forward_features(self, faces: Tensor) -> Tensor:
        """Return features (B, D) for faces (B, 3, S, S)."""
        net = self.backbone
        x: Tensor = net._swish(net._bn1(net._conv_head(self.forward_map(faces))))
        return x.mean(dim=(2, 3))


def _initialise(backbone: nn.Module) -> None:
    """Draw the convolutions as the paper's code does; torch's own draw lets the signal die out."""
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.weight[0, 0].numel() * module.out_channels / module.groups
            nn.init.normal_(module.weight, std=(2 / fan_out) ** 0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
