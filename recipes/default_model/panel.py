"""Two networks as a panel on the protocol: `python -m recipes.default_model.panel A.ckpt B.ckpt`.

Each is given as `CHECKPOINT` or `CHECKPOINT:N`, a network of a joined one, and judges faces at its
own margin and size. The stack is fitted on the counted sources, in folds of people, and compared
with its better member; talking heads are no part of the fit.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepfake.aggregation import sigmoid
from deepfake.calibration import Calibration
from deepfake.evaluation.delong import delong_test
from deepfake.evaluation.measures import auroc
from deepfake.evaluation.stacking import fit_stack
from recipes.default_model.join import member
from recipes.default_model.validation import COUNTED, cached, network_scorer, per_video

APART = "talking heads"
Table = tuple[NDArray[np.int64], NDArray[np.float64], list[str]]


def judged(checkpoint: str, given: argparse.Namespace) -> dict[str, Table]:
    """Return label and logit of each video, and its name, by source."""
    network, settings = member(checkpoint)
    own = argparse.Namespace(**vars(given))
    own.margin, own.image_size = settings.preprocess.margin, settings.recipe.image_size
    score = network_scorer(network)
    found = {}
    for name, source in cached(own).items():
        if name in (*COUNTED, APART):
            label, logit, *_ = per_video(source, score(source.faces))
            videos = [f"{name}/{video}" for video in np.unique(source.video)]
            found[name] = (label.astype(int), logit, videos)
    return found


def compared(
    label: NDArray[np.int64],
    panel: NDArray[np.float64],
    one: NDArray[np.float64],
    groups: Sequence[str],
) -> str:
    """Return both AUROCs, and their difference with interval and p-value, by groups of people."""
    test = delong_test(label, panel, one, groups)
    return (
        f"{test.first:.3f} against {test.second:.3f}, difference {test.difference:+.3f} "
        f"[{test.low:+.3f}, {test.high:+.3f}], p = {test.p_value:.2f}, {test.groups} groups"
    )


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("checkpoints", nargs="+")
    add("--devval", type=Path, default=Path("data/devval"))
    add("--clips", type=Path, default=Path("data/clips"))
    add("--material", type=Path, default=Path("data/default_model"))
    add("--dfdc", type=Path, default=Path("data/more/dfdc"))
    add("--cache", type=Path, default=Path("data/default_model/validation"))
    given = parser.parse_args()
    members = {name: judged(name, given) for name in given.checkpoints}
    first = next(iter(members.values()))
    label = np.concatenate([first[name][0] for name in COUNTED])
    groups = [video.partition("#")[0] for name in COUNTED for video in first[name][2]]
    logits = {k: np.concatenate([m[name][1] for name in COUNTED]) for k, m in members.items()}
    scores = {k: sigmoid(z).tolist() for k, z in logits.items()}
    stack, held = fit_stack(label, scores, groups, dict.fromkeys(members, Calibration()))
    twice = {**scores, "a copy": next(iter(scores.values()))}
    again, _ = fit_stack(label, twice, groups, dict.fromkeys(twice, Calibration()))
    print(f"weights {stack.weights}; with a copy of the first member {again.weights}")
    best = max(logits, key=lambda k: auroc(label, logits[k]))
    for k, z in logits.items():
        print(f"{k}: {auroc(label, z):.3f} pooled over {len(label)} videos")
    print(f"panel, in folds, and {best}: {compared(label, held, logits[best], groups)}")
    apart = {k: sigmoid(m[APART][1]) for k, m in members.items()}
    rows = [dict(zip(apart, row, strict=True)) for row in zip(*apart.values(), strict=True)]
    panel = np.array([float(stack.probability(row) or 0.0) for row in rows])
    other, people = first[APART][0], first[APART][2]
    best = max(apart, key=lambda k: auroc(other, apart[k]))
    print(f"{APART}, panel and {best}: {compared(other, panel, apart[best], people)}")


if __name__ == "__main__":
    main()
