"""The DeepFake Detection Challenge: training parts, validation and test."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from deepfake.data.sources.base import OfficialCount, bare, by_key, check_list, videos_in
from deepfake.data.sources.texts import read_csv, read_json
from deepfake.errors import SourceError
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
            entries, paths = _entries(part), videos_in(part)
            fits = sum(bare(path.name) in entries for path in paths)
            check_list(part / "metadata.json", fits=fits, videos=len(paths))
            # Actors stay within a part as far as the field knows; nobody published who they are.
            people = (part.name,) if part.name.startswith("dfdc_train_part") else ()
            for path in paths:
                entry = entries.get(bare(path.name), {})
                label = LABELS.get(str(entry.get("label", "")).lower())
                video, original = _video(path, label, "train"), entry.get("original")
                source = f"{self.dataset}/real/{Path(str(original)).stem}" if original else None
                found.append(replace(video, identities=people, source=source))
        for folder, split in _held_out(root):
            labels, paths = _labels(folder), videos_in(folder)
            found += [_video(p, (labels or {}).get(bare(p.name)), split) for p in paths]
            if labels is not None:
                fits = sum(bare(path.name) in labels for path in paths)
                check_list(folder, fits=fits, videos=len(paths))
        return by_key(found)

    def missing(self, root: Path) -> list[str]:
        """Say which lists, parts and listed videos are not there."""
        lacks = []
        numbered = [part for part in _train_parts(root) if part.name.startswith("dfdc_train_part")]
        if 0 < len(numbered) < 50:
            lacks.append(f"{50 - len(numbered)} of 50 training parts")
        for part in _train_parts(root):
            absent = len(_entries(part).keys() - {bare(path.name) for path in videos_in(part)})
            if absent:
                lacks.append(f"{absent} videos that {part / 'metadata.json'} lists")
        for folder, _ in _held_out(root):
            if _labels(folder) is None:
                lacks.append(f"{folder / 'labels.csv'}: these videos have no label")
        return lacks


def _video(path: Path, label: Label | None, split: Split) -> Video:
    method = "" if label is None else ("real", "fake")[label]
    return Video(path, path.stem, DFDC.dataset, method, label=label, split=split)


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
    # It may be some other project's metadata.json, or that of test/.
    entries = read_json(path, object)
    return isinstance(entries, dict) and any(
        isinstance(entry, dict) and entry.get("label") in {"REAL", "FAKE"}
        for entry in entries.values()
    )


def _entries(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what metadata.json says of each file, by its bare name."""
    path = folder / "metadata.json"
    entries = read_json(path, dict)
    if not all(isinstance(entry, dict) for entry in entries.values()):
        raise SourceError(f"{path} must hold what is known of each video. Download it again.")
    return {bare(name): entry for name, entry in entries.items()}


def _held_out(root: Path) -> list[tuple[Path, Split]]:
    return [(root / name, split) for name, split in HELD_OUT.items() if (root / name).is_dir()]


def _labels(folder: Path) -> dict[str, Label] | None:
    """Return the label of each bare file name; None where no list is found."""
    table, listing = folder / "labels.csv", folder / "metadata.json"
    if table.is_file():
        header, lines = read_csv(table)
        if not {"filename", "label"} <= set(header):
            return None
        rows = [dict(zip(header, values, strict=False)) for _, values in lines]
        return {bare(row["filename"]): _label(row.get("label", ""), table) for row in rows}
    if listing.is_file():
        entries = _entries(folder).items()
        return {name: _label(str(e["is_fake"]), listing) for name, e in entries if "is_fake" in e}
    return None


def _label(text: str, where: Path) -> Label:
    if text.strip().lower() not in LABELS:
        raise SourceError(f"{where}: unknown label {text!r}. Write 0 for real, 1 for fake.")
    return LABELS[text.strip().lower()]
