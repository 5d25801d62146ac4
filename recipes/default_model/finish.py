"""Make one calibrated checkpoint: `python -m recipes.default_model.finish runs/*/*.ckpt`.

Weights of the last epochs of a run are averaged (Izmailov et al., UAI 2018,
https://arxiv.org/abs/1803.05407), batch statistics too. Probability, threshold and undecided band
are fitted on the validation sources of `recipes.default_model.sources`.
"""

import argparse
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepfake.cli.console import DONE, run

if TYPE_CHECKING:
    from torch import Tensor

    from recipes.default_model.sources import Videos

logger = logging.getLogger(__name__)

NOTE = "The default model: for research only, see MODEL_CARD.md. A score is not evidence by itself."
FITTED_ON = ("pairs", "real videos", "clips", "DFDC crops", "Celeb-DF", "self_blended", "swapped")
BLENDS = ("self_blended", "swapped")
FALSE_ALARMS = 0.05
TARGET_ERROR = 0.15
HALF_FROM_AXES = 2  # as in deepfake.checkpoints.export, which imports torch


def averaged(checkpoints: "Sequence[dict[str, Any]]") -> "dict[str, Tensor]":
    """Return the mean of each tensor of the state dicts; integers are the first one's.

    What is released as float16 is rounded to it here, so that it is calibrated as it is shipped.
    """
    import torch

    states = [checkpoint["state_dict"] for checkpoint in checkpoints]
    means = {}
    for name, first in states[0].items():
        if not first.is_floating_point():
            means[name] = first
            continue
        mean = torch.stack([state[name] for state in states]).mean(dim=0)
        means[name] = mean.half().float() if mean.ndim >= HALF_FROM_AXES else mean
    return means


def fitting_videos(found: "dict[str, Videos]") -> tuple[list[int], list[float]]:
    """Return labels and raw scores to calibrate on; of blends every fifth pair, lest they rule."""
    labels: list[int] = []
    scores: list[float] = []
    for name in FITTED_ON:
        videos = found[name]
        groups = np.unique(videos.group)
        chosen = np.isin(videos.group, groups[:: 5 if name in BLENDS else 1])
        labels += videos.label[chosen].tolist()
        scores += videos.score[chosen].tolist()
    return labels, scores


def main() -> int:
    """Write the checkpoint; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.default_model.finish", description=__doc__
    )
    add = parser.add_argument
    add("checkpoints", type=Path, nargs="+", help="of one run; their weights are averaged")
    add("--out", type=Path, required=True, help="checkpoint to write")
    add("--train", type=Path, default=Path("data/default_model"), help="of weights.material")
    add("--clips", type=Path, default=Path("data/clips"), help="preprocessed ../shared/data/clips")
    add("--crops", type=Path, default=Path("data/crops"), help="preprocessed ../shared/data/crops")
    add("--cache", type=Path, default=Path("data/default_model/validation"))
    given = parser.parse_args()
    import torch

    from deepfake import calibration
    from deepfake.aggregation import by_name
    from deepfake.checkpoints.loading import load
    from deepfake.checkpoints.settings import KEY
    from deepfake.checkpoints.tensors import read_tensors
    from recipes.default_model.select import score
    from recipes.default_model.sources import per_video, sources

    contents = [dict(read_tensors(path)) for path in given.checkpoints]
    kept = {KEY: {**contents[-1][KEY], "note": NOTE, "calibration": None}}
    kept["state_dict"] = averaged(contents)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    torch.save(kept, given.out)
    checkpoint = load(given.out)
    made = sources(
        given.train,
        given.clips,
        given.crops,
        recipe=checkpoint.recipe,
        options=checkpoint.preprocess,
        cache=given.cache,
    )
    rule = by_name(checkpoint.aggregation)
    found = {source.name: per_video(source, score(checkpoint, source), rule) for source in made}
    fitted = calibration.fit(
        *fitting_videos(found), false_alarms=FALSE_ALARMS, target_error=TARGET_ERROR
    )
    kept[KEY]["calibration"] = fitted.to_dict()
    torch.save(kept, given.out)
    logger.info("%s", fitted)
    for name, videos in found.items():
        p = fitted.apply_all(videos.score)
        for label, word in enumerate(("real", "fake")):
            mine = p[videos.label == label]
            verdicts = [fitted.verdict(value) for value in mine.tolist()]
            counts = ", ".join(f"{n} {verdict}" for verdict, n in Counter(verdicts).items())
            above = int((mine >= fitted.threshold).sum())
            logger.info("%s, %s: %s; %d above the threshold", name, word, counts, above)
    return DONE


if __name__ == "__main__":
    run(main)
