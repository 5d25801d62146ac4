"""The LightningModule that trains a network: it wires, and knows no data set."""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from deepfake import calibration
from deepfake.losses import BinaryCrossEntropy
from deepfake.metrics import VideoMetrics
from deepfake.types import FaceBatch

OptimizerFactory = Callable[[Iterable[Any]], Optimizer]
SchedulerFactory = Callable[[Optimizer], LRScheduler]


def adamw(parameters: Iterable[Any]) -> Optimizer:
    """Return AdamW with the defaults of this project."""
    return torch.optim.AdamW(parameters, lr=3e-4, weight_decay=0.05)


class FakeClassifier(LightningModule):
    """Train a network to tell fake faces from real ones.

    Args:
        network: Maps faces (B, 3, H, W) to logits (B,), higher meaning fake.
        criterion: Maps logits (B,) and labels (B,) to a loss; its `prepare(real, fake)`, if it has
            one, is told how many faces of each class an epoch shows.
        optimizer: Made with the parameters that require a gradient.
        lr_scheduler: Made with the optimizer; stepped once an epoch.
        network_spec: Class path and arguments that rebuild the network, kept in checkpoints. The
            command line fills it in.
    """

    def __init__(
        self,
        network: nn.Module,
        criterion: nn.Module | None = None,
        optimizer: OptimizerFactory = adamw,
        lr_scheduler: SchedulerFactory | None = None,
        network_spec: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)
        self.criterion = criterion or BinaryCrossEntropy()
        self.make_optimizer = optimizer
        self.make_scheduler = lr_scheduler
        self.network_spec = network_spec
        self._calibration: dict[str, Any] | None = None
        self.val_metrics = VideoMetrics(prefix="val/")
        self.test_metrics = VideoMetrics(prefix="test/")

    def forward(self, faces: Tensor) -> Tensor:
        """Return logits (B,) for normalised faces (B, 3, H, W) or clips (B, T, 3, H, W)."""
        if faces.ndim == 4:
            faces = faces.contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.network(faces)
        return logits.float()

    def _step(self, batch: FaceBatch, split: str) -> tuple[Tensor, Tensor]:
        logits = self(batch["face"])
        loss: Tensor = self.criterion(logits, batch["label"])
        self.log(
            f"{split}/loss",
            loss,
            prog_bar=True,
            on_step=False,
            on_epoch=True,
            batch_size=len(logits),
            sync_dist=split != "train",
        )
        return loss, logits

    def on_fit_start(self) -> None:
        """Tell the criterion how many faces there are of each class."""
        data = getattr(self.trainer, "datamodule", None)
        prepare = getattr(self.criterion, "prepare", None)
        if prepare is not None and data is not None:
            prepare(*data.class_counts)

    def training_step(self, batch: FaceBatch, batch_idx: int) -> Tensor:  # noqa: ARG002
        """Return the loss of a batch."""
        return self._step(batch, "train")[0]

    def validation_step(self, batch: FaceBatch, batch_idx: int) -> None:  # noqa: ARG002
        """Collect a batch's scores."""
        _, logits = self._step(batch, "val")
        self._collect(self.val_metrics, batch, logits)

    def test_step(self, batch: FaceBatch, batch_idx: int) -> None:  # noqa: ARG002
        """Collect a batch's scores."""
        _, logits = self._step(batch, "test")
        self._collect(self.test_metrics, batch, logits)

    @staticmethod
    def _collect(metrics: VideoMetrics, batch: FaceBatch, logits: Tensor) -> None:
        metrics.update(
            logits,
            batch["label"],
            batch["video"],
            batch["track"],
            samples=batch["index"],
        )

    def on_validation_epoch_end(self) -> None:
        """Log the measures of the validation videos, and fit the calibration on them."""
        self._calibration = self._calibrate()
        self._log_metrics(self.val_metrics)

    def _calibrate(self) -> dict[str, Any] | None:
        """Return a calibration that travels with the weights that gave these scores."""
        labels, scores = self.val_metrics.videos_judged()
        if len(set(labels)) < 2 or getattr(self.trainer.datamodule, "leaky", False):  # type: ignore[attr-defined]
            return None
        return calibration.fit(labels, scores).to_dict()

    def on_test_epoch_end(self) -> None:
        """Log the measures of the test videos."""
        self._log_metrics(self.test_metrics)

    def _log_metrics(self, metrics: VideoMetrics) -> None:
        values = metrics.compute()
        metrics.reset()
        shown = {name for name in values if name.endswith("video_auroc")}
        for name, value in values.items():
            self.log(name, value, prog_bar=name in shown, rank_zero_only=False, sync_dist=False)

    def configure_optimizers(self) -> Any:  # noqa: ANN401  Lightning's own type is private
        """Return the optimizer, with its scheduler where there is one."""
        optimizer = self.make_optimizer([p for p in self.parameters() if p.requires_grad])
        if self.make_scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": self.make_scheduler(optimizer)}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep beside the weights all that predict needs; plain types only, see `checkpoints`."""
        from deepfake.checkpoints import VERSION

        data = getattr(self.trainer, "datamodule", None)
        checkpoint["deepfake"] = {
            "version": VERSION,
            "network": self.network_spec,
            "recipe": asdict(data.recipe) if data is not None else None,
            "preprocess": asdict(data.preprocess) if data is not None else None,
            "calibration": self._calibration,
            "aggregation": "worst_person",
        }
