"""The LightningModule that trains a network: it wires, and knows no data set."""

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from deepfake import calibration
from deepfake.aggregation import DEFAULT, RULES, Aggregator, by_name
from deepfake.calibration import Calibration
from deepfake.checkpoints.settings import KEY, Settings
from deepfake.checkpoints.validation import ValidationScores
from deepfake.cli.outside import import_and_make
from deepfake.errors import DeepfakeError
from deepfake.finetuning import distances
from deepfake.losses import BinaryCrossEntropy
from deepfake.mixing import Mixing
from deepfake.models.network import spec_of
from deepfake.optimizers import SAM, OptimizerFactory
from deepfake.training.depthwise import quick_depthwise
from deepfake.training.metrics import VideoMetrics
from deepfake.types import FaceBatch

NO_CUES: Mapping[str, Tensor] = MappingProxyType({})
SchedulerFactory = Callable[[Optimizer], LRScheduler]


def adamw(parameters: Iterable[Any]) -> Optimizer:
    """Return AdamW with the defaults of this project."""
    return torch.optim.AdamW(parameters, lr=3e-4, weight_decay=0.05)


class FakeClassifier(LightningModule):
    """Train a network to tell fake faces from real ones.

    Args:
        network: Maps faces (B, 3, H, W) to logits (B,), higher meaning fake.
        criterion: Maps logits (B,) and labels (B,) to a loss, and features (B, D) as a third where
            it has `uses_features`; its `prepare(real, fake)`, if it has one, is told how many faces
            of each class an epoch shows.
        optimizer: Made with the parameters that require a gradient.
        lr_scheduler: Made with the optimizer; stepped once an epoch. `ReduceLROnPlateau` watches
            `val/loss`, or with mode "max" `val/video_auroc`.
        network_spec: Class path and arguments that rebuild the network, kept in checkpoints. None
            takes those that a subclass of `deepfake.models.network.Network` was made with.
        layer_decay: Factor of the learning rate from each block of the backbone to the one before
            it, in (0, 1]; what follows the backbone learns at the full rate. None leaves all alike.
        mixing: Mixes the faces of each training batch.
        start_from: Checkpoint whose weights the network starts with; unlike `ckpt_path`, epochs,
            learning rate and settings are those of a new run.
        compile_network: Compile the network with torch.compile before the first step.
        aggregation: From the faces of a video to its score, in validation, the test and ever after:
            a name in `deepfake.aggregation`, or a class of one's own: my_rules.MyRule(share=0.9).
    """

    def __init__(
        self,
        network: nn.Module,
        criterion: nn.Module | None = None,
        optimizer: OptimizerFactory = adamw,
        lr_scheduler: SchedulerFactory | None = None,
        network_spec: dict[str, Any] | None = None,
        layer_decay: float | None = None,
        mixing: Mixing | None = None,
        start_from: Path | None = None,
        compile_network: bool = False,
        aggregation: str = DEFAULT,
    ) -> None:
        super().__init__()
        if layer_decay is not None and not 0 < layer_decay <= 1:
            raise ValueError(f"layer_decay must lie in (0, 1], got {layer_decay}")
        self.network = network.to(memory_format=torch.channels_last)
        self.criterion = criterion or BinaryCrossEntropy()
        self.make_optimizer = optimizer
        self.make_scheduler = lr_scheduler
        self.network_spec = network_spec or spec_of(network)
        self.layer_decay = layer_decay
        self.mixing = mixing
        self.start_from = start_from
        self.compile_network = compile_network
        self.lr: float | None = None  # what Lightning's LearningRateFinder sets
        self.uses_features = bool(getattr(self.criterion, "uses_features", False))
        if self.uses_features and (mixing or compile_network):
            raise ValueError(
                f"{type(self.criterion).__name__} compares the features of whole faces; it goes "
                "neither with mixing nor with compile_network"
            )
        self._calibration = Calibration()
        self.takes = set(inspect.signature(network.forward).parameters)  # names of cues among them
        self.aggregation = aggregation
        own = aggregation not in RULES
        rule = import_and_make(aggregation, Aggregator) if own else by_name(aggregation)
        self.val_metrics = VideoMetrics("val/", rule)
        self.test_metrics = VideoMetrics("test/", rule)
        self._validation: ValidationScores | None = None

    def forward(self, faces: Tensor, cues: Mapping[str, Tensor] = NO_CUES) -> Tensor:
        """Return logits (B,) for normalised faces (B, 3, H, W) or clips (B, T, 3, H, W).

        Args:
            faces: What is judged.
            cues: What else is known, by name; the network is given those that it has arguments for.
        """
        faces, known = self._inputs(faces, cues)
        with nullcontext() if self.compile_network else quick_depthwise():
            logits: Tensor = self.network(faces, **known)
        return logits.float()

    def _step(self, batch: FaceBatch, split: str) -> tuple[Tensor, Tensor]:
        loss: Tensor
        cues = batch.get("cues", NO_CUES)
        if self.uses_features:
            logits, features = self.logits_and_features(batch["face"], cues)
            loss = self.criterion(logits, batch["label"], features)
        else:
            logits = self(batch["face"], cues)
            loss = self.criterion(logits, batch["label"])
        if split != "train" or not getattr(self._plain_optimizer(), "perturbed", False):
            self.log(
                f"{split}/loss",
                loss,
                prog_bar=True,
                on_step=False,
                on_epoch=True,
                batch_size=len(logits),
                sync_dist=True,
            )
        return loss, logits

    def logits_and_features(
        self, faces: Tensor, cues: Mapping[str, Tensor] = NO_CUES
    ) -> tuple[Tensor, Tensor]:
        """Return logits (B,), and features (B, D) from the same pass; arguments as of `forward`."""
        network: Any = self.network
        if not hasattr(network, "forward_head"):
            raise DeepfakeError(
                f"{type(network).__name__} has no forward_head(features), which "
                f"{type(self.criterion).__name__} needs. Write it, or take another loss."
            )
        faces, known = self._inputs(faces, cues)
        with quick_depthwise():
            features: Tensor = network.forward_features(faces, **known)
            return network.forward_head(features).float(), features

    def _inputs(
        self, faces: Tensor, cues: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return faces in the fastest order of memory, and the cues that the network takes."""
        if faces.ndim == 4:
            faces = faces.contiguous(memory_format=torch.channels_last)
        return faces, {name: cue for name, cue in cues.items() if name in self.takes}

    def _plain_optimizer(self) -> Any:  # noqa: ANN401
        return self.optimizers(use_pl_optimizer=False)

    def on_train_batch_start(self, batch: FaceBatch, batch_idx: int) -> None:  # noqa: ARG002
        """Mix a training batch in place, once; SAM's second pass sees the same mix.

        What was fitted on the scores of earlier weights is forgotten.
        """
        self._calibration, self._validation = Calibration(), None
        if self.mixing is not None:
            batch.update(self.mixing(batch))

    def setup(self, stage: str) -> None:
        """Take the weights to start from; those of a run that goes on replace them later."""
        if stage == "fit" and self.start_from is not None:
            from deepfake.checkpoints.loading import load_network

            network, settings = load_network(Path(self.start_from))
            try:
                self.network.load_state_dict(network.state_dict())
            except RuntimeError as error:
                advice = "Give the configuration that it was trained with."
                if settings.network is not None:
                    spec, recipe = json.dumps(settings.network), json.dumps(asdict(settings.recipe))
                    advice = f"They fit `--model.network '{spec}' --data.recipe '{recipe}'`."
                raise DeepfakeError(
                    f"The weights of {self.start_from} do not fit {type(self.network).__name__} "
                    f"with these arguments. {advice}"
                ) from error

    def on_fit_start(self) -> None:
        """Tell the criterion how many faces there are of each class."""
        data = getattr(self.trainer, "datamodule", None)
        prepare = getattr(self.criterion, "prepare", None)
        if prepare is not None and data is not None:
            prepare(*data.class_counts)
        if self.compile_network:
            self.network.compile()  # in place, so that the names of its weights stay

    def training_step(self, batch: FaceBatch, batch_idx: int) -> Tensor:  # noqa: ARG002
        """Return the loss of a batch."""
        return self._step(batch, "train")[0]

    def validation_step(self, batch: FaceBatch, batch_idx: int) -> None:  # noqa: ARG002
        """Collect a batch's scores."""
        self._collect(self.val_metrics, batch, self._step(batch, "val")[1])

    def test_step(self, batch: FaceBatch, batch_idx: int) -> None:  # noqa: ARG002
        """Collect a batch's scores."""
        self._collect(self.test_metrics, batch, self._step(batch, "test")[1])

    @staticmethod
    def _collect(metrics: VideoMetrics, batch: FaceBatch, logits: Tensor) -> None:
        metrics.update(logits, batch["label"], batch["video"], batch["track"], batch["index"])

    def on_validation_epoch_end(self) -> None:
        """Log the measures of the validation videos, and fit the calibration on them."""
        self._calibration = self._calibrate()
        self._validation = self.val_metrics.validation() if self._calibration.fitted else None
        self._log_metrics(self.val_metrics)

    def _calibrate(self) -> Calibration:
        """Return a calibration that travels with the weights that gave these scores."""
        labels, scores = self.val_metrics.videos_judged()
        if len(set(labels)) < 2 or getattr(self.trainer.datamodule, "leaky", False):  # type: ignore[attr-defined]
            return Calibration()
        return calibration.fit(labels, scores)

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
        optimizer, scheduler = self.build_optimizer()
        if isinstance(optimizer, SAM):
            self._check_sam()
        if scheduler is None:
            return optimizer
        schedule: dict[str, Any] = {"scheduler": scheduler}
        if isinstance(scheduler, ReduceLROnPlateau):
            schedule["monitor"] = "val/loss" if scheduler.mode == "min" else "val/video_auroc"
            schedule["frequency"] = self.trainer.check_val_every_n_epoch or 1
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def build_optimizer(self) -> tuple[Optimizer, LRScheduler | None]:
        """Return a new optimizer and scheduler.

        Raises:
            DeepfakeError: Their settings are wrong.
        """
        try:
            optimizer = self.make_optimizer(self._parameter_groups())
            for group in optimizer.param_groups:
                rate = group["lr"] if self.lr is None else self.lr
                group["lr"] = rate * group.pop("lr_factor", 1.0)
            scheduler = None if self.make_scheduler is None else self.make_scheduler(optimizer)
        except (ValueError, TypeError) as error:
            raise DeepfakeError(f"The optimizer or its schedule refuses: {error}") from error
        return optimizer, scheduler

    def _parameter_groups(self) -> list[Any]:
        """Return the parameters that learn, in groups of one learning rate."""
        learning = {name: p for name, p in self.named_parameters() if p.requires_grad}
        if self.layer_decay is None:
            return list(learning.values())
        away = {f"network.{name}": n for name, n in distances(self.network).items()}
        groups: dict[int, list[nn.Parameter]] = {}
        for name, parameter in learning.items():
            groups.setdefault(away.get(name, 0), []).append(parameter)
        return [
            {"params": parameters, "lr_factor": self.layer_decay**n}
            for n, parameters in sorted(groups.items())
        ]

    def _check_sam(self) -> None:
        """Refuse what would make SAM's two passes disagree."""
        trainer = self.trainer
        wrong = None
        if trainer.precision == "16-mixed":
            wrong = "loss scaling (precision 16-mixed); take bf16-mixed or 32-true"
        elif trainer.accumulate_grad_batches != 1:
            wrong = "gradient accumulation; set trainer.accumulate_grad_batches to 1"
        elif type(trainer.strategy).__name__ in ("FSDPStrategy", "DeepSpeedStrategy"):
            wrong = "sharded parameters, whose norm no process knows; take strategy ddp"
        if wrong is not None:
            raise DeepfakeError(f"SAM does not go with {wrong}.")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep beside the weights all that predict needs; plain types only, see `checkpoints`."""
        data = getattr(self.trainer, "datamodule", None)
        if data is not None:
            checkpoint[KEY] = Settings(
                recipe=data.recipe,
                preprocess=data.preprocess,
                calibration=self._calibration,
                aggregation=self.aggregation,
                network=self.network_spec,
                frames=getattr(data, "frames", 1),
                validation=self._validation,
            ).to_dict()
