"""CViT: a VGG-like network whose map is cut into patches for a transformer.

Wodajo and Atnafu, 2021, https://arxiv.org/abs/2102.11126
"""

import torch
from torch import Tensor, nn

from deepfake.models.layers import Encoder, recorded, to_patches, with_class_token
from deepfake.models.network import Network

DEPTHS = (3, 3, 3, 4, 4)  # convolutions before each pool: 17 in all, section 3.2.1


class CViT(Network):
    """Seventeen convolutions, patches of their map, a transformer over patches and class token.

    At the published size the map is 7 x 7 and the patch is the whole of it, so the transformer
    sees two tokens. The published weights of both versions load into this network.

    Args:
        image_size: Side of the face, in pixels, a multiple of 32 times `patch_size`.
        patch_size: Side of a patch, in places of the map.
        channels: Width of the convolutions before each of the five pools.
        dim: Width of the tokens.
        depth: Number of transformer blocks.
        heads: Number of attention heads.
        mlp_dim: Width inside the feed-forward layers and the head.
        dropout: Probability of dropping a token's value.
    """

    def __init__(
        self,
        image_size: int = 224,
        patch_size: int = 7,
        *,
        channels: tuple[int, int, int, int, int] = (32, 64, 128, 256, 512),
        dim: int = 1024,
        depth: int = 6,
        heads: int = 8,
        mlp_dim: int = 2048,
        dropout: float = 0.0,
    ) -> None:
        stride = 32 * patch_size
        if image_size < stride or image_size % stride:
            nearest = max(stride, round(image_size / stride) * stride)
            raise ValueError(
                f"image_size must be a multiple of {stride} (32 times patch_size), got "
                f"{image_size}; try {nearest}, or a patch_size that divides {image_size // 32}"
            )
        super().__init__()
        self.num_features = dim
        self.patch_size = patch_size
        self.features = nn.Sequential()
        width = 3
        for repeats, out in zip(DEPTHS, channels, strict=True):
            for _ in range(repeats):
                self.features += _convolution(width, out)
                width = out
            self.features.append(nn.MaxPool2d(2))
        self.embed = nn.Linear(width * patch_size**2, dim)
        self.class_token = nn.Parameter(torch.randn(1, 1, dim))
        tokens = (image_size // stride) ** 2 + 1
        self.position = nn.Parameter(torch.randn(1, tokens, dim))
        self.dropout = nn.Dropout(dropout)
        self.encoder = Encoder(dim, depth, heads, mlp_dim)
        self.head = nn.Sequential(nn.Linear(dim, mlp_dim), nn.ReLU(), nn.Linear(mlp_dim, 1))
        self.to(memory_format=torch.channels_last)

    def tokens(self, faces: Tensor) -> Tensor:
        """Return class token and patches (B, N + 1, D), as the transformer takes them."""
        feature_map = self.features(faces.contiguous(memory_format=torch.channels_last))
        patches = self.embed(to_patches(feature_map, self.patch_size))  # (B, N, D)
        tokens = with_class_token(self.class_token, patches)
        embedded: Tensor = self.dropout(tokens + self.position[:1, : tokens.shape[1]])
        return embedded

    def forward_features(self, faces: Tensor) -> Tensor:
        """Return the class token (B, D) for faces (B, 3, S, S)."""
        tokens: Tensor = self.encoder(self.tokens(faces))
        return tokens[:, 0]

    def attention_maps(self, faces: Tensor) -> list[Tensor]:
        """Return each block's attention (B, heads, N + 1, N + 1), the first block first."""
        return recorded(self.encoder.modules(), lambda: self.forward_features(faces))


def _convolution(in_channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()
    )
