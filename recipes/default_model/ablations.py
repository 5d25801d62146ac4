"""Short runs of equal length, each without one part of the recipe, and three seeds of it whole.

`python -m recipes.default_model.ablations --out runs/ablations` goes on from where it stopped: a
run whose row is in `rows.jsonl` is not made again. The first column says how much seeds differ.
"""

import argparse
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import seed_everything
from torch import Tensor, nn

from deepfake.models.multi_stage import MultiStageClassifier
from recipes.default_model.draws import MARGIN, SHARES, Draws, Pair
from recipes.default_model.gather import gather
from recipes.default_model.training import PairClassifier, fit
from recipes.default_model.validation import COUNTED, cached, measure, network_scorer
from recipes.default_model.validation import MARGIN as MARGIN_OF_USE

logger = logging.getLogger(__name__)

WARMUP = 60  # steps
BLACK = (0.35, 0.59)  # share of the square: medians of two sources, before crops stayed inside
PHOTOGRAPHS = ("ciplab", "fmd", "CFD", "london_faces", "3dsk_faces", "deepfacelive_photos")


class BlackDraws(Draws):
    """Half of the pairs are small pictures in a black square, as crops beyond a photograph were."""

    def sample(self, pair: Pair, rng: np.random.Generator) -> dict[str, Tensor]:
        """Return a sample; its map is left as it is."""
        made = super().sample(pair, rng)
        if rng.random() < 0.5:
            faces = made["face"].permute(0, 3, 1, 2).float()
            side = round(self.size * float(1 - rng.uniform(*BLACK)) ** 0.5)
            left = (self.size - side) // 2
            right = self.size - side - left
            small = nn.functional.interpolate(faces, (side, side), mode="area")
            framed = nn.functional.pad(small, (left, right, left, right))
            made["face"] = framed.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
        return made


class HalfFrozen(MultiStageClassifier):
    """The first half of the backbone stays as ImageNet left it, batch statistics too."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401
        super().__init__(**options)
        blocks = self.backbone.blocks
        self.frozen = [self.backbone.conv_stem, self.backbone.bn1, *blocks[: len(blocks) // 2]]
        for module in self.frozen:
            module.requires_grad_(requires_grad=False)

    def train(self, mode: bool = True) -> "HalfFrozen":
        """Train all but the frozen modules."""
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self


@dataclass(frozen=True)
class Variant:
    """What a run changes.

    Args:
        name: In the table.
        seed: Of the run.
        network: Class of the network, and `options` its arguments.
        draws: Class of the draws, and `drawn` its arguments.
        map_weight: Of the second target.
        domains: Sources of real faces; None takes all.
        margin: Around the face at validation.
    """

    name: str
    seed: int = 0
    network: type[MultiStageClassifier] = MultiStageClassifier
    options: dict[str, Any] = field(default_factory=dict)
    draws: type[Draws] = Draws
    drawn: dict[str, Any] = field(default_factory=dict)
    map_weight: float = 0.2
    domains: Sequence[str] | None = None
    margin: float = MARGIN_OF_USE


def without(*kinds: str) -> dict[str, Any]:
    """Return arguments of draws that leave kinds of fakes out; the others share what is left."""
    return {"shares": {kind: share for kind, share in SHARES.items() if kind not in kinds}}


WHOLE = Variant("whole recipe")
VARIANTS = (
    WHOLE,
    Variant("margin 0.3 instead of 0 to 0.28", drawn={"margin": (0.3, 0.3)}, margin=0.3),
    Variant("half of the pairs in a black square", draws=BlackDraws),
    Variant("first half of the backbone frozen", network=HalfFrozen),
    replace(WHOLE, name="whole recipe, seed 1", seed=1),
    Variant("damage hard, and unlike in half", drawn={"alike": 0.5, "strong": 0.7}),
    Variant("last stage alone", options={"stages": (4,), "map_stage": 4}),
    Variant("2,286 photographs of six sources alone", domains=PHOTOGRAPHS),
    replace(WHOLE, name="whole recipe, seed 2", seed=2),
    Variant("no DFDC", drawn=without("dfdc")),
    Variant("no tool-shaped fakes", drawn=without("tool", "tool_swap")),
    Variant("no map", map_weight=0.0),
    Variant("half DFDC", drawn={"shares": {**SHARES, "dfdc": 0.74}}),
)


def main() -> None:
    """Train and validate each variant that has no row yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--material", type=Path, default=Path("data/default_model"))
    add("--dfdc", type=Path, default=Path("data/more/dfdc"))
    add("--devval", type=Path, default=Path("data/devval"), help="preprocessed devval clips")
    add("--clips", type=Path, default=Path("data/clips"), help="preprocessed ../shared/data/clips")
    add("--cache", type=Path, default=Path("data/default_model/validation"))
    add("--out", type=Path, required=True)
    add("--image-size", type=int, default=160)
    add("--steps", type=int, default=200, help="of 16 pairs, at which the rate begins to fall")
    add("--cooldown", type=int, default=120)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    from deepfake.checkpoints.allocator import keep_freed_memory

    keep_freed_memory()
    given.out.mkdir(parents=True, exist_ok=True)
    table = given.out / "rows.jsonl"
    done = {json.loads(line)["name"] for line in table.open()} if table.is_file() else set()
    for number, variant in enumerate(VARIANTS):
        if variant.name in done:
            continue
        logger.info("%s", variant.name)
        seed_everything(variant.seed)
        arguments = {"margin": MARGIN, **variant.drawn}
        material = gather(given.material, given.dfdc, "train", variant.domains)
        draws = variant.draws(material, size=given.image_size, seed=variant.seed, **arguments)
        network = variant.network(pretrained=True, **variant.options)
        classifier = PairClassifier(
            network,
            rate=5e-4,
            warmup=WARMUP,
            start=given.steps,
            cooldown=given.cooldown,
            map_weight=variant.map_weight,
        )
        fit(classifier, draws, given.out / f"{number:02}", every=100, decay=0.0)
        given.margin = variant.margin
        score = network_scorer(network)
        rows = {name: measure(s, score(s.faces)) for name, s in cached(given).items()}
        said: dict[str, Any] = {"name": variant.name}
        for figure in ("auroc", "left"):
            said[f"macro {figure}"] = float(np.mean([rows[name][figure] for name in COUNTED]))
        with table.open("a") as lines:
            lines.write(json.dumps({**said, "rows": rows}) + "\n")
        cells = " | ".join(f"{row['auroc']:.2f}" for row in rows.values())
        print(
            f"| {variant.name} | {said['macro auroc']:.3f} | {said['macro left']:.3f} | {cells} |"
        )


if __name__ == "__main__":
    main()
