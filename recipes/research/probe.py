r"""How far general features get: a logistic regression on a frozen network, as a row of a table.

    python -m recipes.research.probe --train data/faces --splits runs/latest/splits.csv \
        --scores runs/evaluation/scores.parquet --data data/faces --out runs/probe.csv
    python -m deepfake.evaluate report runs/evaluation/scores.parquet runs/probe.csv

A detector that is not better than this has learnt nothing about fakes that any network of pictures
does not know. Learnt from are the videos of the side "train", official or as a run drew it; judged
are those of the scores that it is compared with. The second command puts both into one table, with
DeLong's paired test. Features are means over at most eight faces of a video, by a network of
timm; the default one's weights come with the package. CLIP's, which are downloaded, say more:
`--backbone vit_large_patch14_clip_224.openai`. The penalty is chosen by folds of people.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from deepfake.aggregation import WorstPerson
from deepfake.data.splits.assign import read_splits
from deepfake.errors import DeepfakeError
from deepfake.evaluation.faces import Folder, group_names, image_reader, read_folders
from deepfake.evaluation.predictions import read_scores_or_predictions, write_predictions
from deepfake.evaluation.scores import ScoredVideo
from deepfake.inference.faces import evenly
from deepfake.types import FaceScore
from preprocessing.crops.manifest import rows_of
from preprocessing.types import FaceCrop, Image, Split

BACKBONE = "tf_efficientnet_lite0"
FACES = 8  # of a video
FOLDS = 5
PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # scikit-learn's C, the smaller the simpler

Features = NDArray[np.float64]
Backbone = Callable[[Sequence[Image]], Features]  # from crops to features (N, D)


def frozen(name: str = BACKBONE) -> Backbone:
    """Return what gives the features of a network of timm with its published weights."""
    import torch
    from timm import get_pretrained_cfg

    from deepfake.models.timm_classifier import TimmClassifier
    from deepfake.recipe import InputRecipe

    network = TimmClassifier(name, train="head", pretrained=True).eval()
    about = get_pretrained_cfg(name)
    if about is None:
        raise DeepfakeError(f"timm has no weights of {name}.")
    half = (0.5, 0.5, 0.5)  # of the packaged weights
    mean, std = (half, half) if name == BACKBONE else (about.mean, about.std)
    recipe = InputRecipe(
        image_size=int(about.input_size[-1]),
        mean=cast("tuple[float, float, float]", mean),
        std=cast("tuple[float, float, float]", std),
    )

    def features(images: Sequence[Image]) -> Features:
        with torch.inference_mode():
            batch = torch.from_numpy(np.stack([recipe.prepare(image) for image in images]))
            return np.asarray(network.forward_features(batch).double().numpy(), dtype=np.float64)

    return features


def of_videos(folders: Iterable[Folder], features: Backbone) -> dict[str, Features]:
    """Return the mean features (D,) of each video by its key."""
    found = {}
    for path, crops, _ in folders:
        read = image_reader(path, crops["path"].to_pylist())
        videos: defaultdict[str, list[FaceCrop]] = defaultdict(list)
        for crop in rows_of(crops):
            videos[crop.video].append(crop)
        for key, some in videos.items():
            chosen = dict.fromkeys(evenly(len(some), min(FACES, len(some))).tolist())
            found[key] = features([read(some[k]) for k in chosen]).mean(axis=0)
    return found


def probe(
    train: Features, labels: NDArray[np.int64], groups: Sequence[str], test: Features
) -> Features:
    """Return P(fake) (M,) of test features (M, D) by a logistic regression.

    Args:
        train: Features (N, D) of the videos to learn from.
        labels: 0 real, 1 fake (N,).
        groups: Which videos share people (N,).
        test: Features (M, D).

    Raises:
        DeepfakeError: A class is missing, or there are fewer than two groups.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, GroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    number = len(set(groups))
    if len(np.unique(labels)) < 2 or number < 2:
        raise DeepfakeError("A probe learns from real and fake videos of two people or more.")
    line = make_pipeline(
        StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=2000)
    )
    folds = list(GroupKFold(min(FOLDS, number)).split(train, labels, groups))
    folds = [fold for fold in folds if len(np.unique(labels[fold[0]])) == 2]
    if folds:
        grid = {"logisticregression__C": list(PENALTIES)}
        line = GridSearchCV(line, grid, cv=folds, scoring="neg_brier_score")
    return np.asarray(line.fit(train, labels).predict_proba(test)[:, 1], dtype=np.float64)


def rows(
    train: Sequence[Path],
    measured: Sequence[Path],
    features: Backbone,
    *,
    like: Iterable[ScoredVideo],
    sides: Mapping[str, Split] | None = None,
    name: str = "probe",
) -> list[ScoredVideo]:
    """Return the probe's score of every labelled video that others scored.

    Args:
        train: Folders of crops whose side "train" is learnt from; all where there are no sides.
        measured: Folders of the crops of those videos.
        features: From crops to features.
        like: What the probe is compared with; damaged videos are left out.
        sides: Side of each video by key, as a run drew them; else the official ones.
        name: Of the row.

    Raises:
        DeepfakeError: Nothing to learn from, or people on both sides.
    """
    known = sides or {}
    wanted = {v.video: v for v in like if v.label is not None and not v.damage}
    labelled = [f.each(lambda c: None if c.label is None else c) for f in read_folders(train)]
    side = {c.video: known.get(c.video, c.split) for f in labelled for c in rows_of(f.crops)}
    if any(side.values()):
        labelled = [f.each(lambda c: c if side.get(c.video) == "train" else None) for f in labelled]
    first = {crop.video: crop for folder in labelled for crop in rows_of(folder.crops)}
    if not first:
        raise DeepfakeError("There is no labelled face to learn from.")
    tested = [f.each(lambda c: c if c.video in wanted else None) for f in read_folders(measured)]
    others = (crop for folder in tested for crop in folder.firsts())
    groups = group_names([*first.values(), *others])
    shared = {groups[key] for key in first} & {groups[key] for key in groups if key in wanted}
    if shared:
        raise DeepfakeError(
            f"{len(shared)} people or sources are on both sides, such as {min(shared)}. Give the "
            "run's --splits, and scores of other videos than it was trained on."
        )
    given, seen = of_videos(labelled, features), of_videos(tested, features)
    labels = np.array([first[key].label for key in given], dtype=np.int64)
    told: dict[str, float] = {}
    if seen:
        learnt, asked = (np.stack(list(videos.values())) for videos in (given, seen))
        scores = probe(learnt, labels, [groups[key] for key in given], asked)
        told = dict(zip(seen, scores.tolist(), strict=True))
    return [
        replace(
            video,
            checkpoint=name,
            faces=(FaceScore(told[key], track=0, frame=0),) if key in told else (),
        )
        for key, video in wanted.items()
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Write the probe's scores."""
    parser = argparse.ArgumentParser(prog="python -m recipes.research.probe")
    add = parser.add_argument
    add("--train", nargs="+", type=Path, required=True, help="folders of crops to learn from")
    add("--data", nargs="+", type=Path, required=True, help="folders of crops to measure")
    add("--scores", nargs="+", type=Path, required=True, help="what it is compared with")
    add("--splits", type=Path, help="splits.csv of the run that it is compared with")
    add("--backbone", default=BACKBONE, help="of timm (default: %(default)s)")
    add("--out", type=Path, default=Path("runs/probe.csv"))
    given = parser.parse_args(argv)
    sides = read_splits(given.splits) if given.splits else None
    like = [video for path in given.scores for video in read_scores_or_predictions(path).videos]
    found = rows(
        given.train,
        given.data,
        frozen(given.backbone),
        like=like,
        sides=sides,
        name=f"probe of {given.backbone}",
    )
    given.out.parent.mkdir(parents=True, exist_ok=True)
    write_predictions(given.out, found, rule=WorstPerson())
    print(f"{given.out}: {sum(bool(video.faces) for video in found)} of {len(found)} videos scored")


if __name__ == "__main__":
    main()
