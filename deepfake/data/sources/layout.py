"""Data sets that a few lines of `layouts.yaml` describe: by paths, or by a table beside them."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from deepfake.data.sources.base import (
    OfficialCount,
    bare,
    by_key,
    check_list,
    is_video,
    read_lines,
)
from deepfake.data.sources.texts import read_csv, read_json
from deepfake.errors import SourceError
from preprocessing.types import Label, Split, Video
from preprocessing.video.files import walk

LAYOUTS = Path(__file__).with_name("layouts.yaml")
SPLITS: dict[str, Split] = {"train": "train", "val": "val", "test": "test", "validation": "val"}


class Layout:
    """A data set in the layout that its own download leaves, as `layouts.yaml` tells it.

    A row of a table is read as a path is, with its columns in the place of groups; `{file:first}`
    is the first folder of a column's path. A label may depend on a column. Where people, not
    videos, are on sides, `people` names the table that says so.

    Args:
        entry: Of `layouts.yaml`.
    """

    def __init__(self, entry: Mapping[str, Any]) -> None:
        self.entry = entry
        self.name: str = entry["name"]
        self.dataset: str = entry["dataset"]
        self.layout: str = entry["layout"]
        self.official = tuple(
            OfficialCount(count, label, method, split)
            for methods, label, count, split in entry["official"]
            for method in methods.split("|")
        )

    def matches(self, root: Path) -> bool:
        """Say whether the folder looks like this data set."""
        return any(any(root.glob(pattern)) for pattern in self.entry["needs"])

    def videos(self, root: Path) -> list[Video]:
        """Return the videos, sorted by key.

        Raises:
            SourceError: A table is damaged or names a label that is not known.
        """
        found = self._by_table(root) if "table" in self.entry else self._by_path(root)
        return by_key(list(found))

    def missing(self, root: Path) -> list[str]:
        """Say which parts and lists are not there."""
        wanted = [*self.entry["needs"]]
        wanted += [self.entry[key] for key in ("tests",) if key in self.entry]
        wanted += [self.entry["people"]["file"]] if "people" in self.entry else []
        return [pattern for pattern in wanted if not any(root.glob(pattern))]

    def _by_path(self, root: Path) -> Iterator[Video]:
        parts = [(re.compile(part["path"]), part) for part in self.entry["parts"]]
        listed = root / self.entry.get("tests", "_")
        tested = {bare(line.split()[-1]) for line in read_lines(listed)}
        fits = videos = 0
        for path in filter(is_video, walk(root)):
            place = path.relative_to(root)
            for pattern, part in parts:
                match = pattern.fullmatch(place.with_suffix("").as_posix())
                if match is not None:
                    given: Split | None = None
                    if tested:
                        given = "test" if bare(place.as_posix()) in tested else "train"
                    fits, videos = fits + (given == "test"), videos + 1
                    yield self._video(path, part, match.groupdict(), given)
                    break
        if tested:
            check_list(listed, fits=fits, videos=videos)

    def _by_table(self, root: Path) -> Iterator[Video]:
        sides = self._sides(root)
        places = defaultdict(list)
        for path in filter(is_video, walk(root)):
            places[path.name].append(path)
        for part in self.entry["table"]:
            for file in sorted(root.glob(part["files"])):
                for row in _rows(file):
                    wanted = root / _filled(part["path"], row, file)
                    named = places.get(wanted.name, [])
                    if wanted in named:
                        yield self._video(wanted, part, row, None, sides)
                    elif len(named) == 1 and wanted.parent == root:  # in a folder of its archive
                        yield self._video(named[0], part, row, None, sides)

    def _sides(self, root: Path) -> dict[str, Split]:
        people = self.entry.get("people")
        if people is None or not (root / people["file"]).is_file():
            return {}
        rows = _rows(root / people["file"])
        return {row[people["identity"]]: SPLITS[row[people["split"]]] for row in rows}

    def _video(
        self,
        path: Path,
        part: Mapping[str, Any],
        values: Mapping[str, str],
        split: Split | None,
        sides: Mapping[str, Split] | None = None,
    ) -> Video:
        label = _label(part["label"], values)
        people = tuple(_filled(text, values, path) for text in part.get("identities", ()))
        side = SPLITS.get(
            _filled(part.get("split", "{split}"), {"split": ""} | {**values}, path).lower()
        )
        sided = {sides[who] for who in people if who in sides} if sides else set()
        source = part.get("source")
        name = _filled(part["name"], values, path)
        return Video(
            path=path,
            name=name.removesuffix(path.suffix),
            dataset=self.dataset,
            method="real" if label == 0 else _filled(part.get("method", "{method}"), values, path),
            compression=values.get("compression", ""),
            label=label,
            identities=tuple(dict.fromkeys(people)),
            source=_filled(source, values, path) if source and label else None,
            split=split or side or (sided.pop() if len(sided) == 1 else None),
        )


def _label(rule: Any, values: Mapping[str, str]) -> Label | None:  # noqa: ANN401
    if not isinstance(rule, Mapping):
        return 1 if rule else 0
    found = values.get(rule["column"], "")
    if found in rule["fake"]:
        return 1
    return 0 if found in rule["real"] else None


def _filled(template: str, values: Mapping[str, str], place: Path) -> str:
    try:
        return re.sub(
            r"\{([^}:]+)(:first)?\}",
            lambda hole: values[hole[1]].split("/")[0] if hole[2] else values[hole[1]],
            template,
        )
    except KeyError as error:
        raise SourceError(
            f"{place} has no column {error}, found {', '.join(values)}. Is it of another version?"
        ) from error


def _rows(file: Path) -> list[dict[str, str]]:
    """Return the rows of a table; the names of a CSV's columns are in small letters."""
    if file.suffix == ".json":
        entries = read_json(file, list)
        if not all(isinstance(entry, dict) for entry in entries):
            raise SourceError(f"{file} is not a list of entries. Download it again.")
        return [{key: str(value) for key, value in entry.items()} for entry in entries]
    header, rows = read_csv(file)
    return [dict(zip(header, map(str.strip, values), strict=False)) for _, values in rows]


@cache
def known_layouts() -> tuple[Layout, ...]:
    """Return the data sets of `layouts.yaml`."""
    import yaml

    return tuple(Layout(entry) for entry in yaml.safe_load(LAYOUTS.read_text(encoding="utf-8")))
