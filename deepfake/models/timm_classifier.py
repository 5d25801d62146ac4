"""Any network of timm with one logit, trained in whole or in part."""

import difflib
import re
from collections.abc import Iterator
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _NormBase

from deepfake.errors import require
from deepfake.models.backbones import create_timm
from deepfake.models.layers import small_head
from deepfake.models.network import Network

Trained = Literal["all", "head", "last", "norm", "adapters"]


class TimmClassifier(Network):
    """A backbone of timm and one linear layer.

    `train="norm"` with a CLIP backbone and `unit_features` is the network of GenD (Yermakov et
    al., WACV 2026, https://arxiv.org/abs/2508.06248); adapters are LoRA (Hu et al., ICLR 2022,
    https://arxiv.org/abs/2106.09685).

    Args:
        name: Name in timm, such as "legacy_xception" or "vit_large_patch14_clip_224.openai".
        train: What learns besides the head: "all", nothing ("head"), the "last" blocks, the
            normalisation layers ("norm"), or low-rank "adapters" beside attention's weights.
        last_blocks: Blocks from the end that learn with "last", as timm groups them for
            layer-wise learning rates; what follows the last block belongs to it.
        adapter_rank: Rank of the adapters.
        unit_features: Scale the features to length 1 before the head.
        pretrained: Start from timm's weights, which are downloaded. Those of tf_efficientnet_lite0
            come from an installed package and want inputs with mean and standard deviation 0.5.
        image_size: Side of the face, in pixels, where the network's own is not wanted. Networks
            that take any size ignore it.
        dropout: Rate before the last layer.
        settings: Further arguments of `timm.create_model`, such as `global_pool` or `in_chans`.
    """

    def __init__(
        self,
        name: str = "tf_efficientnet_b4",
        *,
        train: Trained = "all",
        last_blocks: int = 2,
        adapter_rank: int = 8,
        unit_features: bool = False,
        pretrained: bool = False,
        image_size: int | None = None,
        dropout: float = 0.0,
        settings: dict[str, Any] | None = None,
    ) -> None:
        if last_blocks < 1:
            raise ValueError(f"last_blocks must be at least 1, got {last_blocks}")
        super().__init__()
        self.backbone = _backbone(
            name, pretrained=pretrained, image_size=image_size, settings=settings or {}
        )
        self.num_features = int(self.backbone.head_hidden_size)  # type: ignore[arg-type]
        self.unit_features = unit_features
        self.head = small_head(self.num_features, dropout)
        self._choose_trained(train, last_blocks, adapter_rank)
        self.to(memory_format=torch.channels_last)

    def forward_features(self, faces: Tensor) -> Tensor:
        """Return features (B, D) for faces (B, 3, S, S), of length 1 with `unit_features`."""
        features: Tensor = self.backbone(faces.contiguous(memory_format=torch.channels_last))
        return F.normalize(features, dim=1) if self.unit_features else features

    def train(self, mode: bool = True) -> Self:
        """Switch training on or off; frozen batch normalisation keeps its statistics."""
        super().train(mode)
        for module in self.backbone.modules():
            if isinstance(module, _NormBase) and not any(
                parameter.requires_grad for parameter in module.parameters()
            ):
                module.eval()
        return self

    def _choose_trained(self, train: Trained, last_blocks: int, adapter_rank: int) -> None:
        if train == "all":
            return
        self.backbone.requires_grad_(False)
        if train == "last":
            chosen = _last_blocks(self.backbone, last_blocks)
            for name, parameter in self.backbone.named_parameters():
                parameter.requires_grad_(name in chosen)
        elif train == "norm":
            for norm in _norms(self.backbone):
                norm.requires_grad_(True)
        elif train == "adapters":
            _add_adapters(self.backbone, adapter_rank)


def _backbone(
    name: str, *, pretrained: bool, image_size: int | None, settings: dict[str, Any]
) -> nn.Module:
    """Return the backbone of timm without its classifier."""
    import timm

    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=3)
        advice = f"Did you mean {' or '.join(near)}?" if near else "See timm.list_models()."
        raise ValueError(f"timm has no network {name!r}. {advice}")
    config = timm.models.get_pretrained_cfg(name)
    if image_size is not None and config is not None and config.fixed_input_size:
        settings = {"img_size": image_size} | settings
    network: nn.Module = create_timm(name, pretrained=pretrained, num_classes=0, **settings)
    return network


def _norms(backbone: nn.Module) -> Iterator[nn.Module]:
    from timm.layers.norm import RmsNorm

    kinds = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, RmsNorm, _NormBase)  # the last: batch norms
    return (module for module in backbone.modules() if isinstance(module, kinds))


def _last_blocks(backbone: nn.Module, count: int) -> set[str]:
    """Return the names of the last blocks' parameters."""
    from timm.models import group_parameters

    matcher = backbone.group_matcher(coarse=False)  # type: ignore[operator]
    groups: dict[int, list[str]] = group_parameters(backbone, matcher)
    last = sorted(groups)[-count:]
    return {name for index in last for name in groups[index]}


def _add_adapters(backbone: nn.Module, rank: int) -> None:
    """Put low-rank adapters beside attention's linear layers, or all 1x1 ones without attention."""
    require("peft", "peft", "train='adapters'")
    from peft import LoraConfig, inject_adapter_in_model

    linear = [name for name, module in backbone.named_modules() if isinstance(module, nn.Linear)]
    targets = [name for name in linear if re.search(r"\battn\.", name)] or linear
    targets += [
        name
        for name, module in backbone.named_modules()
        if not targets and isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1)
    ]
    config = LoraConfig(r=rank, lora_alpha=rank, target_modules=targets)
    inject_adapter_in_model(config, backbone)
