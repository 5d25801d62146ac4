"""The crops that the default model is trained on: `python -m recipes.default_model.material`.

Reads the index files of `../shared/data/train`, whose README lists sources and terms.
"""

import argparse
import csv
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from deepfake.cli.console import DONE, NOTHING_DONE, run
from preprocessing.batch import local_engine, preprocess_videos
from preprocessing.errors import DeepfakeError
from preprocessing.types import PreprocessOptions, Split, Video

logger = logging.getLogger(__name__)

OPTIONS = PreprocessOptions(frames=32, margin=0.3, crop_size=320)


def photographs(root: Path) -> Iterator[Video]:
    """Yield the real photographs, each a video of one frame."""
    for row in _rows(root / "faces" / "index.csv"):
        yield Video(
            path=root / "faces" / row["path"],
            name=Path(row["path"]).with_suffix("").as_posix(),
            dataset=row["source"],
            method="real",
            label=0,
            identities=(row["identity"],),
            split=cast(Split, row["split"]),
        )


def real_videos(root: Path) -> Iterator[Video]:
    """Yield the unmanipulated clips."""
    for row in _rows(root / "real_videos" / "index.csv"):
        yield Video(
            path=root / "real_videos" / row["path"],
            name=Path(row["path"]).stem,
            dataset="real_videos",
            method="real",
            label=0,
            identities=(f"person {row['person_group']}",),
            split=cast(Split, row["split"]),
        )


def pairs(root: Path) -> Iterator[Video]:
    """Yield the face-swapped clips and the clips they were made from."""
    for row in _rows(root / "deepfacelive_pairs" / "pairs.csv"):
        fake = row["label"] == "fake"
        people = (f"person {row['person_group']}", f"celebrity {row['celebrity_group']}")
        video = Video(
            path=root / "deepfacelive_pairs" / row["path"],
            name=row["pair"],
            dataset="deepfacelive_pairs",
            method="DeepFaceLive" if fake else "real",
            label=1 if fake else 0,
            identities=people if fake else people[:1],
            source=f"deepfacelive_pairs/real/{row['pair']}" if fake else None,
            split=cast(Split, row["split"]),
        )
        yield video


def generated(root: Path) -> Iterator[Video]:
    """Yield the portraits that a diffusion model made."""
    for row in _rows(root / "generated" / "index.csv"):
        yield Video(
            path=root / "generated" / row["path"],
            name=Path(row["path"]).stem,
            dataset="generated",
            method="Stable Diffusion 3",
            label=1,
            split=cast(Split, row["split"]),
        )


def videos(root: Path) -> list[Video]:
    """Return everything that the default model is trained or validated on.

    Raises:
        DeepfakeError: The folder is not the training material.
    """
    if not (root / "faces" / "index.csv").is_file():
        raise DeepfakeError(
            f"No {root / 'faces' / 'index.csv'}. Give the folder of the training material, "
            "such as ../shared/data/train."
        )
    return [
        video for source in (pairs, real_videos, generated, photographs) for video in source(root)
    ]


def main() -> int:
    """Cut the faces out of everything and write the manifest."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.default_model.material", description=__doc__
    )
    parser.add_argument("root", type=Path, nargs="?", default=Path("../shared/data/train"))
    parser.add_argument("--out", type=Path, default=Path("data/default_model"))
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    engine = local_engine(given.workers)
    report = preprocess_videos(videos(given.root), given.out, OPTIONS, engine)
    for failure in report.failures:
        logger.warning("%s: %s", failure.video, failure.reason)
    logger.info("%d crops of %d videos in %s", report.crops, report.done, given.out)
    return DONE if report.crops else NOTHING_DONE


def _rows(table: Path) -> Iterator[dict[str, str]]:
    with table.open(encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines)


if __name__ == "__main__":
    run(main)
