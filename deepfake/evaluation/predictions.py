"""Predictions of others, from a CSV."""

import csv
import math
from collections.abc import Mapping
from pathlib import Path

from deepfake.evaluation.scores import ScoredVideo, Scores, ScoresError, read_scores
from deepfake.types import FaceScore
from preprocessing.types import Label

LABELS: Mapping[str, Label] = {"0": 0, "real": 0, "1": 1, "fake": 1}


def read_scores_or_predictions(path: Path) -> Scores:
    """Read `scores.parquet`, or a CSV of someone's predictions.

    Raises:
        ScoresError: It is missing, damaged or something else.
    """
    if path.is_file() and path.suffix.lower() == ".csv":
        return Scores(tuple(read_predictions(path)), {})
    return read_scores(path)


def read_predictions(path: Path) -> list[ScoredVideo]:
    """Read someone's predictions: a CSV with video, label and score, P(fake) in [0, 1].

    Label is 0, 1, real or fake. An empty score or "nan" counts as a video that was not judged. A
    row is a video, even where a name comes twice. Columns dataset, method, compression and identity
    are used where they are there; checkpoint and data set are else called by the file's name.

    Raises:
        ScoresError: A column is missing, or a row cannot be right; the message names it.
    """
    videos = []
    seen: dict[str, int] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        missing = {"video", "label", "score"} - set(reader.fieldnames or ())
        if missing:
            raise ScoresError(
                f"{path} lacks the column {', '.join(sorted(missing))}. It must have video, label "
                f"and score; found {', '.join(reader.fieldnames or ['nothing'])}."
            )
        for number, row in enumerate(reader, start=2):
            label, score = _prediction(row, f"{path}, line {number}")
            name = row["video"]
            seen[name] = seen.get(name, 0) + 1
            key = name if seen[name] == 1 else f"{name}#{seen[name]}"
            videos.append(
                ScoredVideo(
                    checkpoint=row.get("checkpoint") or path.stem,
                    damage="",
                    level=0,
                    dataset=row.get("dataset") or path.stem,
                    method=row.get("method") or "",
                    compression=row.get("compression") or "",
                    video=key,
                    group=row.get("identity") or name,
                    label=label,
                    split=None,
                    faces=() if math.isnan(score) else (FaceScore(score, track=0, frame=0),),
                    people=0 if math.isnan(score) else 1,
                )
            )
    if not videos:
        raise ScoresError(f"{path} has no row.")
    return videos


def _prediction(row: Mapping[str, str | None], where: str) -> tuple[Label, float]:
    label = LABELS.get((row["label"] or "").strip().lower())
    if label is None:
        raise ScoresError(f"{where}: label must be 0, 1, real or fake, got {row['label']!r}")
    try:
        score = float((row["score"] or "").strip() or "nan")
    except ValueError:
        score = math.inf
    if not (math.isnan(score) or 0 <= score <= 1):
        raise ScoresError(
            f"{where}: score must be P(fake) in [0, 1], got {row['score']!r}. Turn logits into "
            "probabilities first."
        )
    return label, score
