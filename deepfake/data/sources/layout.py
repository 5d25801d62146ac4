"""Data sets that an entry of `layouts.yaml` describes: by paths, or by a table beside them."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
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
from deepfake.data.sources.folder import SPLITS
from deepfake.data.sources.texts import read_csv, read_json
from deepfake.errors import SourceError
from preprocessing.types import Label, Split, Video
from preprocessing.video.files import walk

LAYOUTS = Path(__file__).with_name("layouts.yaml")
Part = Mapping[str, Any]  # of an entry
Values = Mapping[str, str]  # groups of a path, columns of a row


class Layout:
    """A data set in the layout that its own download leaves, as `layouts.yaml` tells it.

    Args:
        entry: Of `layouts.yaml`, whose head says what its keys mean.
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
        self.lists: Mapping[Split, str] = entry.get("lists", {})

    def matches(self, root: Path) -> bool:
        """Say whether the folder looks like this data set."""
        there = sum(any(_there(root, pattern)) for pattern in self.entry["needs"])
        enough = bool(there >= self.entry.get("least", 1))
        version = self.entry.get("version")
        if not enough or version is None:
            return enough
        name = root.resolve().name.lower()
        if version["name"] in name or version["other"] in name:
            return bool(version["name"] in name)
        lines = len(read_lines(root / self.lists["test"]))
        return bool(lines == version.get("lines", lines) and lines != version.get("unlike"))

    def videos(self, root: Path) -> list[Video]:
        """Return the videos, sorted by key.

        Raises:
            SourceError: A table or a list is damaged, or a list fits too few of the videos.
        """
        files = [path for path in walk(root) if is_video(path)]
        sides, people = self._listed(root), self._people(root)
        reals: dict[str, str] = {}  # keys of the real videos, by what their fakes call them
        partners: dict[str, str] = {}  # what fakes call their real ones, by the fake's key
        found, called = [], []
        for path, part, values in self._found(root, files):
            split = sides.get(values["called"]) or (self.entry.get("rest") if sides else None)
            video = _video(path, part, values, split, people)
            found.append(video)
            called.append(values["called"])
            if "known_as" in part:
                reals.setdefault(_filled(part["known_as"], values, path), video.key)
            if "partner" in part:
                partners[video.key] = _filled(part["partner"], values, path)
        if sides:
            self._check(root, sides, called, [video.label for video in found])
        here = set(files)
        sources = {key: reals.get(name) for key, name in partners.items()}
        videos = [
            replace(video, source=sources.get(video.key, video.source))
            for video in found
            if video.path in here
        ]
        if not videos and "empty" in self.entry:
            raise SourceError(self.entry["empty"].format(root=root))
        return by_key(_with_mentioned(videos) if "mentions" in self.entry else videos)

    def missing(self, root: Path) -> list[str]:
        """Say which parts, lists and listed videos are not there."""
        entry = self.entry
        absent = [each for each in self.lists.values() if not any(_there(root, each))]
        names = ", ".join(each.rpartition("}")[2] for each in absent)
        lacks = [entry.get("no_list", "{}").format(names)] if absent else []
        beside = [entry[key]["file"] for key in ("people", "beside") if key in entry]
        for each in (*entry.get("wants", entry["needs"]), *beside):
            lacks += [one for one in _spread(each) if not any(root.glob(one))]
        files = [path for path in walk(root) if is_video(path)]
        found = list(self._found(root, files))
        if "table" in entry:
            gone = len({path for path, _, _ in found} - set(files))
            tables = " or ".join(dict.fromkeys(part["files"] for part in entry["table"]))
            lacks += [f"{gone} videos that {tables} lists"] if gone else []
        elif "rest" in entry:
            gone = len(self._listed(root).keys() - {values["called"] for _, _, values in found})
            lacks += [f"{gone} videos that {self.lists['test']} names"] if gone else []
        words = entry.get("words", {})
        return [*(words.get(line, line) for line in lacks), *entry.get("lacks", ())]

    def _found(self, root: Path, files: Sequence[Path]) -> Iterator[tuple[Path, Part, Values]]:
        """Yield the videos, those too that a table lists in vain, with what is known of each."""
        return self._by_table(root, files) if "table" in self.entry else self._by_path(root, files)

    def _by_path(self, root: Path, files: Sequence[Path]) -> Iterator[tuple[Path, Part, Values]]:
        within = self.entry.get("within", "")
        parts = [(re.compile(within + part["path"]), part) for part in self.entry["parts"]]
        beside = self._beside(root)
        for path in files:
            place = path.as_posix().removeprefix(f"{root.as_posix()}/")
            stem = place.removesuffix(path.suffix)
            for pattern, part in parts:
                if match := pattern.fullmatch(stem):
                    values = defaultdict(str, beside.get(bare(place), {}) if beside else {})
                    values |= {name: text or "" for name, text in match.groupdict().items()}
                    values |= {"dataset": self.dataset, "place": stem}
                    named = _filled(part.get("listed", "{place}"), values, path)
                    values["called"] = bare(f"{named}{path.suffix}") if named else ""
                    yield path, part, values
                    break

    def _by_table(self, root: Path, files: Sequence[Path]) -> Iterator[tuple[Path, Part, Values]]:
        places = defaultdict(list)
        for path in files:
            places[path.name].append(path)
        for part in self.entry["table"]:
            for file in sorted(root.glob(part["files"])):
                for row in _rows(file, keyed=part.get("keyed", False)):
                    _check_row(row, part.get("must", {}), file)
                    place = _filled(part["path"], row, file)
                    path = root / place
                    named = places.get(path.name, [])
                    if len(named) == 1 and path.parent == root:  # in a folder of its archive
                        path = named[0]
                    stem = re.sub(r"\.[^./]*$", "", place)
                    if match := re.fullmatch(part.get("place", ".*"), stem):
                        known = {"dataset": self.dataset, "called": ""}
                        yield path, part, {**row, **match.groupdict(), **known}

    def _beside(self, root: Path) -> dict[str, dict[str, str]]:
        """Return the rows of a table that says more of the files, the first of each, by place."""
        if "beside" not in self.entry or not (root / self.entry["beside"]["file"]).is_file():
            return {}
        file = root / self.entry["beside"]["file"]
        found: dict[str, dict[str, str]] = {}
        for row in _rows(file):
            place = bare(_filled(self.entry["beside"]["path"], row, file).replace("\\", "/"))
            found.setdefault(place.removeprefix(bare(f"{self.dataset}/")), row)
        return found

    def _people(self, root: Path) -> dict[str, Split]:
        people = self.entry.get("people")
        if people is None or not (root / people["file"]).is_file():
            return {}
        rows = _rows(root / people["file"])
        return {row[people["identity"]]: SPLITS[row[people["split"]]] for row in rows}

    def _listed(self, root: Path) -> dict[str, Split]:
        """Return the sides of what the official lists name, as `bare` writes it."""
        found: dict[str, Split] = {}
        for split, pattern in self.lists.items():
            file = next(_there(root, pattern), None)
            for name in [] if file is None else _names(file, self.entry.get("marked")):
                if found.setdefault(bare(name), split) != split:
                    raise SourceError(
                        f"Video {name} is in {found[bare(name)]} and in {file}. "
                        "Download the lists again."
                    )
        return found

    def _check(
        self,
        root: Path,
        sides: Mapping[str, Split],
        called: Sequence[str],
        labels: Sequence[Label | None],
    ) -> None:
        """Stop where fewer videos are on the lists than all, or than the authors' share of each."""
        expected = float(sum(map(bool, called)))
        if "rest" in self.entry:
            expected = 0
            for label in (0, 1):
                counts = {each.split: each.videos for each in self.official if each.label == label}
                if "train" in counts and "test" in counts:
                    share = counts["test"] / (counts["train"] + counts["test"])
                    expected += share * labels.count(label)
            expected = max(1, min(expected, len(sides)))
        files = [file for each in self.lists.values() for file in _there(root, each)]
        check_list(
            files[0] if len(files) == 1 else files[0].parent,
            fits=sum(name in sides for name in called),
            videos=sum(map(bool, called)),
            expected=expected,
        )


def _spread(pattern: str) -> list[str]:
    """Return a pattern with {several,alternatives} as several."""
    head, brace, rest = pattern.partition("{")
    if not brace:
        return [pattern]
    inside, _, tail = rest.partition("}")
    return [one for each in inside.split(",") for one in _spread(f"{head}{each}{tail}")]


def _there(root: Path, pattern: str) -> Iterator[Path]:
    for one in _spread(pattern):
        yield from root.glob(one)


def _video(
    path: Path, part: Part, values: Values, split: Split | None, people: Mapping[str, Split]
) -> Video:
    rule = part["label"]
    label = _label(rule, values)
    method = _filled(part["method"], values, path) if "method" in part else values.get("method", "")
    if label == 0 and ("method" not in part or isinstance(rule, Mapping)):
        method = "real"
    given = [_filled(text, values, path) for text in part.get("identities", ())]
    identities = tuple(dict.fromkeys(who for who in given if who and not who.endswith("-")))
    side = _filled(part.get("split", "{split}"), {"split": "", **values}, path).lower()
    sided = {people[who] for who in identities if who in people}
    return Video(
        path=path,
        name=_filled(part["name"], values, path).removesuffix(path.suffix),
        dataset=values["dataset"],
        method=method.rstrip("-") or ("fake" if label == 1 else ""),
        compression=values.get("compression", ""),
        label=label,
        identities=identities,
        source=_filled(part["source"], values, path) if "source" in part and label else None,
        split=split or SPLITS.get(side) or (sided.pop() if len(sided) == 1 else None),
    )


def _label(rule: Any, values: Values) -> Label | None:  # noqa: ANN401
    if not isinstance(rule, Mapping):
        return 1 if rule else 0
    found = values.get(rule["column"], "")
    if found in rule["fake"]:
        return 1
    return 0 if found in rule["real"] else None


def _filled(template: str, values: Values, place: Path) -> str:
    try:
        return re.sub(
            r"\{([^}:]*)(:first)?\}",
            lambda hole: values[hole[1]].split("/")[0] if hole[2] else values[hole[1]],
            template,
        )
    except KeyError as error:
        raise SourceError(
            f"{place} has no column {error}, found {', '.join(values)}. Is it of another version?"
        ) from error


def _with_mentioned(videos: Sequence[Video]) -> list[Video]:
    """Return the videos with those people too whose names are parts of the file's name."""
    known = {video.identities[0] for video in videos if video.identities}
    pieces = [[p for p in re.split(r"[_\-]", v.path.stem) if p in known] for v in videos]
    return [
        replace(video, identities=tuple(dict.fromkeys([*video.identities, *mentioned])))
        for video, mentioned in zip(videos, pieces, strict=True)
    ]


def _names(file: Path, fakes: str | None) -> Iterator[str]:
    """Yield what a list names: ids of pairs in a JSON, else the last word of each line.

    Args:
        file: The list.
        fakes: Folder of the fakes, where lines begin with 1 for real or 0 for fake.
    """
    if file.suffix == ".json":
        pairs = read_json(file, list)
        if not all(isinstance(pair, list) for pair in pairs):
            raise SourceError(f"{file} is not a list of pairs of ids. Download it again.")
        yield from (str(who).zfill(3) for pair in pairs for who in pair)
        return
    for line in read_lines(file):
        mark, _, name = line.partition(" ")
        wrong = fakes and (mark == "1") == bare(name).startswith(bare(fakes))
        if fakes and (wrong or mark not in ("0", "1")):
            raise SourceError(f"{file}: {line!r} is not '1 real' or '0 fake'. Download it again.")
        yield line.split()[-1]


def _check_row(row: Values, must: Mapping[str, Sequence[str]], file: Path) -> None:
    if any(row.get(column) not in known for column, known in must.items()):
        wanted = " or no ".join(f"{column} {' or '.join(known)}" for column, known in must.items())
        name = next(iter(row.values()), "")
        raise SourceError(f"{file}: {name} has no {wanted}. Download the file again.")


def _rows(file: Path, *, keyed: bool = False) -> list[dict[str, str]]:
    """Return the rows of a table; the names of a CSV's columns are in small letters.

    Args:
        file: A CSV, or a JSON with a list of entries.
        keyed: The entries of the JSON stand under their paths instead.
    """
    if file.suffix == ".json":
        entries = read_json(file, dict if keyed else list)
        if isinstance(entries, dict):
            entries = [
                {"path": p, **e} if isinstance(e, dict) else {"path": p} for p, e in entries.items()
            ]
        if not all(isinstance(entry, dict) for entry in entries):
            raise SourceError(f"{file} is not a list of entries. Download it again.")
        return [{k: "" if v is None else str(v) for k, v in entry.items()} for entry in entries]
    header, rows = read_csv(file)
    return [dict(zip(header, map(str.strip, values), strict=False)) for _, values in rows]


@cache
def known_layouts() -> tuple[Layout, ...]:
    """Return the data sets of `layouts.yaml`."""
    import yaml

    return tuple(Layout(entry) for entry in yaml.safe_load(LAYOUTS.read_text(encoding="utf-8")))
