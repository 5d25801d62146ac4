"""Train the default model: `python -m recipes.default_model.training --out runs/default_model`.

The learning rate rises, stays, and falls at the end only, over `--cooldown` steps: a run can be
stopped, gone on with, and ended at any step. Weights are averaged as they go.
"""

import argparse
import json
import logging
import math
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything
from pytorch_lightning.callbacks import EMAWeightAveraging, ModelCheckpoint
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader

from deepfake.models.multi_stage import MultiStageClassifier
from deepfake.training.precision import fast_precision
from recipes.default_model.draws import MAP, MARGIN, Draws, Numbers, collate
from recipes.default_model.gather import gather
from recipes.default_model.join import member

logger = logging.getLogger(__name__)

MEAN, STD = 127.5, 127.5  # of the ImageNet weights of EfficientNet-Lite
LOGGED = 25  # steps


class PairClassifier(LightningModule):
    """Trains a network on pairs, with the place of the change as a second target.

    Args:
        network: Gives logits; and a map, if it is a `MultiStageClassifier`.
        rate: Learning rate between warm-up and cool-down.
        warmup: Steps until the rate is reached.
        start, cooldown: Step at which the rate begins to fall, and steps until it is 0.
        map_weight: Of the second target in the loss.
        smoothing: Of the labels.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        rate: float,
        warmup: int,
        start: int,
        cooldown: int,
        map_weight: float,
        smoothing: float = 0.03,
    ) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)
        self.rate, self.warmup, self.start, self.cooldown = rate, warmup, start, cooldown
        self.map_weight, self.smoothing = map_weight, smoothing

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:  # noqa: ARG002
        """Return the loss of a batch of pairs."""
        faces = batch["face"].permute(0, 3, 1, 2).to(torch.float32).sub(MEAN).div(STD)
        from deepfake.training.depthwise import quick_depthwise

        faces = faces.contiguous(memory_format=torch.channels_last)
        where, network = torch.zeros(()), self.network
        with quick_depthwise():
            if isinstance(network, MultiStageClassifier):
                logits, places = network.localise(faces, MAP)
                where = F.binary_cross_entropy_with_logits(places.float(), batch["map"])
            else:
                logits = network(faces)
        logits, label = logits.float(), batch["label"]
        target = label * (1 - 2 * self.smoothing) + self.smoothing
        loss = F.binary_cross_entropy_with_logits(logits, target)
        order = (logits[1::2] > logits[0::2]).float().mean()
        self.log_dict({"loss": loss, "where": where, "order": order}, on_step=True)
        return loss + self.map_weight * where

    def configure_optimizers(self) -> Any:  # noqa: ANN401
        """Return AdamW with warm-up, plateau and cool-down."""
        decayed = [p for p in self.parameters() if p.ndim > 1]
        plain = [p for p in self.parameters() if p.ndim <= 1]
        optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": 0.02}, {"params": plain, "weight_decay": 0.0}],
            lr=self.rate,
        )
        schedule = LambdaLR(optimizer, self._factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _factor(self, step: int) -> float:
        if step < self.warmup:
            return (step + 1) / self.warmup
        fallen = (step - self.start) / max(self.cooldown, 1)
        return 0.5 * (1 + math.cos(math.pi * min(max(fallen, 0.0), 1.0)))


class Log(Callback):
    """Writes a line of JSON every `LOGGED` steps."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.sums: dict[str, float] = {}
        self.since = time.monotonic()

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:  # noqa: ANN401
        """Sum up and write."""
        for name in ("loss", "where", "order"):
            self.sums[name] = self.sums.get(name, 0.0) + float(trainer.callback_metrics[name])
        if trainer.global_step % LOGGED:
            return
        now = time.monotonic()
        row: dict[str, float] = {"step": trainer.global_step, "seconds": round(now - self.since, 1)}
        row |= {name: round(value / LOGGED, 4) for name, value in self.sums.items()}
        row["rate"] = trainer.optimizers[0].param_groups[0]["lr"]
        self.sums, self.since = {}, now
        with self.file.open("a") as lines:
            lines.write(json.dumps(row) + "\n")


def started(checkpoint: str | None) -> nn.Module:
    """Return the network of a checkpoint, or a new one on ImageNet weights; all of it learns."""
    if checkpoint is None:
        return MultiStageClassifier(pretrained=True)
    network, _ = member(checkpoint)
    return network.requires_grad_(requires_grad=True).train()


def fit(
    classifier: PairClassifier,
    draws: Draws,
    out: Path,
    *,
    pairs: int = 16,
    every: int = 250,
    workers: int = 1,
    decay: float = 0.998,
) -> None:
    """Train, or go on from the last checkpoint of the folder, until the rate has fallen to 0.

    Args:
        classifier: What learns.
        draws: What it is shown.
        out: Folder of the checkpoints, and of `log.jsonl`.
        pairs: Of a batch.
        every: Steps between checkpoints.
        workers: Processes that make pairs; 0 makes them in this one.
        decay: Of the averaged weights; 0 keeps the last ones.
    """
    loader = DataLoader(
        draws,
        batch_size=pairs,
        sampler=Numbers(every * pairs),
        num_workers=workers,
        collate_fn=collate,
        persistent_workers=workers > 0,
        prefetch_factor=6 if workers else None,
    )
    kept = ModelCheckpoint(
        out,
        filename="{step:06d}",
        auto_insert_metric_name=False,
        every_n_epochs=1,
        save_top_k=-1,
        save_last=True,
        save_on_train_epoch_end=True,
    )
    trainer = Trainer(
        max_steps=classifier.start + classifier.cooldown,
        precision=fast_precision(),
        callbacks=[EMAWeightAveraging(decay=decay), kept, Log(out / "log.jsonl")],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        gradient_clip_val=5.0,
        default_root_dir=out,
    )
    out.mkdir(parents=True, exist_ok=True)
    last = out / "last.ckpt"
    trainer.fit(classifier, loader, ckpt_path=last if last.is_file() else None, weights_only=True)


def main() -> None:
    """Train, or go on from the last checkpoint of the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--material", type=Path, default=Path("data/default_model"))
    add("--dfdc", type=Path, default=Path("data/more/dfdc"))
    add("--out", type=Path, required=True)
    add("--start-from", help="checkpoint to go on from; default.safetensors:1 is a part of one")
    add("--image-size", type=int, default=224)
    add("--pairs", type=int, default=16, help="a batch")
    add("--steps", type=int, default=16_000, help="at which the rate begins to fall")
    add("--cooldown", type=int, default=1_000)
    add("--rate", type=float, default=5e-4)
    add("--margin", type=float, nargs=2, default=MARGIN, help="least and largest around a face")
    add("--map-weight", type=float, default=0.2)
    add("--shares", type=json.loads, default=None, help="of the kinds of fakes, as JSON")
    add("--balance", type=float, default=0.0, help="share of pairs whose sharpness is balanced")
    add("--every", type=int, default=250, help="steps between checkpoints")
    add("--workers", type=int, default=1)
    add("--seed", type=int, default=0)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    from deepfake.checkpoints.allocator import keep_freed_memory

    keep_freed_memory()
    seed_everything(given.seed)
    shares = {} if given.shares is None else {"shares": given.shares}
    draws = Draws(
        gather(given.material, given.dfdc, "train"),
        size=given.image_size,
        margin=tuple(given.margin),
        seed=given.seed,
        balance=given.balance,
        **shares,
    )
    logger.info("%d real faces of %s", len(draws.material.rows), draws.material.domains)
    given.out.mkdir(parents=True, exist_ok=True)
    said = {
        name: v if isinstance(v, int | float | dict) else str(v) for name, v in vars(given).items()
    }
    (given.out / "config.yaml").write_text(yaml.safe_dump(said), encoding="utf-8")
    classifier = PairClassifier(
        started(given.start_from),
        rate=given.rate,
        warmup=300,
        start=given.steps,
        cooldown=given.cooldown,
        map_weight=given.map_weight,
    )
    fit(classifier, draws, given.out, pairs=given.pairs, every=given.every, workers=given.workers)


if __name__ == "__main__":
    main()
