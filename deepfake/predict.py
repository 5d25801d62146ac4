"""Say whether clips are fake: `python -m deepfake.predict clip.mp4`."""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deepfake.console import (
    DONE,
    NOTHING_DONE,
    SOME_FAILED,
    one_line,
    print_error,
    progress_bar,
    run,
)

if TYPE_CHECKING:
    from deepfake.inference import VideoPredictor
    from deepfake.types import Verdict
    from preprocessing.engines import Outcome
    from preprocessing.pipeline import Extraction
    from preprocessing.types import PreprocessOptions


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m deepfake.predict",
        description="Judge whether the people in clips are real or fake. A verdict is a "
        "statistical statement of one model, not evidence by itself.",
        epilog="Exit status: 0 every clip judged (also as undecided), 1 some could not be read, "
        "2 none could.",
    )
    add = parser.add_argument
    add("clips", nargs="+", help="files, folders or patterns of videos and photographs")
    add("--checkpoint", type=Path, help="default: runs/latest, else the model that is shipped")
    add("--aggregate", metavar="RULE", help="from faces to a verdict (default: the checkpoint's)")
    add("--frames", type=int, help="per clip (default: the checkpoint's)")
    add("--start", type=float, default=0.0, help="begin of the span looked at, in seconds")
    add("--end", type=float, help="its end, in seconds")
    add("--json", metavar="FILE", help="write the whole verdicts as JSON; - for standard output")
    add("--workers", type=int, default=1, help="processes that read clips (default: 1)")
    add("--timeout", type=float, default=900.0, help="give a clip up after this many seconds")
    add(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="MODULE",
        help="import a module whose network a checkpoint names; only what you trust",
    )
    return parser


@dataclass(frozen=True)
class Clip:
    """A clip to be looked at by a worker process."""

    path: Path
    options: "PreprocessOptions"
    start_s: float
    end_s: float | None


def look(clip: Clip) -> "Extraction":
    """Find the faces of a clip; runs in a worker process, which may die of it.

    Raises:
        VideoError: The clip cannot be used.
    """
    from preprocessing.batch import detector_for
    from preprocessing.pipeline import extract_faces

    detector = detector_for(clip.options)
    return extract_faces(clip.path, clip.options, detector, start_s=clip.start_s, end_s=clip.end_s)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status."""
    arguments = parser().parse_args(argv)
    _check(arguments)

    from deepfake.checkpoints import load
    from deepfake.inference import VideoPredictor
    from deepfake.inputs import find_clips

    clips = find_clips(arguments.clips)
    _import(arguments.imports)
    checkpoint = load(arguments.checkpoint)
    predictor = VideoPredictor(checkpoint, aggregation=arguments.aggregate, frames=arguments.frames)
    quiet = arguments.json == "-"
    if not quiet:
        print(one_line(f"checkpoint: {checkpoint.name}"))
        if checkpoint.note:
            print(one_line(checkpoint.note))
    verdicts: list[Verdict] = []
    failed = 0
    for outcome in _outcomes(clips, predictor, arguments):
        if outcome.result is None:
            failed += 1
            print_error(_about(outcome.task.path, outcome.reason))
            continue
        verdict = predictor.judge(outcome.task.path, outcome.result)
        verdicts.append(verdict)
        if not quiet:
            print(describe(verdict), flush=True)
    if arguments.json:
        _write_json(arguments.json, verdicts)
    if not failed:
        return DONE
    return SOME_FAILED if verdicts else NOTHING_DONE


def _check(arguments: argparse.Namespace) -> None:
    from deepfake.aggregation import RULES
    from deepfake.errors import DeepfakeError

    if arguments.frames is not None and arguments.frames < 1:
        raise DeepfakeError("--frames must be at least 1")
    if arguments.aggregate is not None and arguments.aggregate not in RULES:
        raise DeepfakeError(
            f"--aggregate {arguments.aggregate}: no such rule. Choose of {', '.join(RULES)}."
        )


def _import(modules: Sequence[str]) -> None:
    import importlib

    from deepfake.errors import DeepfakeError

    sys.path.insert(0, str(Path.cwd()))
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise DeepfakeError(f"--import {name}: {error}") from error


def _outcomes(
    clips: Sequence[Path], predictor: "VideoPredictor", arguments: argparse.Namespace
) -> Iterator["Outcome[Clip, Extraction]"]:
    from preprocessing.engines import run_local

    tasks = [Clip(path, predictor.options, arguments.start, arguments.end) for path in clips]
    workers = max(1, min(arguments.workers, len(tasks), os.cpu_count() or 1))
    with progress_bar() as bar:
        task = bar.add_task("clips", total=len(tasks), rate="")
        for outcome in run_local(
            look,
            tasks,
            workers=workers,
            timeout_s=arguments.timeout,
            meanwhile=predictor.checkpoint.scorer.warm_up,
        ):
            bar.update(task, advance=1)
            yield outcome


def _about(path: Path, reason: str) -> str:
    return reason if path.name in reason else f"{path}: {reason}"


def describe(verdict: "Verdict") -> str:
    """Return the verdict in words, one line for the clip and one per person."""
    score = "no score" if verdict.score is None else f"score {verdict.score:.3f}"
    head = f"{verdict.video}: {verdict.label.upper()} ({score}, threshold {verdict.threshold:.3f})"
    lines = [head]
    if verdict.reason:
        lines.append(f"  {verdict.reason}")
    lines += [
        f"  person {person.track}: {person.score:.3f}  {person.start_s:.1f}-{person.end_s:.1f} s"
        f"  {person.faces} faces"
        for person in verdict.tracks
    ]
    return "\n".join(one_line(line) for line in lines)


def _write_json(target: str, verdicts: Sequence["Verdict"]) -> None:
    """Write one verdict as an object, several as a list."""
    plain = [verdict.to_dict() for verdict in verdicts]
    content = plain[0] if len(plain) == 1 else plain
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    if target == "-":
        sys.stdout.write(text)
        return
    from deepfake.errors import DeepfakeError

    try:
        Path(target).write_text(text, encoding="utf-8")
    except OSError as error:
        raise DeepfakeError(f"--json {target}: {error.strerror}") from error


if __name__ == "__main__":
    run(lambda: main(sys.argv[1:]))
