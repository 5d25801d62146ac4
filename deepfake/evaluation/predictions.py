"""Predictions of others, from a CSV."""

import csv
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

from deepfake.aggregation import Aggregator
from deepfake.data.sources.texts import read_csv
from deepfake.errors import SourceError
from deepfake.evaluation.scores import ScoredVideo, Scores, ScoresError, read_scores
from deepfake.types import FaceScore
from preprocessing.types import Label

COLUMNS = ("dataset", "key", "compression", "label", "score", "status", "method")
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

    Label is 0, 1, real or fake. An empty score or "nan" counts as a video that was not judged, as
    does a row of Deepfake Workbench's score files whose status is not ok; there the video's column
    is called key. A row is a video, even where a name comes twice. Columns dataset, method,
    compression, checkpoint and identity, or x_checkpoint and x_identity, are used where they are
    there; checkpoint and data set are else called by the file's name. Text is UTF-8, or what Excel
    writes: UTF-16 or Windows-1252, with semicolons and decimal commas too.

    Raises:
        ScoresError: A column is missing, or a row cannot be right; the message names it.
    """
    videos = []
    seen: Counter[tuple[str, str]] = Counter()
    for where, row in _rows(path):
        label, score = _prediction(row, where)
        compression, name = row.get("compression", ""), row["video"]
        plain = not compression or compression in name.split("/")  # our keys hold it
        key = name if plain else f"{compression}/{name}"
        dataset = row.get("dataset") or path.stem
        seen[dataset, key] += 1
        videos.append(
            ScoredVideo(
                checkpoint=row.get("checkpoint") or path.stem,
                damage="",
                level=0,
                dataset=dataset,
                method=row.get("method", ""),
                compression=compression,
                video=key if seen[dataset, key] == 1 else f"{key}#{seen[dataset, key]}",
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


def _rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each row by its columns, with where it stands."""
    try:
        found, rows = read_csv(path)
    except SourceError as error:
        raise ScoresError(str(error)) from error
    columns = ["video" if name == "key" else name.removeprefix("x_") for name in found]
    missing = {"video", "label", "score"} - set(columns)
    if missing:
        raise ScoresError(
            f"{path} lacks the column {', '.join(sorted(missing))}. It must have video, label "
            f"and score; found {', '.join(found) or 'nothing'}."
        )
    for number, values in rows:
        cells = zip_longest(columns, values[: len(columns)], fillvalue="")
        yield f"{path}, line {number}", dict(cells)


def write_predictions(path: Path, videos: Sequence[ScoredVideo], *, rule: Aggregator) -> None:
    """Write the scores of one checkpoint as a CSV that `read_predictions` and others read.

    Columns are those of Deepfake Workbench's score files, with x_checkpoint and x_identity (here
    the group) beside them; a video without a score has the status "missing".
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*COLUMNS, "x_checkpoint", "x_identity"))
        for video in videos:
            if video.label is not None:
                score = rule(video.faces)
                judged = ("", "missing") if score is None else (repr(score), "ok")
                about = (video.dataset, video.video, video.compression, video.label)
                writer.writerow((*about, *judged, video.method, video.checkpoint, video.group))


def _prediction(row: Mapping[str, str], where: str) -> tuple[Label, float]:
    label = LABELS.get(row["label"].strip().lower())
    if label is None:
        raise ScoresError(f"{where}: label must be 0, 1, real or fake, got {row['label']!r}")
    try:
        given = row["score"].strip().replace(",", ".") or "nan"
        score = float(given) if row.get("status") in (None, "", "ok") else math.nan
    except ValueError:
        score = math.inf
    if not (math.isnan(score) or 0 <= score <= 1):
        raise ScoresError(
            f"{where}: score must be P(fake) in [0, 1], got {row['score']!r}. Turn logits into "
            "probabilities first."
        )
    return label, score
