"""Make one checkpoint of several: `python -m recipes.default_model.join A.safetensors B.ckpt`.

`default.safetensors:0` is the first network of a checkpoint that was made so. The widest margin is
that of the crop; each network sees the part of it that it was trained on, see
`deepfake.models.views.ViewEnsemble`. What is written is not calibrated.
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepfake.checkpoints.loading import load_network
from deepfake.checkpoints.settings import KEY
from recipes.default_model.finish import NOTE, rounded

if TYPE_CHECKING:
    from torch import nn

    from deepfake.checkpoints.settings import Settings

NETWORK = "deepfake.models.views.ViewEnsemble"


def member(name: str) -> "tuple[nn.Module, Settings]":
    """Return a checkpoint's network and settings; with `:N` at the end, its N-th network's.

    Raises:
        CheckpointError: The checkpoint cannot be read.
    """
    path, _, number = name.partition(":")
    network, settings = load_network(Path(path))
    if not number:
        return network, settings
    place, spec = int(number), settings.network
    assert spec is not None
    view = spec["init_args"]["views"][place]
    margin = ((1 + 2 * settings.preprocess.margin) * view - 1) / 2
    own = replace(
        settings,
        network=spec["init_args"]["networks"][place],
        recipe=replace(settings.recipe, image_size=spec["init_args"]["sizes"][place]),
        preprocess=replace(settings.preprocess, margin=round(margin, 2)),
    )
    return network.networks[place], own  # type: ignore[index, return-value]


def joined(
    members: "Sequence[tuple[nn.Module, Settings]]", temperatures: Sequence[float], note: str
) -> dict[str, Any]:
    """Return a checkpoint's content.

    What is released as float16 is rounded to it here, so that it is calibrated as it is shipped.

    Args:
        members: Networks and their settings, which must agree in all but margin and size.
        temperatures: Of each one's logits.
        note: What is printed with a verdict.

    Raises:
        ValueError: The members want faces normalised in different ways.
    """
    recipes = [settings.recipe for _, settings in members]
    if len({replace(recipe, image_size=1) for recipe in recipes}) > 1:
        raise ValueError(f"the members' recipes differ: {recipes}")
    wholes = [1 + 2 * settings.preprocess.margin for _, settings in members]
    views = [whole / max(wholes) for whole in wholes]
    sizes = [recipe.image_size for recipe in recipes]
    side = 2 * round(max(size / view for size, view in zip(sizes, views, strict=True)) / 2)
    views = [2 * round(side * view / 2) / side for view in views]  # whole pixels at both edges
    widest = members[wholes.index(max(wholes))][1]
    states = {}
    for number, (network, _) in enumerate(members):
        for name, tensor in network.state_dict().items():
            states[f"network.networks.{number}.{name}"] = rounded(tensor)
    specs = [settings.network for _, settings in members]
    arguments = {"networks": specs, "views": views, "sizes": sizes}
    arguments |= {"temperatures": list(temperatures), "image_size": side}
    content = {
        "version": 1,
        "network": {"class_path": NETWORK, "init_args": arguments},
        "recipe": asdict(replace(recipes[0], image_size=side)),
        "preprocess": asdict(widest.preprocess),
        "calibration": None,
        "aggregation": "any_person",
        "frames": 1,
        "note": note,
    }
    return {KEY: content, "state_dict": states}


def main() -> None:
    """Write the checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoints", nargs="+")
    parser.add_argument("--temperatures", type=float, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    import torch

    members = [member(name) for name in given.checkpoints]
    given.out.parent.mkdir(parents=True, exist_ok=True)
    torch.save(joined(members, given.temperatures, NOTE), given.out)


if __name__ == "__main__":
    main()
