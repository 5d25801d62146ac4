"""Going on with a run: from which checkpoint, in which folder, with which settings."""

import argparse
import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import CSVLogger

from deepfake.checkpoints.settings import KEY
from deepfake.checkpoints.tensors import read_tensors
from deepfake.errors import CheckpointError
from deepfake.training.runs import CONFIG, LAST, LATEST, METRICS, RUNS

SEED = "PL_GLOBAL_SEED"  # where Lightning's seed_everything leaves the seed


@dataclass(frozen=True)
class Start:
    """What a run begins with.

    Args:
        arguments: Of the command line, with the settings of the run that goes on.
        checkpoint: To go on from, None for a fresh start.
        run: Folder to go on in, None for a new one.
        epoch: Of the checkpoint, counted from 0; -1 for a fresh start.
    """

    arguments: list[str]
    checkpoint: Path | None = None
    run: Path | None = None
    epoch: int = -1


def find_start(arguments: Sequence[str]) -> Start:
    """Return what the arguments say of `--ckpt_path`.

    A run's last.ckpt goes on in the run's folder and with its settings, beneath the arguments; any
    other checkpoint begins a new run.

    Raises:
        CheckpointError: There is no such checkpoint, or it cannot be read safely.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--ckpt_path", default="null")
    parser.add_argument("--runs", type=Path, default=RUNS)
    given, _ = parser.parse_known_args(list(arguments))
    if given.ckpt_path == "null":
        return Start(list(arguments))
    path = given.runs / LATEST / LAST if given.ckpt_path == "last" else Path(given.ckpt_path)
    if not path.is_file():
        raise CheckpointError(f"No checkpoint to go on from at {path}. Leave --ckpt_path out.")
    path = path.resolve()
    epoch = int(read_tensors(path).get("epoch", -1))
    run = path.parent
    if path.name != LAST or not (run / CONFIG).is_file():
        return Start(list(arguments), path, None, epoch)
    if run.is_relative_to(Path.cwd()):
        run = run.relative_to(Path.cwd())
    own = ["--config", str(run / CONFIG)]
    # After the default configuration, before what the user gives.
    first = 2 if arguments[0] == "--config" else 0
    return Start([*arguments[:first], *own, *arguments[first:]], path, run, epoch)


def check_contents(path: Path, network: Mapping[str, Any] | None) -> None:
    """Check that a file is a checkpoint of training, of the network that is to be trained.

    Raises:
        CheckpointError: It is not.
    """
    contents = read_tensors(path)
    if KEY not in contents or "loops" not in contents:
        raise CheckpointError(
            f"{path} is not a checkpoint of a training that can go on. Give last.ckpt of a run."
        )
    theirs = (contents[KEY].get("network") or {}).get("class_path")
    ours = (network or {}).get("class_path")
    if theirs != ours:
        raise CheckpointError(
            f"{path} holds the network {theirs}, but the settings build {ours}. Give the --config "
            "that it was trained with."
        )


def continued_csv(folder: Path, epoch: int) -> CSVLogger:
    """Return the logger of metrics.csv, which keeps what a run has written up to an epoch."""
    path = folder / METRICS
    rows: list[dict[str, Any]] = []
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if _is_before(row, epoch)]
    logger = CSVLogger(str(folder), name="", version="")
    if rows:
        writer: Any = logger.experiment
        writer.metrics.extend(rows)
    return logger


def _is_before(row: Mapping[str, str], epoch: int) -> bool:
    tests = any(name.startswith("test/") and text for name, text in row.items())
    return bool(row.get("epoch")) and int(float(row["epoch"])) <= epoch and not tests


class SeedEachBatch(Callback):
    """Seed torch by seed, epoch and batch, so that a run that goes on draws what it would have."""

    def on_train_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,  # noqa: ARG002
        batch: object,  # noqa: ARG002
        batch_idx: int,
    ) -> None:
        """Seed; each process draws its own numbers."""
        if SEED in os.environ:
            key = [int(os.environ[SEED]), trainer.current_epoch, batch_idx, trainer.global_rank]
            torch.manual_seed(int(np.random.default_rng(key).integers(2**63)))
