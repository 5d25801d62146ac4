"""Measure checkpoints on folders of crops: `python -m deepfake.evaluate --data data/faces`.

`python -m deepfake.evaluate report scores.parquet` makes the report again from stored scores, or
from somebody's predictions in a CSV.
"""

import argparse
import logging
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from deepfake.cli.console import DONE, SOME_FAILED, Parser, progress_bar, run
from deepfake.errors import DeepfakeError

if TYPE_CHECKING:
    from deepfake.checkpoints.loading import Checkpoint
    from deepfake.evaluation.embedding import EmbeddedFace
    from deepfake.evaluation.scores import ScoreRow
    from preprocessing.types import FaceCrop, Split

    Folder = tuple[Path, list[FaceCrop], list[FaceCrop]]

logger = logging.getLogger(__name__)

DEFAULT_OUT = Path("runs/evaluation")
SCORES = "scores.parquet"


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = Parser(
        prog="python -m deepfake.evaluate",
        description="Score every face of folders made by preprocess, and report what the scores "
        "are worth, with intervals.",
        epilog="`python -m deepfake.evaluate report FILE...` reports stored scores "
        "(scores.parquet) or predictions of others (CSV with video,label,score). "
        "Exit status: 0 done, 1 some videos could not be damaged or too many have no score, "
        "2 nothing done.",
    )
    add = parser.add_argument
    add("--checkpoint", nargs="+", action="extend", type=Path, metavar="C",
        help="one or more (default: the latest run, else the shipped model)")  # fmt: skip
    add("--data", nargs="+", action="extend", type=Path, metavar="DIR",
        help="folders made by preprocess (default: data/faces)")  # fmt: skip
    add(
        "--split",
        choices=("train", "val", "test"),
        help="only these videos (default: all); sides as the checkpoint's run drew them, where "
        "the data set has no official ones",
    )
    add("--robustness", action="store_true",
        help="damage the videos, too; needs them where preprocess found them")  # fmt: skip
    add("--device", default="cpu", help="such as cuda (default: cpu)")
    _add_output(parser)
    return parser


def report_parser() -> argparse.ArgumentParser:
    """Return the command line of `report`."""
    parser = Parser(
        prog="python -m deepfake.evaluate report",
        description="Make tables, figures and a page from stored scores.",
    )
    parser.add_argument("files", nargs="+", type=Path, help="scores.parquet, or a CSV")
    _add_output(parser)
    return parser


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, help=f"folder (default: {DEFAULT_OUT})")
    parser.add_argument(
        "--repeats", type=int, default=1000, help="bootstrap draws (default: %(default)s)"
    )
    parser.add_argument(
        "--max-unscored", type=float, default=1.0, metavar="SHARE",
        help="exit with status 1 where a larger share of the labelled videos has no score",
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] == "report":
        arguments = report_parser().parse_args(argv[1:])
        return _report(arguments.files, arguments.out or DEFAULT_OUT, arguments)
    arguments = parser().parse_args(argv)
    out = arguments.out or DEFAULT_OUT

    from deepfake.evaluation.embedding import EMBEDDING, EmbeddedFace, write_embedding
    from deepfake.evaluation.faces import group_names, read_folders
    from deepfake.evaluation.scores import Judge, write_scores

    measured = read_folders(arguments.data or [Path("data/faces")])
    rows: list[ScoreRow] = []
    judges: dict[str, Judge] = {}
    embedded: list[EmbeddedFace] = []
    failures = 0
    for name, checkpoint in _load(arguments.checkpoint or [None], arguments.device).items():
        found = checkpoint.calibration
        fitted = found if found.reals or found.method != "none" else None
        judges[name] = Judge(fitted, checkpoint.aggregation, checkpoint.sha256)
        folders = _of_split(measured, arguments.split, name, checkpoint)
        groups = group_names(crop for _, crops, empty in folders for crop in [*crops, *empty])
        rows += _score(name, checkpoint, folders, groups)
        if arguments.robustness:
            damaged, failed = _damage(name, checkpoint, folders, groups)
            rows += damaged
            failures += failed
        embedded += _embed(name, checkpoint, folders)
        write_embedding(out / EMBEDDING, embedded)
        write_scores(out / SCORES, rows, judges)  # each time, so that no finished one is lost
    status = _report([out / SCORES], out, arguments)
    return SOME_FAILED if failures else status


def _report(files: Sequence[Path], out: Path, arguments: argparse.Namespace) -> int:
    from deepfake.evaluation.coverage import over_limit
    from deepfake.evaluation.embedding import EMBEDDING, read_embedding
    from deepfake.evaluation.predictions import read_scores_or_predictions
    from deepfake.evaluation.scores import Scores
    from deepfake.report.evaluation_report import write_report

    if arguments.repeats < 1:
        raise DeepfakeError("--repeats must be at least 1")
    found = [read_scores_or_predictions(path) for path in files]
    judges = {name: judge for one in found for name, judge in one.judges.items()}
    scores = Scores(tuple(video for one in found for video in one.videos), judges)
    beside = dict.fromkeys(path.with_name(EMBEDDING) for path in files if path.suffix != ".csv")
    embedded = [face for path in beside for face in read_embedding(path)]
    print(write_report(scores, out, repeats=arguments.repeats, embedded=embedded))
    print(f"Report: {out / 'report.html'}")
    over = over_limit(scores, arguments.max_unscored)
    for line in over:
        logger.error("%s", line)
    return SOME_FAILED if over else DONE


def _of_split(
    folders: "Sequence[Folder]", split: str | None, name: str, checkpoint: "Checkpoint"
) -> "list[Folder]":
    """Return the crops of one side, each with the side that the checkpoint's run saw it on."""
    from deepfake.data.splits.assign import SPLITS, read_splits

    file = Path(checkpoint.name)
    drawn = read_splits(file.with_name(SPLITS)) if file.is_file() else {}
    if split is None:
        _warn_of_training(folders, drawn, name)

    def sided(crops: "Sequence[FaceCrop]") -> "list[FaceCrop]":
        known = [
            replace(crop, split=drawn[crop.video])
            if crop.split in (None, "train") and crop.video in drawn
            else crop
            for crop in crops
        ]
        return [crop for crop in known if split in (None, crop.split)]

    chosen = [(folder, sided(crops), sided(empty)) for folder, crops, empty in folders]
    if not any(crops for _, crops, _ in chosen):
        names = ", ".join(str(folder) for folder, _, _ in folders)
        which = f" of split {split}" if split else ""
        raise DeepfakeError(f"No face{which} in {names}. Give other --data or no --split.")
    return chosen


def _warn_of_training(folders: "Sequence[Folder]", drawn: "Mapping[str, Split]", name: str) -> None:
    """Say in a line how many of the videos the checkpoint was trained with."""
    videos = {crop.video for _, crops, _ in folders for crop in crops}
    sides = Counter(drawn.get(key) for key in videos)
    if sides["train"] or sides["val"]:
        logger.warning(
            "%s was trained on %d and chosen on %d of the %d videos measured, so its figures are "
            "too good; --split test measures the others.",
            name,
            sides["train"],
            sides["val"],
            len(videos),
        )


def _load(paths: "Sequence[Path | None]", device: str) -> "dict[str, Checkpoint]":
    """Load checkpoints under short names: "folder/file", with a number where two are alike."""
    from deepfake.checkpoints.loading import load

    found: dict[str, Checkpoint] = {}
    for path in paths:
        checkpoint = load(path, device=device)
        file = Path(checkpoint.name)
        name = short = f"{file.parent.name}/{file.stem}".lstrip("/")
        number = 1
        while name in found:
            number += 1
            name = f"{short} {number}"
        found[name] = checkpoint
    return found


def _score(
    name: str, checkpoint: "Checkpoint", folders: "Sequence[Folder]", groups: dict[str, str]
) -> "list[ScoreRow]":
    from deepfake.evaluation.faces import check_options, image_reader, score_crops, to_row

    rows = []
    with progress_bar() as bar:
        total = sum(len(crops) for _, crops, _ in folders)
        task = bar.add_task(f"{name}: faces", total=total, rate="")
        for folder, crops, empty in folders:
            check_options(folder, checkpoint.preprocess, name)
            rows += [to_row(crop, name, groups[crop.video]) for crop in empty]
            for crop, *looks in score_crops(
                checkpoint.scorer,
                checkpoint.recipe,
                crops,
                image_reader(folder, crops),
                frames=checkpoint.frames,
            ):
                rows.append(to_row(crop, name, groups[crop.video], (looks[0], looks[1], looks[2])))
                bar.advance(task)
    return rows


def _embed(
    name: str, checkpoint: "Checkpoint", folders: "Sequence[Folder]"
) -> "list[EmbeddedFace]":
    """Return a map of the faces' features, where the checkpoint is a network of torch."""
    from deepfake.evaluation.embedding import embed
    from deepfake.evaluation.faces import image_reader

    features = getattr(checkpoint.scorer, "features", None)
    if features is None:
        return []
    readers = {
        id(crop): read
        for folder, crops, _ in folders
        for read in (image_reader(folder, crops),)
        for crop in crops
    }
    return embed(
        name,
        features,
        checkpoint.recipe,
        [crop for _, crops, _ in folders for crop in crops],
        lambda crop: readers[id(crop)](crop),
        frames=checkpoint.frames,
    )


def _damage(
    name: str, checkpoint: "Checkpoint", folders: "Sequence[Folder]", groups: dict[str, str]
) -> "tuple[list[ScoreRow], int]":
    from deepfake.data.shards.read import read_records
    from deepfake.errors import VideoError
    from deepfake.evaluation.robustness import score_damaged

    rows: list[ScoreRow] = []
    failed = 0
    with progress_bar() as bar:
        for folder, crops, _ in folders:
            wanted = {crop.video for crop in crops}
            records = [one for one in read_records(folder) if one.key in wanted]
            for record in bar.track(records, description=f"{name}: damage"):
                faces = [crop for crop in crops if crop.video == record.key]
                try:
                    rows += score_damaged(
                        checkpoint, name, record, faces, groups[record.key], folder
                    )
                except VideoError as error:
                    logger.warning("%s is left out of robustness: %s", record.key, error)
                    failed += 1
    return rows, failed


if __name__ == "__main__":
    run(main)
