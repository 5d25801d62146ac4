"""A CSV with one row a video: path, label and what else is known."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
IDENTITY_COLUMNS = ("identity", "identities", "person_group")


@dataclass(frozen=True)
class _Row:
    number: int  # as an editor shows it: the header is row 1
    path: Path
    values: Mapping[str, str]


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
    names = names_for([row.path for row in rows], root)
    counts_only = _identities_are_counts(rows)
    videos = [
        _video(table, row, name, use_identities=not counts_only)
        for row, name in zip(rows, names, strict=True)
    ]
    return by_key(_with_sources(rows, names, videos))


def _table_in(root: Path) -> Path | None:
    for name in FILES:
        path = root / name
        if path.is_file() and {"path", "label"} <= set(_header(path)):
            return path
    return None


def _header(table: Path) -> list[str]:
    try:
        return read_csv(table)[0]
    except SourceError:
        return []


def _read(table: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the names of the columns and every row that is not empty, with its number."""
    header, rows = read_csv(table)
    for column in ("path", "label"):
        if column not in header:
            raise SourceError(
                f"{table}: no column {column!r}; found {', '.join(header) or 'nothing'}. "
                "The first row must name the columns, at least path,label."
            )
    if not rows:
        raise SourceError(f"{table} has no rows. Add one row a video: path,label.")
    return header, rows


def _rows(table: Path, root: Path) -> list[_Row]:
    header, content = _read(table)
    resolved = root.resolve()
    first: dict[Path, int] = {}
    rows = []
    for number, values in content:
        if len(values) != len(header):
            raise SourceError(
                f"{table}, row {number}: {len(values)} values for {len(header)} columns. "
                "Put quotes around values with a comma."
            )
        row = _Row(number, root, dict(zip(header, map(str.strip, values), strict=True)))
        path = _path(table, row, root, resolved)
        if path in first:
            raise SourceError(
                f"{table}, row {number}: {row.values['path']} is already in row {first[path]}. "
                "Remove one of them."
            )
        first[path] = number
        if is_video(path) or is_photograph(path):
            rows.append(replace(row, path=path))
    others = [path.name for path in first if not (is_video(path) or is_photograph(path))]
    if others:
        logger.warning("%s: left out, not a video: %s", table, ", ".join(others[:5]))
    return rows


def _path(table: Path, row: _Row, root: Path, resolved: Path) -> Path:
    text = row.values["path"].replace("\\", "/")
    where = f"{table}, row {row.number}: "
    relative = Path(text)
    if not text:
        raise SourceError(f"{where}no path. Fill the column path, or remove the row.")
    if relative.is_absolute() or ".." in relative.parts:
        raise SourceError(f"{where}{text} must lie below {root}. Write it relative to that folder.")
    path = root / relative
    if not path.is_file() and not relative.suffix:  # written without it
        same = [found for found in videos_in(path.parent) if found.stem == path.name]
        path = same[0] if len(same) == 1 else path
    if not path.is_file():
        raise SourceError(
            f"{where}no file {path}. Paths are relative to {root}; correct or remove the row."
        )
    if not path.resolve().is_relative_to(resolved):
        raise SourceError(
            f"{where}{text} is a link that leaves {root}. Copy the file, or give the real folder."
        )
    return path


def _video(table: Path, row: _Row, name: str, *, use_identities: bool) -> Video:
    values = row.values
    where = f"{table}, row {row.number}: "
    label = values["label"].lower()
    if label not in LABELS:
        raise SourceError(
            f"{where}unknown label {values['label']!r}. "
            "Write real or 0, fake or 1, or nothing where it is unknown."
        )
    split = values.get("split", "").lower()
    if split and split not in SPLITS:
        raise SourceError(
            f"{where}unknown split {values['split']!r}. Write {', '.join(get_args(Split))}."
        )
    # A slash in a free text would read as two parts of the key.
    free = {name: values.get(name, "").replace("/", "-") for name in ("dataset", "method")}
    method = "real" if LABELS[label] == 0 else free["method"]
    if LABELS[label] == 1 and not method:
        method = "fake"
    identities = _identities(values) if use_identities else ()
    if LABELS[label] != 0 and values.get("celebrity_group"):
        identities = (*identities, values["celebrity_group"])
    return Video(
        path=row.path,
        name=name.removeprefix(f"{method}/"),  # real/a stays real/a, not real/real/a
        dataset=free["dataset"],
        method=method,
        compression=values.get("compression", ""),
        label=LABELS[label],
        identities=tuple(dict.fromkeys(identities)),
        split=SPLITS.get(split),
    )


def _identities(values: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(
        name.strip()
        for column in IDENTITY_COLUMNS
        for name in values.get(column, "").split(";")
        if name.strip()
    )


def _identities_are_counts(rows: Sequence[_Row]) -> bool:
    """Say whether the column `identities` counts people (1, 2, ...) instead of naming them.

    Taken as names, the counts would make one group of all videos with one person.
    """
    values = [row.values["identities"] for row in rows if row.values.get("identities")]
    return bool(values) and all(len(value) == 1 and value.isdigit() for value in values)


def _with_sources(rows: Sequence[_Row], names: Sequence[str], videos: list[Video]) -> list[Video]:
    """Return the videos with the key of the real video that each fake was made from."""
    by_path: dict[str, str] = {}
    real_of_pair: dict[str, str] = {}
    for row, name, video in zip(rows, names, videos, strict=True):
        by_path[row.values["path"]] = by_path[name] = video.key
        if video.label == 0 and row.values.get("pair"):
            real_of_pair[row.values["pair"]] = video.key
    found = []
    for row, video in zip(rows, videos, strict=True):
        source = row.values.get("source", "")
        key = by_path.get(source, source) or real_of_pair.get(row.values.get("pair", ""))
        found.append(video if video.label == 0 or not key else replace(video, source=key))
    return found
