"""Efficient ViT: a transformer over the feature map of a convolutional backbone."""

from typing import Self

import torch
from torch import Tensor, nn

from deepfake.models.backbones import EfficientNetBackbone, build_backbone, grid_side
from deepfake.models.layers import Encoder, recorded, to_patches, with_class_token
from deepfake.models.network import Network

PUBLISHED_BATCH = 32  # rows of the published positional table, one for each place in a batch


class EfficientViT(Network):
    """Classify a face by a ViT encoder over patches of a backbone's feature map.

    Coccomini et al., ICIAP 2022, https://arxiv.org/abs/2107.02612

    Args:
        backbone: "efficientnet-b0" to "efficientnet-b7" (efficientnet-pytorch), the name of any
            timm network with a feature map, or a module with `num_features` and such a map.
        pretrained: Start a named backbone from ImageNet weights.
        stage: Where a named backbone stops: the last block of an efficientnet-pytorch one, the
            stage of a timm one (-1 is the last one, without head convolution). None runs all.
        trainable_blocks: Train only this many of the last blocks of a named backbone, 3 in the
            paper's code; None trains all.
        image_size: Side of the face, in pixels.
        patch_size: Side of a patch, in cells of the feature map.
        dim: Width of the tokens.
        depth: Number of encoder blocks.
        heads: Number of attention heads.
        head_dim: Width of a head.
        mlp_dim: Width inside the feed-forward layers and the head.
        dropout: Probability of dropping a value in the encoder.
        embedding_dropout: Probability of dropping a value of the embedded tokens.
    """

    def __init__(
        self,
        backbone: str | nn.Module = "efficientnet-b0",
        *,
        pretrained: bool = False,
        stage: int | None = None,
        trainable_blocks: int | None = None,
        image_size: int = 224,
        patch_size: int = 1,
        dim: int = 1024,
        depth: int = 6,
        heads: int = 8,
        head_dim: int = 64,
        mlp_dim: int = 2048,
        dropout: float = 0.15,
        embedding_dropout: float = 0.15,
    ) -> None:
        super().__init__()
        self.backbone = build_backbone(
            backbone, pretrained=pretrained, stage=stage, trainable_blocks=trainable_blocks
        )
        side = grid_side(self.backbone, image_size, patch_size)
        self.num_features = dim
        self.patch_size = patch_size
        width = int(self.backbone.num_features) * patch_size**2  # type: ignore[arg-type]
        self.embed = nn.Linear(width, dim)
        self.class_token = nn.Parameter(torch.randn(1, 1, dim) * 0.02)
        self.positions = nn.Parameter(torch.randn(1, side**2 + 1, dim) * 0.02)
        self.embedding_dropout = nn.Dropout(embedding_dropout)
        self.encoder = Encoder(dim, depth, heads, mlp_dim, head_dim=head_dim, dropout=dropout)
        self.head = nn.Sequential(nn.Linear(dim, mlp_dim), nn.ReLU(), nn.Linear(mlp_dim, 1))

    @classmethod
    def published(cls, *, trainable_blocks: int | None = 3) -> Self:
        """Return the network as published, its tensors that never run included.

        The published code adds row i of a table to all tokens of the i-th face of a batch, so that
        a face scores differently in each place. Here every face gets row 0, as alone in a batch.

        Args:
            trainable_blocks: Train only this many of the last blocks of the backbone.
        """
        backbone = EfficientNetBackbone(trainable_blocks=trainable_blocks, keep_unused=True)
        network = cls(backbone, patch_size=7)
        network.positions = nn.Parameter(torch.randn(PUBLISHED_BATCH, 1, network.num_features))
        return network

    def tokens(self, faces: Tensor) -> Tensor:
        """Return the encoder's input (B, N, D): the class token, then the patches by row."""
        patches = self.embed(to_patches(self.backbone(faces), self.patch_size))
        tokens = with_class_token(self.class_token, patches)
        embedded: Tensor = self.embedding_dropout(tokens + self.positions[:1])
        return embedded

    def forward_features(self, faces: Tensor) -> Tensor:
        """Return the class token (B, D) of normalised faces (B, 3, H, W)."""
        encoded: Tensor = self.encoder(self.tokens(faces))
        return encoded[:, 0]

    def attention_maps(self, faces: Tensor) -> list[Tensor]:
        """Return the attention (B, heads, N, N) of every encoder block; token 0 is the class."""
        return recorded(self.encoder.modules(), lambda: self.forward_features(faces))
