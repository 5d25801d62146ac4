"""Two networks as a panel on the protocol: `python -m recipes.default_model.panel A.ckpt B.ckpt`.

Each is given as `CHECKPOINT` or `CHECKPOINT:N`, a network of a joined one, and judges faces at its
own margin and size. The stack is fitted on the counted sources, in folds of people, and compared
with its better member; talking heads are no part of the fit.

With `--left-out FOLDER` of labelled crops, the members are the networks of one joined checkpoint.
Each data set is left out in turn: calibrations, stack, limits and gauges are fitted on the others.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from deepfake import calibration
from deepfake.aggregation import by_name, person_scores, sigmoid
from deepfake.calibration import Calibration
from deepfake.checkpoints.gauge import Gauge
from deepfake.checkpoints.loading import find_checkpoint, load_network
from deepfake.evaluation.delong import delong_test
from deepfake.evaluation.faces import image_reader
from deepfake.evaluation.measures import auroc
from deepfake.evaluation.stacking import fit_stack
from deepfake.inference.faces import evenly
from deepfake.models.views import ViewEnsemble
from deepfake.types import FaceScore
from preprocessing.crops.manifest import read_manifest
from preprocessing.types import Label
from recipes.default_model.join import member
from recipes.default_model.unlike import RULE, Decided, rates, table
from recipes.default_model.validation import COUNTED, cached, network_scorer, per_video

APART = "talking heads"
LOOKED_AT = 4  # faces of the person who decides that a gauge sees
Table = tuple[NDArray[np.int64], NDArray[np.float64], list[str]]


@dataclass(frozen=True, eq=False)
class Seen:
    """A video as the members see it: raw score and mean features (D,) of each."""

    name: str
    label: Label
    dataset: str
    scores: tuple[float, ...]
    features: tuple[NDArray[np.float32], ...]


@torch.inference_mode()
def seen(checkpoint: Path, data: Path) -> Iterator[Seen]:
    """Yield the labelled videos of a folder by what each network of a joined checkpoint says."""
    network, settings = load_network(find_checkpoint(checkpoint))
    assert isinstance(network, ViewEnsemble)
    network.eval()
    crops = [crop for crop in read_manifest(data) if crop.label is not None]
    read, rule = image_reader(data, [crop.path for crop in crops]), by_name(RULE)
    for video in sorted({crop.video for crop in crops}):
        own = sorted((c for c in crops if c.video == video), key=lambda c: (c.track, c.frame))
        faces = torch.from_numpy(np.stack([settings.recipe.prepare(read(c)) for c in own]))
        scores, features = [], []
        for number, one in enumerate(network.networks):
            found = [one.forward_features(network.faces(f, number)) for f in torch.split(faces, 16)]  # type: ignore[operator]
            rows = torch.cat(found)
            logits = sigmoid(one.forward_head(rows).numpy())  # type: ignore[operator]
            judged = [
                FaceScore(float(p), c.track, c.frame) for p, c in zip(logits, own, strict=True)
            ]
            score = rule(judged)
            assert score is not None
            top = max(person_scores(judged, rule), key=lambda p: p.score).track
            mine = [n for n, c in enumerate(own) if c.track == top]
            kept = [mine[k] for k in evenly(len(mine), min(len(mine), LOOKED_AT))]
            scores.append(score)
            features.append(rows[kept].mean(dim=0).numpy())
        label = own[0].label
        assert label is not None
        yield Seen(video, label, own[0].dataset, tuple(scores), tuple(features))


def left_out(videos: Sequence[Seen], *, target_error: float) -> list[Decided]:
    """Decide each video by a panel that was fitted on the other data sets.

    A video that is unlike what a member was fitted on is held back where that member decides.
    """
    found = []
    for name in sorted({video.dataset for video in videos}):
        others = [video for video in videos if video.dataset != name]
        labels, members = [v.label for v in others], range(len(others[0].scores))
        raw = [[v.scores[m] for v in others] for m in members]
        own = {str(m): calibration.fit(labels, raw[m], target_error=target_error) for m in members}
        scores = {str(m): own[str(m)].apply_all(raw[m]).tolist() for m in members}
        stack, _ = fit_stack(labels, scores, [v.name for v in others], own)
        gauges = [Gauge.fit([v.features[m] for v in others]) for m in members]
        for video in (v for v in videos if v.dataset == name):
            p = {str(m): own[str(m)].apply(video.scores[m]) for m in members}
            likeness = [
                gauge.likeness(video.features[m][None])
                for m, gauge in enumerate(gauges)
                if gauge is not None and own[str(m)].verdict(p[str(m)]) != "undecided"
            ]
            found.append(Decided(video.label, stack.decide(p)[0], min(likeness, default=1.0)))
    return found


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
    add("--left-out", type=Path, help="labelled crops; decide each data set by the others")
    add("--target-error", type=float, default=0.15, help="of the decided, with --left-out")
    given = parser.parse_args()
    if given.left_out is not None:
        videos = list(seen(Path(given.checkpoints[0]), given.left_out))
        found = left_out(videos, target_error=given.target_error)
        print(rates(found))
        print(table(found))
        return
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
