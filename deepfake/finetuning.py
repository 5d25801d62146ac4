"""Train a pretrained backbone with care: slower near its input, or later."""

import re
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

BLOCK = re.compile(r"(?:^|\.)\d+(?:\.\d+)*(?=\.)")  # ".3.0" of blocks.3.0.conv.weight


def distances(network: nn.Module) -> dict[str, int]:
    """Return how far each parameter of a network lies from its head.

    0 is outside the backbone, 1 in the backbone's last block, and the stem is the farthest. The
    backbone is every child of that name; without one it is the network but for its `head`. What
    is not in a numbered block belongs to the block before it, and to the stem before the first.
    """
    names = [name for name, _ in network.named_parameters()]
    named = any("backbone" in name.split(".") for name in names)
    blocks: dict[str, list[str]] = {}  # of each backbone, in order
    place: dict[str, tuple[str, int]] = {}
    for name in names:
        parts = name.split(".")
        if "backbone" not in parts if named else parts[0].startswith("head"):
            continue
        start = parts.index("backbone") + 1 if named else 0
        backbone, inner = ".".join(parts[:start]), ".".join(parts[start:])
        seen = blocks.setdefault(backbone, ["stem"])
        found = BLOCK.search(inner)
        block = inner[: found.end()] if found else seen[-1]
        if block != seen[-1]:
            seen.append(block)
        place[name] = backbone, len(seen) - 1
    return {
        name: len(blocks[place[name][0]]) - place[name][1] if name in place else 0 for name in names
    }


class StagedUnfreezing(Callback):
    """Train what follows the backbone first, then its blocks from the last to the first.

    Howard and Ruder, ACL 2018, https://arxiv.org/abs/1801.06146, section 3.3. What the network
    itself keeps frozen stays so. Several processes need the strategy
    "ddp_find_unused_parameters_true".

    Args:
        head_epochs: Epochs in which the backbone does not learn.
        blocks_per_epoch: Blocks that begin to learn in each epoch after; None lets all begin.
    """

    def __init__(self, head_epochs: int = 1, blocks_per_epoch: int | None = None) -> None:
        if head_epochs < 0:
            raise ValueError(f"head_epochs must be at least 0, got {head_epochs}")
        if blocks_per_epoch is not None and blocks_per_epoch < 1:
            raise ValueError(f"blocks_per_epoch must be at least 1, got {blocks_per_epoch}")
        self.head_epochs = head_epochs
        self.blocks_per_epoch = blocks_per_epoch
        self.learning: set[str] = set()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Note what is to learn in the end; by now the optimizer has all of it."""
        self.learning = {n for n, p in _network(pl_module).named_parameters() if p.requires_grad}

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Freeze and unfreeze for this epoch."""
        network = _network(pl_module)
        reach = self.reach(trainer.current_epoch)
        away = distances(network)
        for name, parameter in network.named_parameters():
            learns = reach is None or away[name] <= reach
            parameter.requires_grad_(name in self.learning and learns)
        for module in network.modules():
            own = list(module.parameters(recurse=False))
            if isinstance(module, _NormBase) and own:
                module.train(any(parameter.requires_grad for parameter in own))

    def reach(self, epoch: int) -> int | None:
        """Return the largest distance from the head that learns in an epoch; None for all."""
        if epoch < self.head_epochs:
            return 0
        if self.blocks_per_epoch is None:
            return None
        return (epoch - self.head_epochs + 1) * self.blocks_per_epoch


def _network(module: LightningModule) -> nn.Module:
    network: Any = module.network
    assert isinstance(network, nn.Module)
    return network
