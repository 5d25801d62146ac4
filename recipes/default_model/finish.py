"""Make a checkpoint of a training: `python -m recipes.default_model.finish RUN/*.ckpt --out FILE`.

Weights of several checkpoints of a run are averaged (Izmailov et al., UAI 2018,
https://arxiv.org/abs/1803.05407), batch statistics too. What is written is not calibrated:
`python -m deepfake.calibrate` does that, on whole videos.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepfake.recipe import InputRecipe
from preprocessing.types import PreprocessOptions
from recipes.default_model.validation import MARGIN

if TYPE_CHECKING:
    from torch import Tensor

NOTE = "The default model: for research only, see MODEL_CARD.md. A score is not evidence by itself."
NETWORK = "deepfake.models.multi_stage.MultiStageClassifier"
HALF_FROM_AXES = 2  # as in deepfake.checkpoints.export, which imports torch


def averaged(checkpoints: "Sequence[Mapping[str, Any]]") -> "dict[str, Tensor]":
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
        means[name] = rounded(mean)
    return means


def rounded(tensor: "Tensor") -> "Tensor":
    """Return a tensor as it is released: float16 rounds all but vectors."""
    return tensor.half().float() if tensor.ndim >= HALF_FROM_AXES else tensor


def settings(image_size: int) -> dict[str, Any]:
    """Return the plain part of the checkpoint, without a calibration."""
    recipe = InputRecipe(image_size=image_size, mean=(0.5,) * 3, std=(0.5,) * 3)
    options = PreprocessOptions(frames=32, margin=MARGIN, crop_size=320, inside="always")
    return {
        "version": 1,
        "network": {"class_path": NETWORK, "init_args": {"pretrained": True}},
        "recipe": asdict(recipe),
        "preprocess": asdict(options),
        "calibration": None,
        "aggregation": "worst_person",
        "frames": 1,
        "note": NOTE,
    }


def main() -> None:
    """Write the checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoints", type=Path, nargs="+", help="of one run; they are averaged")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--like", help="checkpoint that the run went on from, as --start-from")
    given = parser.parse_args()
    import torch

    from deepfake.checkpoints.settings import KEY
    from recipes.default_model.join import member

    contents = [torch.load(p, map_location="cpu", weights_only=True) for p in given.checkpoints]
    about = settings(given.image_size)
    if given.like is not None:
        former = member(given.like)[1]
        about |= {"network": former.network, "preprocess": asdict(former.preprocess)}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    torch.save({KEY: about, "state_dict": averaged(contents)}, given.out)


if __name__ == "__main__":
    main()
