r"""Teach a checkpoint new fakes without spoiling it: replay, a penalty on distance, and a guard.

    python -m recipes.research.top_up --checkpoint best.ckpt --old data/faces --new data/new \
        --old-test data/old-test --new-test data/new-test --out runs/top-up -- --name top-up

Trains from the checkpoint on the new crops and on old ones drawn at random, `--replay` of them for
each new one, while weights are pulled to where they were (Li et al., ICML 2018, L2-SP). Then both
test folders are measured before and after: `report.md` has AUROCs with DeLong's test, and the reals
called fake. `accepted.ckpt` is written only where no test folder has more reals called fake than
before and the old one's AUROC has not fallen beyond chance; else the exit status is 1, and nothing
is to be used. What follows `--` goes to `deepfake.train`, whose run is in the folder, too.
"""

import argparse
import contextlib
import os
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from deepfake.evaluation.comparison import compare_checkpoints
from deepfake.evaluation.delong import DeLong
from deepfake.evaluation.scores import Judge, ScoredVideo, Scores
from deepfake.evaluation.summary import judge
from preprocessing.crops.manifest import OPTIONS, read_manifest, write_manifest
from recipes.research.links import link

REPLAY = 1.0  # old crops for each new one
STRENGTH = 0.01  # of the pull
SURE = 0.05  # p below which a fall is more than chance


class DistancePenalty(Callback):
    """Pulls weights to where they were when training began: strength / 2 times squared distance.

    Weights that do not learn are left alone.

    Args:
        strength: 0 pulls not at all.
    """

    def __init__(self, strength: float = STRENGTH) -> None:
        self.strength = strength
        self.start: dict[str, torch.Tensor] = {}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Keep where the weights are."""
        named = pl_module.named_parameters()
        self.start = {name: p.detach().clone() for name, p in named if p.requires_grad}

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Add the penalty's gradient."""
        for name, parameter in pl_module.named_parameters():
            if parameter.grad is not None and name in self.start:
                parameter.grad.add_(parameter.detach() - self.start[name], alpha=self.strength)


@dataclass(frozen=True)
class Change:
    """What a test folder says of a checkpoint before and after."""

    name: str
    test: DeLong  # first is before, second after
    reals: int
    alarms: tuple[int, int]  # reals called fake before and after, by each one's own threshold

    def objection(self, *, old: bool) -> str:
        """Return why the new checkpoint may not take the place of the other; empty if it may."""
        before, after = self.alarms
        if after > before:
            return f"{self.name}: {after} of {self.reals} reals are called fake, {before} before."
        if old and self.test.difference > 0 and self.test.p_value < SURE:
            return (
                f"{self.name}: AUROC {self.test.first:.3f} to {self.test.second:.3f}, "
                f"p {self.test.p_value:.2g}."
            )
        return ""


def join(old: Path, new: Path, out: Path, *, replay: float = REPLAY, seed: int = 0) -> Path:
    """Make a folder of the new crops and of old ones, whole videos, and return it.

    Args:
        old: Folder of crops.
        new: Folder of crops, cut by the same options.
        out: Folder to make.
        replay: Old crops for each new one, about.
        seed: Chooses the old videos.

    Raises:
        ValueError: The folders were cut by other options.
    """
    if (old / OPTIONS).read_bytes() != (new / OPTIONS).read_bytes():
        raise ValueError(f"{old} and {new} were cut by other options; run preprocess again.")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    shutil.copy(new / OPTIONS, out / OPTIONS)
    fresh, kept = read_manifest(new), read_manifest(old)
    wanted, chosen = replay * len(fresh), set[str]()
    sizes = Counter(crop.video for crop in kept)
    videos = sorted(sizes)
    for k in np.random.default_rng(seed).permutation(len(videos)).tolist():
        if sum(sizes[video] for video in chosen) >= wanted:
            break
        chosen.add(videos[k])
    rows = []
    for name, folder, crops in (("old", old, kept), ("new", new, fresh)):
        for crop in crops:
            if name == "new" or crop.video in chosen:
                rows.append(replace(crop, path=f"crops/{name}/{crop.path}"))
                link(folder / crop.path, out / rows[-1].path)
    write_manifest(out, rows)
    return out


def change(name: str, before: Scores, after: Scores) -> Change:
    """Compare two checkpoints' scores of the same videos."""
    (first, one), (second, other) = (_only(scores) for scores in (before, after))
    _, test = compare_checkpoints(one, other, rules=(first.rule, second.rule))
    alarms, reals = [], 0
    for judged_by, videos in ((first, one), (second, other)):
        judged = judge(videos, rule=judged_by.rule, calibration=judged_by.calibration)
        real = judged.labels == 0
        reals = int(real.sum())
        alarms.append(int((judged.scores[real] >= judged.threshold).sum()))
    return Change(name, test, reals, (alarms[0], alarms[1]))


def _only(scores: Scores) -> tuple[Judge, list[ScoredVideo]]:
    ((name, found),) = scores.judges.items()
    return found, [video for video in scores.videos if video.checkpoint == name]


def report(changes: Sequence[Change], objections: Sequence[str]) -> str:
    """Return both tests as a table, and what follows."""
    lines = [
        "| test | AUROC before | after | p | reals | called fake before | after |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in changes:
        figures = f"{one.test.first:.3f} | {one.test.second:.3f} | {one.test.p_value:.2g}"
        before, after = one.alarms
        lines.append(f"| {one.name} | {figures} | {one.reals} | {before} | {after} |")
    end = [f"Refused. {objection}" for objection in objections] or ["Accepted."]
    return "\n".join([*lines, "", *end, ""])


def main(argv: Sequence[str] | None = None) -> int:
    """Train, compare, accept or refuse; return the exit status."""
    from deepfake import train
    from deepfake.evaluation.run import evaluate

    parser = argparse.ArgumentParser(prog="python -m recipes.research.top_up")
    for name in ("checkpoint", "old", "new", "old-test", "new-test", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--replay", type=float, default=REPLAY, help="old crops for each new one")
    parser.add_argument("--strength", type=float, default=STRENGTH, help="of the pull")
    parser.add_argument("asked", nargs="*", help="after --: options of deepfake.train")
    given = parser.parse_args(argv)
    checkpoint, out = given.checkpoint.resolve(), given.out.resolve()
    tests = {"old": given.old_test.resolve(), "new": given.new_test.resolve()}
    data = join(given.old, given.new, out / "data", replay=given.replay)
    penalty = f"{__name__ if __name__ != '__main__' else 'recipes.research.top_up'}.DistancePenalty"
    asked = [str(Path(text).resolve()) if Path(text).is_file() else text for text in given.asked]
    with contextlib.chdir(out):  # so that its `runs/latest` is not the user's
        train.main([
            *asked, "--data.root", str(data), "--model.start_from", str(checkpoint),
            f"--trainer.callbacks+={penalty}", f"--trainer.callbacks.strength={given.strength}",
        ])  # fmt: skip
    fresh = out / "runs" / "latest" / "best.ckpt"
    changes = [
        change(name, *(evaluate(c, [folder], out=out / f"{name}-{k}")
                       for k, c in (("before", checkpoint), ("after", fresh))))
        for name, folder in tests.items()
    ]  # fmt: skip
    objections = [text for one in changes if (text := one.objection(old=one.name == "old"))]
    text = report(changes, objections)
    (out / "report.md").write_text(text, encoding="utf-8")
    print(text)
    accepted = out / "accepted.ckpt"
    accepted.unlink(missing_ok=True)
    if not objections:
        shutil.copy(fresh, accepted)
    return os.EX_OK if not objections else 1


if __name__ == "__main__":
    sys.exit(main())
