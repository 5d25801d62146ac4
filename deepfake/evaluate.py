"""Measure checkpoints on folders of crops: `python -m deepfake.evaluate --data data/faces`.

`python -m deepfake.evaluate report scores.parquet` makes the report again from stored scores, or
from somebody's predictions in a CSV.
"""

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deepfake.cli.console import DONE, SOME_FAILED, Parser, add_imports
from deepfake.cli.console import run as command_line
from deepfake.cli.outside import import_modules, imported
from deepfake.errors import DeepfakeError

if TYPE_CHECKING:
    from deepfake.evaluation.scores import Scores

logger = logging.getLogger(__name__)

DEFAULT_OUT = Path("runs/evaluation")
PANEL = "panel.json"


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
    add("--protocol", metavar="NAME",
        help="only the videos of this list, such as ffpp-c23 or a file; those that are missing "
        "count as not scored")  # fmt: skip
    add("--robustness", action="store_true",
        help="damage the videos, too; needs them where preprocess found them")  # fmt: skip
    add("--device", default="cpu", help="such as cuda (default: cpu)")
    add("--workers", type=int, default=os.cpu_count() or 1,
        help="processes that score many crops on the CPU (default: all cores)")  # fmt: skip
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
    add_imports(parser)
    add = parser.add_argument
    add("--measure", dest="measures", action="append", default=[], metavar="MODULE.FUNCTION",
        help="one of your own, from labels and scores (N,) to a number; repeatable")  # fmt: skip
    add("--subgroups", type=Path, metavar="FILE",
        help="measure apart what a CSV of video and age, sex, skin tone, ... tells apart",
    )  # fmt: skip
    add("--panel", type=Path, metavar="FILE",
        help="how several checkpoints become one answer, fitted before on other videos (default: "
        "it is fitted on these in folds, and written as panel.json for predict)")  # fmt: skip
    add("--out", type=Path, help=f"folder (default: {DEFAULT_OUT})")
    add("--repeats", type=int, default=1000, help="bootstrap draws (default: %(default)s)")
    add("--max-unscored", type=float, default=1.0, metavar="SHARE",
        help="exit with status 1 where a larger share of the labelled videos has no score",
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] == "report":
        arguments = report_parser().parse_args(argv[1:])
        _import(arguments)
        return _report(arguments.files, arguments.out or DEFAULT_OUT, arguments)
    arguments = parser().parse_args(argv)
    _import(arguments)
    out = arguments.out or DEFAULT_OUT

    from deepfake.evaluation.run import SCORES, evaluate

    names = ("split", "protocol", "robustness", "device", "workers")
    asked = {name: getattr(arguments, name) for name in names}
    folders = arguments.data or [Path("data/faces")]
    scores = evaluate(arguments.checkpoint, folders, out=out, **asked)
    status = _report([out / SCORES], out, arguments)
    return SOME_FAILED if scores.failures else status


def _import(given: argparse.Namespace) -> None:
    """Import what the options name, before hours are spent."""
    import_modules([*given.imports, *(path.rpartition(".")[0] for path in given.measures)])
    for path in given.measures:
        if not callable(imported(path)):
            raise DeepfakeError(f"--measure {path}: there is no such function")


def _report(files: Sequence[Path], out: Path, arguments: argparse.Namespace) -> int:
    import pyarrow as pa

    from deepfake.evaluation.coverage import over_limit
    from deepfake.evaluation.embedding import EMBEDDING, SCHEMA, read_embedding
    from deepfake.evaluation.parts import read_subgroups
    from deepfake.evaluation.predictions import read_scores_or_predictions
    from deepfake.evaluation.scores import Scores
    from deepfake.report.evaluation_report import write_report

    if arguments.repeats < 1:
        raise DeepfakeError("--repeats must be at least 1")
    found = [read_scores_or_predictions(path) for path in files]
    judges = {name: judge for one in found for name, judge in one.judges.items()}
    scores = Scores(tuple(video for one in found for video in one.videos), judges)
    scores = _with_panel(scores, out, arguments.panel)
    beside = dict.fromkeys(path.with_name(EMBEDDING) for path in files if path.suffix != ".csv")
    embedded = pa.concat_tables([SCHEMA.empty_table(), *map(read_embedding, beside)])
    subgroups = None if arguments.subgroups is None else read_subgroups(arguments.subgroups)
    how = {"repeats": arguments.repeats, "measures": arguments.measures, "subgroups": subgroups}
    print(write_report(scores, out, embedded=embedded, **how))
    print(f"Report: {out / 'report.html'}")
    over = over_limit(scores, arguments.max_unscored)
    for line in over:
        logger.error("%s", line)
    return SOME_FAILED if over else DONE


def _with_panel(scores: "Scores", out: Path, file: Path | None) -> "Scores":
    """Add what the checkpoints say together; print what each does alone."""
    from deepfake.evaluation.panel import with_panel
    from deepfake.evaluation.stacking import read_stack

    try:
        joined, stack = with_panel(scores, None if file is None else read_stack(file))
    except DeepfakeError as error:
        if file is not None:
            raise
        logger.warning("No panel of these checkpoints: %s", error)
        return scores
    if stack is None:
        return scores
    names = {judge.sha256 or name: name for name, judge in scores.judges.items()}
    for member, rates in stack.rates.items():
        print(f"{names.get(member, member) or 'panel'}: {rates}")
    if file is None:
        out.mkdir(parents=True, exist_ok=True)
        (out / PANEL).write_text(json.dumps(stack.to_dict(), indent=1), encoding="utf-8")
        print(f"Panel: {out / PANEL}")
    return joined


if __name__ == "__main__":
    command_line(main)
