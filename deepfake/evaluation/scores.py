"""The table that evaluation writes once and reads ever after: one row per scored face.

`scores.parquet` has a row per face, and one without track and score for a video in which no face
was found, so that it is counted and not forgotten. What belongs to a checkpoint as a whole is in
the file's metadata.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from deepfake.calibration import Calibration
from deepfake.errors import DeepfakeError
from deepfake.types import FaceScore
from preprocessing.types import Label

VERSION = 1
VERSION_KEY = b"deepfake.scores_version"
JUDGES_KEY = b"deepfake.judges"
UNDAMAGED = "none"  # the damage of undamaged frames that a drop is measured from
NAN = float("nan")
CHUNK = 20_000  # rows that are objects at a time

SCHEMA = pa.schema(
    [
        pa.field("checkpoint", pa.string(), nullable=False),
        pa.field("damage", pa.string(), nullable=False),
        pa.field("level", pa.int8(), nullable=False),
        pa.field("dataset", pa.string(), nullable=False),
        pa.field("method", pa.string(), nullable=False),
        pa.field("compression", pa.string(), nullable=False),
        pa.field("video", pa.string(), nullable=False),
        pa.field("identities", pa.list_(pa.string()), nullable=False),
        pa.field("group", pa.string(), nullable=False),
        pa.field("label", pa.int8()),
        pa.field("split", pa.string()),
        pa.field("crop", pa.string(), nullable=False),
        pa.field("track", pa.int32()),
        pa.field("frame", pa.int64()),
        pa.field("time_s", pa.float64()),
        pa.field("face_size", pa.float32()),
        pa.field("sharpness", pa.float32()),
        pa.field("brightness", pa.float32()),
        pa.field("score", pa.float64()),
    ]
)
ABOUT = [
    "checkpoint", "damage", "level", "dataset", "method", "compression", "video", "group", "label",
    "split",
]  # fmt: skip
LOOKS = ("face_size", "sharpness", "brightness")


class ScoresError(DeepfakeError):
    """A file of scores that is missing, damaged or not ours."""


@dataclass(frozen=True)
class ScoreRow:
    """A row of `scores.parquet`.

    Args:
        checkpoint: What judged.
        damage: What was done to the video before; empty for nothing. Of `UNDAMAGED` are the few
            frames that damaged ones are compared with.
        level: How much, 1 to 5; 0 for nothing.
        dataset: Name of the data set.
        method: Manipulation method.
        compression: As the data set names it.
        video: Key of the video.
        identities: The people in the video, as the data set names them.
        group: The same for videos that share a person or a source: the first one's key.
        label: 0 real, 1 fake, None unknown.
        split: Official split.
        crop: File of the crop in its folder; empty where no face was found.
        track: Number of the track in its video.
        frame: Number of the frame.
        time_s: Presentation time, in seconds.
        face_size: Longer side of the face's box, in pixels of the frame.
        sharpness: See `appearance`.
        brightness: See `appearance`.
        score: P(fake) in [0, 1], uncalibrated; None where no face was found.
    """

    checkpoint: str
    damage: str
    level: int
    dataset: str
    method: str
    compression: str
    video: str
    identities: tuple[str, ...]
    group: str
    label: Label | None
    split: str | None
    crop: str = ""
    track: int | None = None
    frame: int | None = None
    time_s: float | None = None
    face_size: float | None = None
    sharpness: float | None = None
    brightness: float | None = None
    score: float | None = None


@dataclass(frozen=True)
class ScoredVideo:
    """A video with all its scored faces; medians over them describe what it looks like.

    See `ScoreRow` for the fields. `people` is the number of tracks.
    """

    checkpoint: str
    damage: str
    level: int
    dataset: str
    method: str
    compression: str
    video: str
    group: str
    label: Label | None
    split: str | None
    faces: tuple[FaceScore, ...]
    people: int = 0
    face_size: float = NAN
    sharpness: float = NAN
    brightness: float = NAN


@dataclass(frozen=True)
class Judge:
    """What a checkpoint's video scores depend on beside its face scores.

    Args:
        calibration: From a video's raw score to its probability; None where there is none.
        aggregation: Rule from faces to a video, by name.
        sha256: Of the checkpoint's file.
    """

    calibration: Calibration | None = None
    aggregation: str = "worst_person"  # which leaves one score per video as it is
    sha256: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        calibration = None if self.calibration is None else self.calibration.to_dict()
        return {**asdict(self), "calibration": calibration}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Judge":
        """Read what `to_dict` wrote."""
        stored = content["calibration"]
        return cls(
            calibration=None if stored is None else Calibration.from_dict(stored),
            aggregation=str(content["aggregation"]),
            sha256=str(content["sha256"]),
        )


@dataclass(frozen=True)
class Scores:
    """Scored videos and, by checkpoint, what judged them."""

    videos: tuple[ScoredVideo, ...]
    judges: Mapping[str, Judge]


def score_table(rows: Iterable[ScoreRow]) -> pa.Table:
    """Return rows as columns; only some thousands at a time are objects."""
    left, parts = iter(rows), [SCHEMA.empty_table()]
    while some := list(islice(left, CHUNK)):
        columns = {name: [getattr(row, name) for row in some] for name in SCHEMA.names}
        parts.append(pa.Table.from_pydict(columns, schema=SCHEMA))
    return pa.concat_tables(parts)


def write_scores(
    path: Path, rows: pa.Table | Iterable[ScoreRow], judges: Mapping[str, Judge]
) -> None:
    """Write `scores.parquet`, sorted, so that a video's rows are neighbours."""
    table = rows if isinstance(rows, pa.Table) else score_table(rows)
    stored = {name: judge.to_dict() for name, judge in judges.items()}
    metadata = {VERSION_KEY: str(VERSION).encode(), JUDGES_KEY: json.dumps(stored).encode()}
    order = ("checkpoint", "damage", "level", "dataset", "video", "track", "frame")
    table = table.sort_by([(name, "ascending") for name in order])
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata(metadata), path, compression="zstd")


def read_scores(path: Path) -> Scores:
    """Read `scores.parquet`.

    Raises:
        ScoresError: It is missing, damaged or something else.
    """
    if not path.is_file():
        raise ScoresError(
            f"No scores at {path}. Make them with `python -m deepfake.evaluate --checkpoint C "
            "--data DIR --out DIR`."
        )
    try:
        table = pq.read_table(path, memory_map=False)
        metadata = table.schema.metadata or {}
        version = metadata.get(VERSION_KEY, b"none").decode()
        if version != str(VERSION):
            raise ScoresError(f"{path} has version {version} of scores; this reads {VERSION}.")
        table = table.select(SCHEMA.names).cast(SCHEMA)
        stored = json.loads(metadata.get(JUDGES_KEY, b"{}"))
        judges = {name: Judge.from_dict(content) for name, content in stored.items()}
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise ScoresError(f"{path} is not a file of scores: {reason}") from error
    return Scores(tuple(_videos(table)), judges)


def _videos(table: pa.Table) -> Iterator[ScoredVideo]:
    """Yield the videos of a table sorted by checkpoint, damage, level, data set and video.

    Only a row's score, track, frame and time become objects, a video at a time.
    """
    same = np.ones(max(table.num_rows - 1, 0), dtype=bool)
    for name in ("checkpoint", "damage", "level", "dataset", "video"):
        codes = table[name].combine_chunks().dictionary_encode().indices.to_numpy()
        same &= codes[1:] == codes[:-1]
    starts = np.flatnonzero(np.append(True, ~same)) if table.num_rows else np.zeros(0, np.int64)
    about = table.take(pa.array(starts)).select(ABOUT).to_pylist()
    columns = {
        name: table[name].to_numpy() for name in ("score", "track", "frame", "time_s", *LOOKS)
    }
    valid = table["score"].is_valid().to_numpy()
    for first, start, end in zip(about, starts, [*starts[1:], table.num_rows], strict=True):
        cells = {name: column[start:end] for name, column in columns.items()}
        seen = valid[start:end]
        times = np.nan_to_num(cells["time_s"][seen])
        faces = zip(
            cells["score"][seen].tolist(),
            cells["track"][seen].astype(int).tolist(),
            cells["frame"][seen].astype(int).tolist(),
            times.tolist(),
            strict=True,
        )
        scores = tuple(FaceScore(score, track, frame, time) for score, track, frame, time in faces)
        looks: dict[str, Any] = {name: _median(cells[name][seen]) for name in LOOKS}
        people = len({face.track for face in scores})
        yield ScoredVideo(**first, faces=scores, people=people, **looks)


def _median(values: NDArray[np.floating[Any]]) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known.astype(np.float64))) if known.size else NAN
