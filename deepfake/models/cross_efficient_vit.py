"""Cross Efficient ViT: two maps of different depth whose class tokens look at each other's map."""

from typing import Self

import torch
from torch import Tensor, nn

from deepfake.models.backbones import EfficientNetBackbone, grid_side
from deepfake.models.layers import Attention, Encoder, recorded, to_patches, with_class_token
from deepfake.models.network import Network


class CrossAttention(nn.Module):
    """Let the class token of one branch attend over itself and the patches of the other.

    Chen et al., CrossViT, ICCV 2021, https://arxiv.org/abs/2103.14899

    Args:
        dim: Width of the class token.
        other_dim: Width of the other branch's patches.
        heads: Number of heads.
        head_dim: Width of a head.
        dropout: Probability of dropping an output value.
    """

    def __init__(
        self, dim: int, other_dim: int, heads: int, *, head_dim: int, dropout: float
    ) -> None:
        super().__init__()
        self.project_in = nn.Linear(dim, other_dim)
        self.norm = nn.LayerNorm(other_dim)
        self.attention = Attention(other_dim, heads, head_dim=head_dim, dropout=dropout)
        self.project_out = nn.Linear(other_dim, dim)

    def forward(self, class_token: Tensor, patches: Tensor) -> Tensor:
        """Return what is added to class_token (B, 1, D), given patches (B, M, other_dim)."""
        query = self.norm(self.project_in(class_token))
        context = torch.cat([query, patches], dim=1)
        update: Tensor = self.project_out(self.attention(query, context))
        return update


class MultiScaleEncoder(nn.Module):
    """Encode each branch by itself, then exchange through the class tokens.

    Args:
        dims: Widths of the deep and the shallow branch's tokens.
        depths: Their encoder blocks.
        cross_depth: How often the branches exchange.
        heads: Number of heads.
        head_dim: Width of a head.
        mlp_dim: Width inside the feed-forward layers.
        dropout: Probability of dropping a value.
    """

    def __init__(
        self,
        dims: tuple[int, int],
        depths: tuple[int, int],
        *,
        cross_depth: int,
        heads: int,
        head_dim: int,
        mlp_dim: int,
        dropout: float,
    ) -> None:
        super().__init__()

        def encoder(dim: int, depth: int) -> Encoder:
            return Encoder(dim, depth, heads, mlp_dim, head_dim=head_dim, dropout=dropout)

        def crosses(dim: int, other_dim: int) -> nn.ModuleList:
            return nn.ModuleList(
                CrossAttention(dim, other_dim, heads, head_dim=head_dim, dropout=dropout)
                for _ in range(cross_depth)
            )

        (deep_dim, shallow_dim), (deep_depth, shallow_depth) = dims, depths
        self.deep = encoder(deep_dim, deep_depth)
        self.deep_norm = nn.LayerNorm(deep_dim)
        self.shallow = encoder(shallow_dim, shallow_depth)
        self.shallow_norm = nn.LayerNorm(shallow_dim)
        self.deep_cross = crosses(deep_dim, shallow_dim)
        self.shallow_cross = crosses(shallow_dim, deep_dim)

    def forward(self, deep: Tensor, shallow: Tensor) -> tuple[Tensor, Tensor]:
        """Return both branches' tokens, deep (B, N, D) and shallow (B, M, E), class token first."""
        deep = self.deep_norm(self.deep(deep))
        shallow = self.shallow_norm(self.shallow(shallow))
        deep_class, deep_patches = deep[:, :1], deep[:, 1:]
        shallow_class, shallow_patches = shallow[:, :1], shallow[:, 1:]
        for look_shallow, look_deep in zip(self.deep_cross, self.shallow_cross, strict=True):
            deep_class = deep_class + look_shallow(deep_class, shallow_patches)
            shallow_class = shallow_class + look_deep(shallow_class, deep_patches)
        return (
            torch.cat([deep_class, deep_patches], dim=1),
            torch.cat([shallow_class, shallow_patches], dim=1),
        )


class Branch(nn.Module):
    """A backbone's map as tokens with a class token in front.

    Args:
        backbone: Gives the map.
        image_size: Side of the face, in pixels.
        patch_size: Side of a patch, in cells of the map.
        dim: Width of the tokens.
        dropout: Probability of dropping a value of the tokens.
    """

    def __init__(
        self,
        backbone: EfficientNetBackbone,
        *,
        image_size: int,
        patch_size: int,
        dim: int,
        dropout: float,
    ) -> None:
        super().__init__()
        side = grid_side(backbone, image_size, patch_size)
        self.backbone = backbone
        self.patch_size = patch_size
        self.embed = nn.Linear(backbone.num_features * patch_size**2, dim)
        self.class_token = nn.Parameter(torch.randn(1, 1, dim) * 0.02)
        self.positions = nn.Parameter(torch.randn(1, side**2 + 1, dim) * 0.02)
        self.dropout = nn.Dropout(dropout)

    def forward(self, faces: Tensor) -> Tensor:
        """Return tokens (B, N, D) of normalised faces (B, 3, H, W)."""
        patches = self.embed(to_patches(self.backbone(faces), self.patch_size))
        tokens = with_class_token(self.class_token, patches)
        embedded: Tensor = self.dropout(tokens + self.positions[:, : tokens.shape[1]])
        return embedded


class CrossEfficientViT(Network):
    """Classify a face by a deep and a shallow EfficientNet map joined by cross-attention.

    Coccomini et al., ICIAP 2022, https://arxiv.org/abs/2107.02612

    Args:
        backbone: "efficientnet-b0" to "efficientnet-b7"; each branch has its own.
        pretrained: Start both backbones from ImageNet weights; downloads them.
        trainable_blocks: Train only this many of the last blocks of each backbone; None trains
            all, as the paper's code does.
        image_size: Side of the face, in pixels.
        shallow_block: Number of the last block of the shallow branch, counted from 0.
        deep_patch: Side of a patch of the deep map, in cells.
        shallow_patch: Side of a patch of the shallow map, in cells.
        deep_dim: Width of the deep branch's tokens.
        shallow_dim: Width of the shallow branch's tokens.
        depth: Number of multi-scale encoders.
        deep_depth: Encoder blocks of the deep branch in each.
        shallow_depth: Encoder blocks of the shallow branch in each.
        cross_depth: Exchanges between the branches in each.
        heads: Number of attention heads.
        head_dim: Width of a head.
        mlp_dim: Width inside the feed-forward layers.
        dropout: Probability of dropping a value in the encoders.
        embedding_dropout: Probability of dropping a value of the embedded tokens.
        keep_unused: Keep the backbones' tensors that never run, as published checkpoints do.
    """

    def __init__(
        self,
        backbone: str = "efficientnet-b0",
        *,
        pretrained: bool = False,
        trainable_blocks: int | None = None,
        image_size: int = 224,
        shallow_block: int = 2,
        deep_patch: int = 1,
        shallow_patch: int = 8,
        deep_dim: int = 192,
        shallow_dim: int = 384,
        depth: int = 4,
        deep_depth: int = 2,
        shallow_depth: int = 3,
        cross_depth: int = 2,
        heads: int = 8,
        head_dim: int = 64,
        mlp_dim: int = 2048,
        dropout: float = 0.15,
        embedding_dropout: float = 0.15,
        keep_unused: bool = False,
    ) -> None:
        super().__init__()

        def branch(last_block: int | None, patch_size: int, dim: int) -> Branch:
            net = EfficientNetBackbone(
                backbone,
                pretrained=pretrained,
                last_block=last_block,
                trainable_blocks=trainable_blocks,
                keep_unused=keep_unused,
            )
            sizes = {"image_size": image_size, "patch_size": patch_size, "dim": dim}
            return Branch(net, **sizes, dropout=embedding_dropout)

        self.deep = branch(None, deep_patch, deep_dim)
        self.shallow = branch(shallow_block, shallow_patch, shallow_dim)
        self.encoders = nn.ModuleList(
            MultiScaleEncoder(
                (deep_dim, shallow_dim),
                (deep_depth, shallow_depth),
                cross_depth=cross_depth,
                heads=heads,
                head_dim=head_dim,
                mlp_dim=mlp_dim,
                dropout=dropout,
            )
            for _ in range(depth)
        )
        self.widths = (deep_dim, shallow_dim)
        self.num_features = deep_dim + shallow_dim
        self.deep_head = nn.Sequential(nn.LayerNorm(deep_dim), nn.Linear(deep_dim, 1))
        self.shallow_head = nn.Sequential(nn.LayerNorm(shallow_dim), nn.Linear(shallow_dim, 1))

    @classmethod
    def published(cls) -> Self:
        """Return the network as published, its tensors that never run included.

        Each map is a single patch; of the positional tables, which are sized for patches of
        the image, only the first two rows are used.
        """
        network = cls(deep_patch=7, shallow_patch=56, keep_unused=True)
        deep, shallow = network.widths
        network.deep.positions = nn.Parameter(torch.randn(1, 1025, deep))
        network.shallow.positions = nn.Parameter(torch.randn(1, 17, shallow))
        return network

    def forward_features(self, faces: Tensor) -> Tensor:
        """Return both class tokens (B, D), the deep one first, of normalised faces (B, 3, H, W)."""
        deep, shallow = self.deep(faces), self.shallow(faces)
        for encoder in self.encoders:
            deep, shallow = encoder(deep, shallow)
        return torch.cat([deep[:, 0], shallow[:, 0]], dim=1)

    def forward_head(self, features: Tensor) -> Tensor:
        """Return logits (B,) of both class tokens (B, D)."""
        deep, shallow = torch.split(features, list(self.widths), dim=1)
        logits: Tensor = self.deep_head(deep) + self.shallow_head(shallow)
        return logits.squeeze(1)

    def attention_maps(self, faces: Tensor) -> list[Tensor]:
        """Return the deep branch's self-attention (B, heads, N, N) of every encoder block."""
        layers = (layer for name, layer in self.encoders.named_modules() if ".deep." in name)
        return recorded(layers, lambda: self.forward_features(faces))
