"""The DeepFake Detection Challenge: training parts, validation and test."""

import csv
from collections.abc import Iterable
from pathlib import Path

from deepfake.data.sources.base import (
    OfficialCount,
    SourceError,
    by_key,
    read_json,
    videos_in,
)
from preprocessing.types import Label, Split, Video

LABELS: dict[str, Label] = {"real": 0, "0": 0, "fake": 1, "1": 1}
HELD_OUT: dict[str, Split] = {"validation": "val", "val": "val", "test": "test"}


class DFDC:
    """Dolhansky et al., 2020, https://arxiv.org/abs/2006.07397.

    `dfdc_train_part_*/` with `metadata.json` (label and original of each video), here or in
    `train/`; `validation/` and `test/` with `labels.csv` (filename,label) or a `metadata.json` with
    `is_fake`. One training part or the Kaggle sample alone is read too. The actors are not
    published: each training part counts as one person, so that a part is never cut.
    """

    name = "dfdc"
    dataset = "DFDC"
    layout = "dfdc_train_part_*/metadata.json, validation/labels.csv or test/labels.csv"
    official: tuple[OfficialCount, ...] = (
        OfficialCount(19_154, 0, "real", "train"),
        OfficialCount(100_000, 1, "fake", "train"),
        OfficialCount(2_000, 0, "real", "val"),
        OfficialCount(2_000, 1, "fake", "val"),
        OfficialCount(2_500, 0, "real", "test"),
        OfficialCount(2_500, 1, "fake", "test"),
    )

    def matches(self, root: Path) -> bool:
        """Say whether the folder looks like this data set."""
        return bool(_train_parts(root)) or any(
            _labels(folder) is not None for folder, _ in _held_out(root)
        )

    def videos(self, root: Path) -> list[Video]:
        """Return the videos, sorted by key; those on no list have no label."""
        found = []
        for part in _train_parts(root):
            found += self._train(part)
        for folder, split in _held_out(root):
            labels = _labels(folder) or {}
            for path in videos_in(folder):
                found.append(self._video(path, labels.get(path.name), split))
        return by_key(found)

    def missing(self, root: Path) -> list[str]:
        """Say which lists, parts and listed videos are not there."""
        lacks = []
        numbered = [part for part in _train_parts(root) if part.name.startswith("dfdc_train_part")]
        if 0 < len(numbered) < 50:
            lacks.append(f"{50 - len(numbered)} of 50 training parts")
        for part in _train_parts(root):
            here = {path.name for path in videos_in(part)}
            absent = len(read_json(part / "metadata.json").keys() - here)
            if absent:
                lacks.append(f"{absent} videos that {part / 'metadata.json'} lists")
        for folder, _ in _held_out(root):
            if _labels(folder) is None:
                lacks.append(f"{folder / 'labels.csv'}: these videos have no label")
        return lacks

    def _train(self, part: Path) -> list[Video]:
        entries = read_json(part / "metadata.json")
        # Actors stay within a part as far as the field knows; nobody published who they are.
        people = (part.name,) if part.name.startswith("dfdc_train_part") else ()
        found = []
        for path in videos_in(part):
            entry = entries.get(path.name, {})
            label = LABELS.get(str(entry.get("label", "")).lower())
            original = entry.get("original")
            source = f"{self.dataset}/real/{Path(original).stem}" if original else None
            found.append(self._video(path, label, "train", people=people, source=source))
        return found

    def _video(
        self,
        path: Path,
        label: Label | None,
        split: Split,
        *,
        people: tuple[str, ...] = (),
        source: str | None = None,
    ) -> Video:
        return Video(
            path=path,
            name=path.stem,
            dataset=self.dataset,
            method="" if label is None else ("real", "fake")[label],
            label=label,
            identities=people,
            source=source,
            split=split,
        )


def _train_parts(root: Path) -> list[Path]:
    folders: Iterable[Path] = (
        root,
        *root.glob("dfdc_train_part_*"),
        *root.glob("train/dfdc_train_part_*"),
        root / "train_sample_videos",
    )
    return [folder for folder in sorted(folders) if _is_train_part(folder)]


def _is_train_part(folder: Path) -> bool:
    path = folder / "metadata.json"
    if not path.is_file():
        return False
    if folder.name.startswith("dfdc_train_part"):
        return True
    entries = read_json(path)  # some other project's metadata.json, or that of test/
    return isinstance(entries, dict) and any(
        isinstance(entry, dict) and entry.get("label") in {"REAL", "FAKE"}
        for entry in entries.values()
    )


def _held_out(root: Path) -> list[tuple[Path, Split]]:
    return [(root / name, split) for name, split in HELD_OUT.items() if (root / name).is_dir()]


def _labels(folder: Path) -> dict[str, Label] | None:
    """Return the label of each file name; None where no list is found."""
    table, listing = folder / "labels.csv", folder / "metadata.json"
    if table.is_file():
        with table.open(encoding="utf-8-sig", newline="") as lines:
            rows = list(csv.DictReader(lines))
        if not rows or not {"filename", "label"} <= rows[0].keys():
            return None
        return {row["filename"]: _label(row["label"], table) for row in rows}
    if listing.is_file():
        entries = read_json(listing)
        return {
            name: _label(str(entry["is_fake"]), listing)
            for name, entry in entries.items()
            if "is_fake" in entry
        }
    return None


def _label(text: str, where: Path) -> Label:
    if text.lower() not in LABELS:
        raise SourceError(f"{where}: unknown label {text!r}. Write 0 for real, 1 for fake.")
    return LABELS[text.lower()]
