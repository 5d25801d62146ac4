"""A CSV with one row a video: path, label and what else is known."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

from deepfake.data.sources.base import (
    OfficialCount,
    by_key,
    is_photograph,
    is_video,
    names_for,
    videos_in,
)
from deepfake.data.sources.folder import SPLITS
from deepfake.data.sources.texts import read_csv
from deepfake.errors import SourceError
from preprocessing.types import Label, Split, Video

logger = logging.getLogger(__name__)

FILES = ("labels.csv", "pairs.csv", "index.csv")
LABELS: dict[str, Label | None] = {"real": 0, "0": 0, "fake": 1, "1": 1, "": None}
Row = Mapping[str, str]
IDENTITY_COLUMNS = ("identity", "identities", "person_group")


class Table:
    """Videos listed in `labels.csv`, `pairs.csv` or `index.csv` of the folder.

    Columns: `path` (below the folder) and `label` (real, fake, 0, 1 or empty); where known
    `identity` or `identities` (separated by ;), `method`, `source` (path of the row that
    a fake was made from), `split` (train, val, test), `dataset`, `compression`; in a table of
    pairs `pair` (rows of one name are partners), `person_group` (who was filmed) and
    `celebrity_group` (whose face was put on the fake). Other columns are ignored.
    """

    name = "csv"
    dataset = ""
    layout = "a labels.csv with columns path,label, or give it by --labels"
    official: tuple[OfficialCount, ...] = ()

    def matches(self, root: Path) -> bool:
        """Say whether the folder has a table with columns path and label."""
        return _table_in(root) is not None

    def videos(self, root: Path) -> list[Video]:
        """Return the videos of the folder's table, sorted by key."""
        table = _table_in(root)
        if table is None:
            raise SourceError(
                f"No table in {root}: looked for {', '.join(FILES)} with columns path and label. "
                "Write one, or name it by --labels."
            )
        return read_table(table, root)

    def missing(self, root: Path) -> list[str]:
        """Say what is not known about any video."""
        videos = self.videos(root)
        lacks = []
        if not any(video.identities for video in videos):
            lacks.append("column identity: who is on two sides of a split cannot be told")
        if not any(video.split for video in videos):
            lacks.append("column split: videos are split by group")
        return lacks


def read_table(table: Path, root: Path) -> list[Video]:
    """Return the videos of a CSV whose paths lie below `root`, sorted by key.

    Raises:
        SourceError: Names the row that is wrong and what to write instead.
    """
    rows = _rows(table, root)
    names = names_for(list(rows), root)
    counts = [row["identities"] for row in rows.values() if row.get("identities")]
    # How many people (1, 2, ...), not who: as names they would make one group of all videos.
    anonymous = bool(counts) and all(len(count) == 1 and count.isdigit() for count in counts)
    videos = [
        _video(path, row, name, anonymous=anonymous)
        for name, (path, row) in zip(names, rows.items(), strict=True)
    ]
    return by_key(_with_sources(list(rows.values()), names, videos))


def _table_in(root: Path) -> Path | None:
    for path in (root / name for name in FILES):
        try:
            if path.is_file() and {"path", "label"} <= set(read_csv(path)[0]):
                return path
        except SourceError:
            continue
    return None


def _rows(table: Path, root: Path) -> dict[Path, Row]:
    """Return the row of each video and photograph."""
    header, content = read_csv(table)
    for column in ("path", "label"):
        if column not in header:
            raise SourceError(
                f"{table}: no column {column!r}; found {', '.join(header) or 'nothing'}. "
                "The first row must name the columns, at least path,label."
            )
    if not content:
        raise SourceError(f"{table} has no rows. Add one row a video: path,label.")
    resolved = root.resolve()
    numbers: dict[Path, int] = {}  # as an editor shows them: the header is row 1
    rows = {}
    for number, values in content:
        try:
            if len(values) != len(header):
                raise SourceError(
                    f"{len(values)} values for {len(header)} columns. "
                    "Put quotes around values with a comma."
                )
            row = dict(zip(header, map(str.strip, values), strict=True))
            path = _path(row["path"].replace("\\", "/"), root, resolved)
            if path in numbers:
                raise SourceError(
                    f"{row['path']} is already in row {numbers[path]}. Remove one of them."
                )
            numbers[path] = number
            if is_video(path) or is_photograph(path):
                rows[path] = _checked(row)
        except SourceError as error:
            raise SourceError(f"{table}, row {number}: {error}") from error
    others = [path.name for path in numbers if path not in rows]
    if others:
        logger.warning("%s: left out, not a video: %s", table, ", ".join(others[:5]))
    return rows


def _path(text: str, root: Path, resolved: Path) -> Path:
    relative = Path(text)
    if not text:
        raise SourceError("no path. Fill the column path, or remove the row.")
    if relative.is_absolute() or ".." in relative.parts:
        raise SourceError(f"{text} must lie below {root}. Write it relative to that folder.")
    path = root / relative
    if not path.is_file() and not relative.suffix:  # written without it
        same = [found for found in videos_in(path.parent) if found.stem == path.name]
        path = same[0] if len(same) == 1 else path
    if not path.is_file():
        raise SourceError(
            f"no file {path}. Paths are relative to {root}; correct or remove the row."
        )
    if not path.resolve().is_relative_to(resolved):
        raise SourceError(
            f"{text} is a link that leaves {root}. Copy the file, or give the real folder."
        )
    return path


def _checked(row: Row) -> Row:
    if row["label"].lower() not in LABELS:
        raise SourceError(
            f"unknown label {row['label']!r}. "
            "Write real or 0, fake or 1, or nothing where it is unknown."
        )
    if row.get("split") and row["split"].lower() not in SPLITS:
        raise SourceError(f"unknown split {row['split']!r}. Write {', '.join(get_args(Split))}.")
    return row


def _video(path: Path, row: Row, name: str, *, anonymous: bool) -> Video:
    label = LABELS[row["label"].lower()]
    # A slash in a free text would read as two parts of the key.
    dataset, method = (row.get(name, "").replace("/", "-") for name in ("dataset", "method"))
    method = "real" if label == 0 else method or ("fake" if label == 1 else "")
    columns = [] if anonymous else [row.get(column, "").split(";") for column in IDENTITY_COLUMNS]
    people = [name.strip() for names in columns for name in names]
    if label != 0:
        people.append(row.get("celebrity_group", ""))
    return Video(
        path=path,
        name=name.removeprefix(f"{method}/"),  # real/a stays real/a, not real/real/a
        dataset=dataset,
        method=method,
        compression=row.get("compression", ""),
        label=label,
        identities=tuple(dict.fromkeys(filter(None, people))),
        split=SPLITS.get(row.get("split", "").lower()),
    )


def _with_sources(rows: Sequence[Row], names: Sequence[str], videos: list[Video]) -> list[Video]:
    """Return the videos with the key of the real video that each fake was made from."""
    by_path: dict[str, str] = {}
    real_of_pair: dict[str, str] = {}
    for row, name, video in zip(rows, names, videos, strict=True):
        by_path[row["path"]] = by_path[name] = video.key
        if video.label == 0 and row.get("pair"):
            real_of_pair[row["pair"]] = video.key
    found = []
    for row, video in zip(rows, videos, strict=True):
        source = row.get("source", "")
        key = by_path.get(source, source) or real_of_pair.get(row.get("pair", ""))
        found.append(video if video.label == 0 or not key else replace(video, source=key))
    return found
