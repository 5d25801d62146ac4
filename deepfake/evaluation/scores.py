"""The table that evaluation writes once and reads ever after: one row per scored face.

`scores.parquet` has a row per face, and one without track and score for a video in which no face
was found, so that it is counted and not forgotten. What belongs to a checkpoint as a whole is in
the file's metadata.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from deepfake.aggregation import Aggregator, by_name
from deepfake.calibration import Calibration
from deepfake.errors import DeepfakeError
from deepfake.types import FaceScore
from preprocessing.types import Label

VERSION = 1
VERSION_KEY = b"deepfake.scores_version"
JUDGES_KEY = b"deepfake.judges"
UNDAMAGED = "none"  # the damage of undamaged frames that a drop is measured from
NAN = float("nan")
Looks = tuple[float, float, float]  # score, sharpness, brightness

SCHEMA = pa.schema(
    [
        pa.field("checkpoint", pa.string(), nullable=False),  # what judged
        # What was done to the video before; empty for nothing. Of `UNDAMAGED` are the few frames
        # that damaged ones are compared with.
        pa.field("damage", pa.string(), nullable=False),
        pa.field("level", pa.int8(), nullable=False),  # how much, 1 to 5; 0 for nothing
        pa.field("dataset", pa.string(), nullable=False),
        pa.field("method", pa.string(), nullable=False),  # of manipulation
        pa.field("compression", pa.string(), nullable=False),  # as the data set names it
        pa.field("video", pa.string(), nullable=False),  # its key
        pa.field("identities", pa.list_(pa.string()), nullable=False),  # the people in the video
        # The same for videos that share a person or a source: the first one's key.
        pa.field("group", pa.string(), nullable=False),
        pa.field("label", pa.int8()),  # 0 real, 1 fake, none where unknown
        pa.field("split", pa.string()),  # the official one
        pa.field("crop", pa.string(), nullable=False),  # its file; empty where no face was found
        pa.field("track", pa.int32()),  # number in its video
        pa.field("frame", pa.int64()),
        pa.field("time_s", pa.float64()),  # of presentation, in seconds
        pa.field("face_size", pa.float32()),  # longer side of the box, in pixels of the frame
        pa.field("sharpness", pa.float32()),  # see `deepfake.evaluation.faces.appearance`
        pa.field("brightness", pa.float32()),
        pa.field("score", pa.float64()),  # P(fake) in [0, 1], uncalibrated
    ]
)
OF_VIDEO = ("dataset", "method", "compression", "video", "identities", "label", "split")
ABOUT = [
    "checkpoint", "damage", "level", "dataset", "method", "compression", "video", "group", "label",
    "split",
]  # fmt: skip
LOOKS = ("face_size", "sharpness", "brightness")


class ScoresError(DeepfakeError):
    """A file of scores that is missing, damaged or not ours."""


@dataclass(frozen=True)
class ScoredVideo:
    """A video with all its scored faces; medians over them describe what it looks like.

    See `SCHEMA` for the fields. `people` is the number of tracks.
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
    """What a checkpoint's video scores depend on beside its face scores."""

    calibration: Calibration | None = None  # from a video's raw score to its probability
    aggregation: str = "worst_person"  # by name; this one leaves one score per video as it is
    sha256: str = ""  # of the checkpoint's file

    @property
    def rule(self) -> Aggregator:
        """The rule itself."""
        return by_name(self.aggregation)

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
    """Scored videos, by checkpoint what judged them, and how many could not be damaged."""

    videos: tuple[ScoredVideo, ...]
    judges: Mapping[str, Judge]
    failures: int = 0


def score_table(
    crops: pa.Table,
    looks: ArrayLike | None,
    *,
    checkpoint: str,
    groups: Mapping[str, str],
    damage: str = "",
    level: int = 0,
) -> pa.Table:
    """Return rows of `SCHEMA`, which says what the last four are.

    Args:
        crops: Rows of a manifest.
        looks: Score, sharpness and brightness of each (N, 3); None where they are stand-ins for
            videos without a face.
        checkpoint: What judged.
        groups: By the video's key.
        damage: What was done to the video before.
        level: How much.
    """
    videos = crops["video"].combine_chunks().dictionary_encode()
    names = pa.array([groups[key] for key in videos.dictionary.to_pylist()], pa.string())
    told = {"checkpoint": checkpoint, "damage": damage, "level": level}
    columns = {name: pa.repeat(value, len(crops)) for name, value in told.items()}
    columns |= {"group": names.take(videos.indices), "crop": crops["path"]}
    columns |= {name: crops[name] for name in OF_VIDEO}
    if looks is not None:
        boxes = crops["box"].combine_chunks().flatten().to_numpy().reshape(-1, 2, 2)
        columns |= {name: crops[name] for name in ("track", "frame", "time_s")}
        columns["face_size"] = pa.array((boxes[:, 1] - boxes[:, 0]).max(axis=1))
        found = np.asarray(looks, dtype=np.float64).reshape(-1, 3)
        for place, name in enumerate(("score", "sharpness", "brightness")):
            columns[name] = pa.array(found[:, place])
    blank = pa.nulls(len(crops))
    return pa.table({name: columns.get(name, blank) for name in SCHEMA.names}).cast(SCHEMA)


def write_scores(path: Path, table: pa.Table, judges: Mapping[str, Judge]) -> None:
    """Write `scores.parquet`, sorted, so that a video's rows are neighbours."""
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
    about = table.select(ABOUT).take(pa.array(starts)).to_pylist()
    columns = {
        name: table[name].to_numpy() for name in ("score", "track", "frame", "time_s", *LOOKS)
    }
    valid = table["score"].is_valid().to_numpy()
    for first, start, end in zip(about, starts, [*starts[1:], table.num_rows], strict=True):
        seen = start + np.flatnonzero(valid[start:end])
        cells = {name: column[seen] for name, column in columns.items()}
        faces = zip(
            cells["score"].tolist(),
            cells["track"].astype(int).tolist(),
            cells["frame"].astype(int).tolist(),
            np.nan_to_num(cells["time_s"]).tolist(),
            strict=True,
        )
        scores = tuple(FaceScore(*face) for face in faces)
        looks: dict[str, Any] = {name: _median(cells[name]) for name in LOOKS}
        people = len({face.track for face in scores})
        yield ScoredVideo(**first, faces=scores, people=people, **looks)


def _median(values: NDArray[np.floating[Any]]) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known.astype(np.float64))) if known.size else NAN
