"""A run's folder: what was done, how to repeat it, its curves, its best checkpoint."""

import csv
import json
import logging
import os
import platform
import re
import subprocess
import sys
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from deepfake import __version__
from deepfake.checkpoints.loading import sha256
from deepfake.data.datamodule import FaceDataModule
from deepfake.data.splits.assign import SPLITS, write_splits
from deepfake.data.splits.crop_hashes import KNOWN, crop_hashes, write_known
from deepfake.data.splits.leaks import sample_rows
from deepfake.errors import DeepfakeError
from preprocessing.crops.manifest import MANIFEST, read_table
from preprocessing.video.files import MARK

logger = logging.getLogger(__name__)

RUNS = Path("runs")
BEST, LAST, LATEST = "best.ckpt", "last.ckpt", "latest"
CONFIG, METRICS, FACTS = "config.yaml", "metrics.csv", "run.json"
SHOWN = ("train/loss", "val/loss", "val/video_auroc")
PACKAGES = ("torch", "torchvision", "pytorch-lightning", "timm", "albumentations", "numpy")


def new_run(root: Path = RUNS, *, name: str | None = None, seed: int = 0) -> Path:
    """Return a new folder `runs/<time>`, or `runs/<name>/seed<k>` of a run with a name.

    Raises:
        DeepfakeError: A run of that name and seed is there.
    """
    if name is not None:
        folder = root / name / f"seed{seed}"
        if folder.exists() or Path(name).name != name:
            raise DeepfakeError(
                f"{folder} {'exists' if folder.exists() else 'is no folder of a run'}. Choose "
                "another --name or --seed_everything, or go on with --ckpt_path."
            )
        folder.mkdir(parents=True)
        return folder
    stamp = datetime.now().astimezone().strftime("%Y-%m-%d_%H-%M-%S")
    for suffix in ("", *(f"-{number}" for number in range(2, 100))):
        folder = root / f"{stamp}{suffix}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(f"{root} holds a hundred runs of {stamp}")


def link_latest(folder: Path) -> None:
    """Let `runs/latest` point at a run, in one step."""
    root = folder.parent.parent if re.fullmatch(r"seed\d+", folder.name) else folder.parent
    fresh = root / f".{LATEST}-{os.getpid()}"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(folder.relative_to(root))
    fresh.replace(root / LATEST)


class RunRecorder(Callback):
    """Write what repeats a run, and draw its curves.

    Args:
        folder: Of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Write `run.json`, which a run that goes on adds to, the split and hashes of its crops."""
        if trainer.is_global_zero:
            data = getattr(trainer, "datamodule", None)
            record(self.folder, circumstances(getattr(data, "root", None)))
            if isinstance(data, FaceDataModule):
                write_splits(self.folder / SPLITS, data.plan.assignment)
                hashes = crop_hashes(sample_rows(read_table(data.root)), data.root)
                seen = data.plan.videos("train")
                trained = {key: each for key, each in hashes.items() if key in seen}
                write_known(self.folder / KNOWN, trained)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Say how far it is, in a line."""
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        shown = [f"{name} {values[name]:.4f}" for name in SHOWN if name in values]
        if trainer.is_global_zero:
            logger.info("epoch %d: %s", trainer.current_epoch, ", ".join(shown))

    def on_save_checkpoint(
        self,
        trainer: Trainer,
        pl_module: LightningModule,  # noqa: ARG002
        checkpoint: dict[str, Any],  # noqa: ARG002
    ) -> None:
        """Point `runs/latest` here as soon as there is something to use."""
        if trainer.is_global_zero:
            link_latest(self.folder)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Draw the curves of `metrics.csv`."""
        if trainer.is_global_zero:
            draw_curves(self.folder)


def circumstances(data_root: Path | None) -> dict[str, Any]:
    """Return the command, code, versions, data and hardware of this process as plain types."""
    import torch

    manifest = None if data_root is None else data_root / MANIFEST
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "commit": _commit(),
        "python": platform.python_version(),
        "versions": {"deepfake": __version__} | {name: version(name) for name in PACKAGES},
        "seed": os.environ.get("PL_GLOBAL_SEED"),
        "manifest_sha256": sha256(manifest) if manifest and manifest.is_file() else None,
        "hardware": {
            "machine": platform.machine(),
            "processors": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        },
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def _commit() -> str | None:
    """Return the commit of the code, with "+changes" where files differ from it."""
    root = str(Path(__file__).parents[2])
    git = ["git", "-C", root, "describe", "--always", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(
            [*git, "--dirty=+changes"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def record(folder: Path, facts: dict[str, Any]) -> None:
    """Write `run.json`, or add to that of a run that goes on."""
    path = folder / FACTS
    if path.is_file():
        first: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        facts = {**first, "resumed": [*first.get("resumed", []), facts]}
    path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def read_curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return the values of `metrics.csv`: name -> (epoch, value), one an epoch, finite only."""
    curves: dict[str, dict[int, float]] = {}
    path = folder / METRICS
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            for name, text in row.items():
                if "/" in name and text and text != "nan":
                    curves.setdefault(name, {})[int(float(row["epoch"]))] = float(text)
    return {name: sorted(values.items()) for name, values in curves.items()}


def final_measures(folder: Path) -> tuple[int, dict[str, float], dict[str, float]]:
    """Return the best epoch, and the measures of its validation and of the test, by name."""
    curves = {name: dict(values) for name, values in read_curves(folder).items()}
    areas = curves.get("val/video_auroc", {})
    epoch = max(areas, key=lambda epoch: (areas[epoch], -epoch), default=0)
    vals = {name.removeprefix("val/"): c for name, c in curves.items() if name.startswith("val/")}
    tests = {
        name.removeprefix("test/"): c for name, c in curves.items() if name.startswith("test/")
    }
    val = {name: curve[epoch] for name, curve in vals.items() if epoch in curve}
    test = {name: curve[max(curve)] for name, curve in tests.items()}
    return epoch, val, test


def draw_curves(folder: Path) -> Path | None:
    """Draw loss and AUROC over epochs as `curves.png`; None where nothing was logged."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    curves = read_curves(folder)
    if not curves:
        return None
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, ending in zip(figure.subplots(1, 2), ("loss", "auroc"), strict=True):
        for name, values in sorted(curves.items()):
            if name.endswith(ending) and not name.startswith("test/"):
                epochs, heights = zip(*values, strict=True)
                axes.plot(epochs, heights, marker=".", label=name)
        axes.set(xlabel="epoch", ylabel=ending)
        axes.grid(alpha=0.3)
        axes.legend()
    path = folder / "curves.png"
    figure.savefig(path, dpi=120, metadata={"Software": MARK.decode()})
    return path
