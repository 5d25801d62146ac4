"""MesoNet: two small networks that look at textures between noise and semantics.

Afchar et al., WIFS 2018, https://arxiv.org/abs/1809.00888
"""

import torch
from torch import Tensor, nn

from deepfake.models.layers import check_multiple
from deepfake.models.network import Network

EPS = 1e-3  # of batch normalisation in Keras, which the released weights were trained with
STRIDE = 32  # the four pools together


class InceptionLayer(nn.Module):
    """Four branches side by side: 1x1, and 1x1 followed by 3x3 with dilation 1, 2 and 3.

    Section 3.2 and figure 5 of the paper.

    Args:
        in_channels: Channels of the input.
        widths: Channels of each branch.
        keras: See `MesoInception4`.
    """

    def __init__(
        self, in_channels: int, widths: tuple[int, int, int, int], *, keras: bool = True
    ) -> None:
        super().__init__()
        conv = _conv if keras else _plain
        self.branches = nn.ModuleList([conv(in_channels, widths[0], 1)])
        for dilation, width in enumerate(widths[1:], start=1):
            reduce, spread = conv(in_channels, width, 1), conv(width, width, 3, dilation)
            self.branches.append(nn.Sequential(*reduce, *spread))
        self.out_channels = sum(widths)

    def forward(self, x: Tensor) -> Tensor:
        """Return the branches' maps (B, sum of widths, H, W) for a map (B, C, H, W)."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class _MesoNet(Network):
    """Two opening layers, two 5x5 convolutions, a dense layer of 16 features, a logit."""

    num_features = 16

    def __init__(
        self,
        openings: list[nn.Module],
        widths: tuple[int, int],
        *,
        image_size: int,
        dropout: float,
        keras: bool,
    ) -> None:
        check_multiple(image_size, STRIDE)
        super().__init__()
        first, second = widths
        self.layers = nn.Sequential(
            _layer(openings[0], first, 2),
            _layer(openings[1], second, 2),
            _layer(_conv(second, 16, 5, bias=keras), 16, 2),
            _layer(_conv(16, 16, 5, bias=keras), 16, 4),
        )
        for norm in self.layers.modules() if not keras else ():
            if isinstance(norm, nn.BatchNorm2d):
                norm.eps = 1e-5
        side = image_size // STRIDE
        self.hidden = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(16 * side * side, 16), nn.LeakyReLU(0.1)
        )
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(16, 1))

    def forward_features(self, faces: Tensor) -> Tensor:
        """Return features (B, 16) for faces (B, 3, S, S)."""
        features: Tensor = self.hidden(self.layers(faces).flatten(1))
        return features


class Meso4(_MesoNet):
    """Four convolutions, each followed by batch normalisation and pooling: 27,977 parameters.

    Afchar et al., WIFS 2018, section 3.1, https://arxiv.org/abs/1809.00888

    Args:
        image_size: Side of the face, in pixels, a multiple of 32.
        dropout: Rate before each of the two dense layers.
        keras: As its authors wrote it. False is the port to torch that DeepfakeBench trains: no
            biases before batch normalisation, which has torch's epsilon.
    """

    def __init__(self, image_size: int = 256, dropout: float = 0.5, *, keras: bool = True) -> None:
        openings: list[nn.Module] = [_conv(3, 8, 3, bias=keras), _conv(8, 8, 5, bias=keras)]
        super().__init__(openings, (8, 8), image_size=image_size, dropout=dropout, keras=keras)


class MesoInception4(_MesoNet):
    """Meso4 with two inception layers in place of its first convolutions: 28,615 parameters.

    Afchar et al., WIFS 2018, section 3.2, https://arxiv.org/abs/1809.00888

    Args:
        image_size: Side of the face, in pixels, a multiple of 32.
        dropout: Rate before each of the two dense layers.
        keras: As for `Meso4`; False also leaves the inception layers without activations.
    """

    def __init__(self, image_size: int = 256, dropout: float = 0.5, *, keras: bool = True) -> None:
        first = InceptionLayer(3, (1, 4, 4, 2), keras=keras)
        second = InceptionLayer(first.out_channels, (2, 4, 4, 2), keras=keras)
        widths = (first.out_channels, second.out_channels)
        super().__init__(
            [first, second], widths, image_size=image_size, dropout=dropout, keras=keras
        )


def _plain(
    in_channels: int, width: int, kernel: int, dilation: int = 1, *, bias: bool = False
) -> nn.Sequential:
    convolution = nn.Conv2d(
        in_channels, width, kernel, padding="same", dilation=dilation, bias=bias
    )
    return nn.Sequential(convolution)


def _conv(
    in_channels: int, width: int, kernel: int, dilation: int = 1, *, bias: bool = True
) -> nn.Sequential:
    return _plain(in_channels, width, kernel, dilation, bias=bias).append(nn.ReLU())


def _layer(opening: nn.Module, width: int, pool: int) -> nn.Sequential:
    return nn.Sequential(opening, nn.BatchNorm2d(width, eps=EPS), nn.MaxPool2d(pool))
