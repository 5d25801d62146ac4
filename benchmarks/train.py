"""A training step on one thread: the published way, and as `python -m deepfake.train` takes it.

The published step runs float32 in NCHW with the packaged memory-efficient swish and attention
without a fused kernel, in a process as Python starts it. Ours is that of Lightning's trainer with
the settings of configs/efficient_vit.yaml and configs/cross_efficient_vit.yaml, read by the command
line's own code: channels_last, plain swish, fused attention, bfloat16 where the processor has it,
freed memory kept. Batches have the published sizes; both train the same parameters. Loading is
left out.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from efficientnet_pytorch import EfficientNet as PackagedEfficientNet
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.infer import rows_of_pixels
from benchmarks.measure import Row, cpu_s, row
from benchmarks.turns import answer, in_turns
from deepfake.losses import BinaryCrossEntropy
from deepfake.models.cross_efficient_vit import CrossEfficientViT
from deepfake.models.efficient_vit import EfficientViT

SIZE = 224
PUBLISHED: dict[str, Callable[[], nn.Module]] = {
    "efficient_vit": EfficientViT.published,
    "cross_efficient_vit": CrossEfficientViT.published,
}
BATCHES = {"efficient_vit": 32, "cross_efficient_vit": 16}
TITLES = {"efficient_vit": "Efficient ViT", "cross_efficient_vit": "Cross Efficient ViT"}


def run(clips: Sequence[Path]) -> list[Row]:  # noqa: ARG001  every benchmark takes clips
    """Return a row for each of the two networks of the paper."""
    rows = []
    for config, batch in BATCHES.items():
        ours, published = in_turns([(train, (config, batch)), (train_published, (config, batch))])
        figures = (ours, published)
        rows.append(row("train", TITLES[config], figures, "CPU ms per face", 1000 / batch))
    return rows


def batch_of(size: int) -> dict[str, Any]:
    """Return a batch of random faces, as the loader gives it."""
    torch.manual_seed(0)
    return {
        "face": torch.rand(size, 3, SIZE, SIZE),
        "label": torch.tensor([0.0, 1.0] * (size // 2)),
        **{name: torch.arange(size) for name in ("video", "track", "index")},
    }


def train_published(end: Connection, config: str, size: int) -> None:
    """Take published steps: forward, backward, SGD."""
    torch.set_num_threads(1)
    batch = batch_of(size)
    network = PUBLISHED[config]().to(memory_format=torch.contiguous_format)
    for module in network.modules():
        if isinstance(module, PackagedEfficientNet):
            module.set_swish(memory_efficient=True)
    trained = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1e-3, weight_decay=1e-7)
    criterion = BinaryCrossEntropy()
    network.train()

    def step() -> None:
        optimizer.zero_grad()
        criterion(network(batch["face"]), batch["label"]).backward()
        optimizer.step()

    def once() -> float:
        with sdpa_kernel(SDPBackend.MATH), rows_of_pixels():
            return cpu_s(step)

    answer(end, once)


def train(end: Connection, config: str, size: int) -> None:
    """Take steps of `python -m deepfake.train --config configs/<config>.yaml`."""
    from pytorch_lightning.callbacks import Callback
    from torch.utils.data import DataLoader

    from deepfake.train import config_folder
    from deepfake.training.cli import make
    from deepfake.training.resuming import Start

    class Turns(Callback):
        """Takes a step for every question, and answers with its CPU seconds."""

        start = 0.0

        def on_train_batch_start(self, *_: Any) -> None:  # noqa: ANN401
            end.recv()
            self.start = time.process_time()

        def on_train_batch_end(self, *_: Any) -> None:  # noqa: ANN401
            end.send(time.process_time() - self.start)

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        arguments = [
            *(f"--config={config_folder() / name}.yaml" for name in ("default", config)),
            "--model.network.init_args.pretrained=false",
            "--trainer.accelerator=cpu",
            "--trainer.logger=false",
            "--trainer.enable_progress_bar=false",
            "--trainer.enable_model_summary=false",
            f"--runs={folder}",
        ]
        cli = make(Start(arguments))
        cli.trainer.callbacks.insert(0, Turns())  # type: ignore[attr-defined]
        batches: Any = DataLoader([batch_of(size)] * 1000, batch_size=None)  # type: ignore[arg-type]
        cli.trainer.fit(cli.model, train_dataloaders=batches)
