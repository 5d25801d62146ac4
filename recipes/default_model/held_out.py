"""Gather whole files that nothing was trained on: `python -m recipes.default_model.held_out`.

What the model's probability, threshold and undecided band are fitted on: face swaps by several
tools, real clips, and photographs of people on the held-out side of the split. The folder that is
written is one for `python -m deepfake.preprocess`, and then for `python -m deepfake.calibrate`.
"""

import argparse
import csv
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from recipes.default_model.store import FaceStore

logger = logging.getLogger(__name__)

PHOTOGRAPHS = 12  # of each source
Row = tuple[Path, str, str, str]  # file, label, data set, method


def clips(devval: Path, media: Path) -> Iterator[Row]:
    """Yield reals and swaps of the rebuilt clips kept for validation."""
    for row in _rows(devval):
        if row["use"] == "val" and row["kind"] in ("real", "swap"):
            label = "real" if row["kind"] == "real" else "fake"
            method = row["tool_or_dataset"] if label == "fake" else ""
            yield media / row["out"], label, row["source"], method


def labelled(folder: Path) -> Iterator[Row]:
    """Yield the labelled clips of `../shared/data/clips`; its photographs are left out."""
    for row in _rows(folder / "labels.csv"):
        if row["path"].endswith((".mp4", ".avi", ".mov", ".webm", ".mkv")):
            method = row["method"] if row["label"] == "fake" else ""
            yield folder / row["path"], row["label"], row["dataset"], method


def pairs(folder: Path) -> Iterator[Row]:
    """Yield DeepFaceLive's clips of held-out people with their originals."""
    for row in _rows(folder / "pairs.csv"):
        if row["split"] == "val":
            method = "DeepFaceLive" if row["label"] == "fake" else ""
            yield folder / row["path"], row["label"], "DeepFaceLive", method


def real_videos(folder: Path) -> Iterator[Row]:
    """Yield the real videos on the held-out side."""
    for row in _rows(folder / "index.csv"):
        if row["split"] == "val":
            yield folder / row["path"], "real", row["dataset"], ""


def photographs(store: FaceStore, folder: Path) -> Iterator[Row]:
    """Yield some photographs of held-out people of each source, chosen by a fixed draw."""
    rng = np.random.default_rng(0)
    for domain in sorted(set(store.domain.tolist())):
        found = np.flatnonzero((store.domain == domain) & (store.split == "val"))
        for row in rng.permutation(found)[:PHOTOGRAPHS]:
            yield folder / str(store.name[row]), "real", str(domain), ""


def _rows(table: Path) -> Iterator[dict[str, str]]:
    with table.open(encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines)


def main() -> None:
    """Copy the files and write their table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--more", type=Path, default=Path("data/more"))
    parser.add_argument("--material", type=Path, default=Path("data/default_model"))
    parser.add_argument("--out", type=Path, default=Path("data/held_out"))
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    train = given.data / "train"
    found = [
        *clips(given.more / "devval.csv", given.more / "clips"),
        *labelled(given.data / "clips"),
        *pairs(train / "deepfacelive_pairs"),
        *real_videos(train / "real_videos"),
        *photographs(FaceStore(given.material / "photographs"), given.more / "real"),
        *photographs(FaceStore(given.material / "faces"), train / "faces"),
    ]
    given.out.mkdir(parents=True, exist_ok=True)
    with (given.out / "labels.csv").open("w", encoding="utf-8", newline="") as lines:
        table = csv.writer(lines)
        table.writerow(["path", "label", "dataset", "method"])
        for number, (file, label, dataset, method) in enumerate(found):
            name = f"{number:04d}{file.suffix.lower()}"
            shutil.copyfile(file, given.out / name)
            table.writerow([name, label, dataset, method])
    reals = sum(label == "real" for _, label, *_ in found)
    logger.info("%d real and %d fake files in %s", reals, len(found) - reals, given.out)


if __name__ == "__main__":
    main()
