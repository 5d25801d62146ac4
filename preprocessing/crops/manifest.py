"""The table of crops: one JSON per video, and `manifest.parquet` made of all of them.

A folder of crops holds `options.json`, `crops/<data set>/<method>/<video>/` with the crops and a
`video.json` each, `manifest.parquet` (one row per crop) and `failures.csv`. A video's folder
appears by one rename when it is complete, so the folder is right at every moment.
"""

import csv
import io
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from preprocessing.errors import ManifestError
from preprocessing.options import options_from_dict
from preprocessing.types import Detection, FaceCrop, PreprocessOptions, Split, Video, VideoInfo

MANIFEST = "manifest.parquet"
OPTIONS = "options.json"
FAILURES = "failures.csv"
RECORD = "video.json"
VERSION = 1
VERSION_KEY = b"deepfake.manifest_version"
# What JSON of another kind raises on the way to a value of ours.
_NOT_OURS = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError)

_BOX = pa.list_(pa.float32(), 4)
SCHEMA = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("video", pa.string(), nullable=False),
        pa.field("track", pa.int32(), nullable=False),
        pa.field("frame", pa.int64(), nullable=False),
        pa.field("time_s", pa.float64(), nullable=False),
        pa.field("box", _BOX, nullable=False),
        pa.field("score", pa.float32(), nullable=False),
        pa.field("landmarks", pa.list_(pa.float32(), 10), nullable=False),
        pa.field("crop_box", _BOX, nullable=False),
        pa.field("label", pa.int8()),
        pa.field("identities", pa.list_(pa.string()), nullable=False),
        pa.field("source", pa.string()),
        pa.field("method", pa.string(), nullable=False),
        pa.field("compression", pa.string(), nullable=False),
        pa.field("dataset", pa.string(), nullable=False),
        pa.field("split", pa.string()),
    ],
    metadata={VERSION_KEY: str(VERSION).encode()},
)
SCHEMA_NAMES = frozenset(SCHEMA.names)
# A path that is none, absolute or of another system, or goes up.
LEAVES = r"^$|^/|\\|\x00|(^|/)\.\.(/|$)"


@dataclass(frozen=True)
class FaceRow:
    """A crop as its video's JSON holds it; see `FaceCrop` for the fields."""

    file: str
    track: int
    frame: int
    time_s: float
    box: tuple[float, ...]
    score: float
    landmarks: tuple[float, ...]  # x0, y0, ..., x4, y4
    crop_box: tuple[float, ...]

    @property
    def detection(self) -> Detection:
        """The detection that the crop was cut at."""
        x0, y0, x1, y1 = self.box
        points = np.asarray(self.landmarks, dtype=np.float32).reshape(5, 2)
        return Detection(self.frame, self.time_s, (x0, y0, x1, y1), self.score, points)


@dataclass(frozen=True)
class VideoRecord:
    """All that is kept of one video.

    Args:
        key: Its key.
        video: What is known of it; the path as given.
        info: What the container says.
        wanted: Frames asked for; this, `read`, `corrupt` and `errors` are those of `ReadReport`.
        rejected: Faces found but left out, by reason.
        faces: The crops, by track and frame.
    """

    key: str
    video: Video
    info: VideoInfo
    wanted: int
    read: int
    corrupt: int
    errors: int
    rejected: dict[str, int]
    faces: tuple[FaceRow, ...]

    def to_json(self) -> str:
        """Return the JSON text; the same record gives the same bytes."""
        content = asdict(self)
        content["video"]["path"] = self.video.path.as_posix()
        content["version"] = VERSION
        return json.dumps(content, indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "VideoRecord":
        """Read what `to_json` wrote.

        Raises:
            ManifestError: It is something else.
        """
        try:
            content = json.loads(text)
            if content.pop("version") != VERSION:
                raise ManifestError("a record of another version")
            video = dict(content.pop("video"))
            video["path"] = Path(video["path"])
            video["identities"] = tuple(video["identities"])
            faces = tuple(_face_row(row) for row in content.pop("faces"))
            info = VideoInfo(**content.pop("info"))
            return cls(video=Video(**video), info=info, faces=faces, **content)
        except _NOT_OURS as error:
            raise ManifestError(f"not a record of a video ({error})") from error

    def crops(self, folder: str) -> Iterator[FaceCrop]:
        """Yield the manifest's rows; `folder` is the video's, relative to the manifest's."""
        shared = vars(self.video).keys() & SCHEMA_NAMES - {"path"}
        known = {name: getattr(self.video, name) for name in shared}
        for face in self.faces:
            row = {**vars(face), "landmarks": face.detection.landmarks}
            file = row.pop("file")
            yield FaceCrop(f"{folder}/{file}", self.key, **row, **known)


def _face_row(content: dict[str, Any]) -> FaceRow:
    """Return a crop of a record that may be damaged or forged; raises ValueError if so."""
    lengths = {"box": 4, "landmarks": 10, "crop_box": 4}
    for name, length in lengths.items():
        content[name] = tuple(float(value) for value in content[name])
        if len(content[name]) != length or not all(map(math.isfinite, content[name])):
            raise ValueError(f"its {name} is not {length} finite numbers")
    row = FaceRow(**content)
    name = row.file if isinstance(row.file, str) and row.file.isascii() else ""
    if _leaves(name) or "/" in name:
        raise ValueError(f"{row.file!r} is no file beside it")
    if not (isinstance(row.track, int) and isinstance(row.frame, int)):
        raise ValueError("a track or frame is no number")
    if not (math.isfinite(row.time_s) and 0 <= row.score <= 1):
        raise ValueError("a time or face score cannot be right")
    return row


def write_through(path: Path, data: bytes) -> None:
    """Write a file down to the disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is either the old or the new one, even where power fails."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        write_through(temporary, data)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)  # it may be all that fills the disk
        raise


def to_table(crops: Iterable[FaceCrop]) -> pa.Table:
    """Return the manifest of some crops."""
    rows = []
    for crop in crops:
        row = {field.name: getattr(crop, field.name) for field in fields(crop)}
        row["landmarks"] = crop.landmarks.reshape(10).tolist()
        row["identities"] = list(crop.identities)
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def write_manifest(folder: Path, crops: Iterable[FaceCrop]) -> None:
    """Write `manifest.parquet`, sorted by video, track and frame."""
    order = [("video", "ascending"), ("track", "ascending"), ("frame", "ascending")]
    table = to_table(crops).sort_by(order)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_atomically(folder / MANIFEST, sink.getvalue().to_pybytes())


def read_table(folder: Path) -> pa.Table:
    """Read and check `manifest.parquet`. Prefer this to `read_manifest` for millions of rows.

    Raises:
        ManifestError: It is missing, damaged, of a newer version, lacks a column, or has a row
            that cannot be right; the message names the row.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise ManifestError(
            f"No manifest at {path}. Make one with `python -m deepfake.preprocess VIDEOS "
            f"--out {folder}`, or name another folder."
        )
    try:
        table = pq.read_table(path, memory_map=False)
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ManifestError(f"{path} is not a Parquet file that can be read: {reason}") from error
    version = (table.schema.metadata or {}).get(VERSION_KEY, b"")
    if not version.isdigit() or int(version) > VERSION:
        raise ManifestError(
            f"{path} has manifest version {version.decode(errors='replace') or 'none'}; this "
            f"program reads up to {VERSION}. Update it, or run preprocess again."
        )
    missing = [name for name in SCHEMA.names if name not in table.column_names]
    if missing:
        raise ManifestError(
            f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}. "
            "Run preprocess again."
        )
    try:
        table = table.select(SCHEMA.names).cast(SCHEMA)
    except (pa.ArrowException, ValueError) as error:
        raise ManifestError(f"{path} has a column of a wrong type: {error}") from error
    _check_rows(table, path)
    return table


def _check_rows(table: pa.Table, path: Path) -> None:
    def refuse(bad: np.ndarray, what: str) -> None:
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            name = table["path"][row].as_py()
            raise ManifestError(
                f"{path}, row {row} ({name!r}): {what}. Run preprocess again into another folder."
            )

    paths = table["path"].combine_chunks()
    leaves = pc.match_substring_regex(paths, LEAVES).to_numpy(zero_copy_only=False)
    refuse(leaves, "its path leaves the data folder")
    number = paths.dictionary_encode().indices.to_numpy()
    refuse(np.bincount(number)[number] > 1, "a file that another row has too")
    for name, width in (("box", 4), ("crop_box", 4), ("landmarks", 10)):
        flat = table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        bad = ~np.isfinite(flat.reshape(-1, width)).all(1)
        refuse(bad, f"its {name} is not finite")
    score = table["score"].to_numpy()
    refuse(~((score >= 0) & (score <= 1)), "its face score is outside [0, 1]")
    refuse(~np.isfinite(table["time_s"].to_numpy()), "its time is not finite")
    values = {"label": ((0, 1), "a label not 0 or 1"), "split": (get_args(Split), "its split")}
    for name, (allowed, what) in values.items():
        known = pa.array([*allowed, None], SCHEMA.field(name).type)
        refuse(~pc.is_in(table[name], value_set=known).to_numpy(), what)


def _leaves(path: str) -> bool:
    return re.search(LEAVES, path) is not None


def read_manifest(folder: Path) -> list[FaceCrop]:
    """Read `manifest.parquet` as one value per row; raises as `read_table`."""
    return list(rows_of(read_table(folder)))


def rows_of(table: pa.Table) -> Iterator[FaceCrop]:
    """Yield a manifest's rows."""
    for batch in table.to_batches(max_chunksize=4096):
        for row in batch.to_pylist():
            row["box"], row["crop_box"] = tuple(row["box"]), tuple(row["crop_box"])
            row["identities"] = tuple(row["identities"])
            row["landmarks"] = np.asarray(row["landmarks"], dtype=np.float32).reshape(5, 2)
            yield FaceCrop(**row)


def crop_file(folder: Path, path: str, *, real: Callable[[str], str] = os.path.realpath) -> Path:
    """Return the file of a manifest's row.

    Args:
        folder: Of the manifest.
        path: Of the crop, relative to it.
        real: Follows the links of a folder's path; who reads many crops remembers what it said.

    Raises:
        ManifestError: The path leaves the folder, as such or through a link.
    """
    parent, _, name = path.rpartition("/")
    inside = real(f"{folder}/{parent}")
    file = Path(inside, name)
    if file.is_symlink():
        file = file.resolve()
        inside = str(file.parent)
    if _leaves(path) or not f"{inside}/".startswith(real(str(folder)).rstrip("/") + "/"):
        raise ManifestError(f"{path!r} leaves the data folder {folder}")
    return file


def read_video_records(folder: Path) -> list[VideoRecord]:
    """Read every video's JSON, sorted by key.

    Raises:
        ManifestError: One of them is damaged; the message names it.
    """
    return sorted((record for _, record in iter_records(folder)), key=lambda record: record.key)


def iter_records(folder: Path) -> Iterator[tuple[str, VideoRecord]]:
    """Yield each video's folder, relative to `folder`, with its record."""
    for file in sorted((folder / "crops").glob(f"**/{RECORD}")):
        try:
            record = VideoRecord.from_json(file.read_text(encoding="utf-8"))
        except (ManifestError, UnicodeDecodeError) as error:
            raise ManifestError(f"{file}: {error}. Delete its folder and run again.") from error
        yield file.parent.relative_to(folder).as_posix(), record


def read_options(folder: Path) -> PreprocessOptions:
    """Read the options that made a folder of crops.

    Raises:
        ManifestError: They are missing or not ours.
    """
    path = folder / OPTIONS
    try:
        return options_from_dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise ManifestError(
            f"No {OPTIONS} in {folder}: it was not made by `python -m deepfake.preprocess`."
        ) from error
    except _NOT_OURS as error:
        raise ManifestError(f"{path} is not a file of options: {error}") from error


def write_failures(folder: Path, failures: Sequence[tuple[str, str, str]]) -> None:
    """Write `failures.csv`: video, stage, reason, sorted."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["video", "stage", "reason"])
    writer.writerows(sorted(failures))
    write_atomically(folder / FAILURES, text.getvalue().encode("utf-8", "backslashreplace"))


def read_failures(folder: Path) -> list[tuple[str, str, str]]:
    """Read `failures.csv`; nothing where there is none, or one that is not ours."""
    try:
        text = (folder / FAILURES).read_text(encoding="utf-8", errors="replace")
        rows = list(csv.reader(io.StringIO(text, newline="")))[1:]
    except (OSError, csv.Error):
        return []
    return [(row[0], row[1], row[2]) for row in rows if len(row) == 3]
