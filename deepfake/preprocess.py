"""Find the faces in videos and cut them out: `python -m deepfake.preprocess videos/`."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from deepfake.cli.console import (
    DONE,
    NOTHING_DONE,
    SOME_FAILED,
    Parser,
    command,
    one_line,
    progress_bar,
    run,
)
from deepfake.cli.limits import add_limits, limits_of
from deepfake.errors import DeepfakeError

if TYPE_CHECKING:
    from preprocessing.batch import BatchReport, Engine
    from preprocessing.types import PreprocessOptions, Video

DEFAULT_OUT = Path("data/faces")
logger = logging.getLogger(__name__)


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = Parser(
        prog="python -m deepfake.preprocess",
        description="Find the faces in videos with MTCNN, link them into one track per person, cut "
        "square crops, and write them with a manifest. Run again, it goes on where it was.",
        epilog="Exit status: 0 done, 1 some videos failed (see failures.csv), 2 nothing done.",
    )
    add = parser.add_argument
    add("videos", nargs="+", help="folder, file or pattern; real/ and fake/ folders give labels")
    add("--out", type=Path, default=DEFAULT_OUT, help="folder of crops (default: %(default)s)")
    add(
        "--source",
        default="auto",
        help="layout of the data set, or a class of your own: my_module.MySource (default: found "
        "by looking)",
    )
    add("--labels", type=Path, help="CSV with path,label and optionally identity, method, split")
    add("--frames", type=int, default=32, help="per video, evenly spaced (default: %(default)s)")
    add("--margin", type=float, help="around the face, each side, as a fraction (default: 0.3)")
    add("--size", type=int, help="largest side of a stored crop, in pixels (default: 400)")
    add("--crop", choices=("square", "box", "aligned"), help="its shape (default: square)")
    add(
        "--inside",
        choices=("stills", "always"),
        help="where crops shrink instead of reaching beyond their picture (default: stills)",
    )
    add("--recipe", help="crop as a published family, such as sbi_efficientnet_b4, was trained")
    add("--format", choices=("png", "jpg"), default="png", help="of the crops (default: png)")
    add("--min-face", type=int, help="smallest face, in pixels (default: by the frame's size)")
    add("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: all cores)")
    add("--engine", choices=("local", "ray"), default="local", help="where (default: local)")
    add("--address", help="of a Ray cluster's head; auto for a running one")
    add("--device", default="cpu", help="cuda decodes and detects on a GPU (default: cpu)")
    add("--timeout", type=float, default=900.0, help="give a video up after this many seconds")
    add("--shard", default="0/1", metavar="I/N", help="do every N-th video from the I-th on")
    add("--reuse-boxes", action="store_true", help="cut fakes where their originals have faces")
    add("--dry-run", action="store_true", help="print what was recognised and stop")
    add_limits(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status."""
    arguments = parser().parse_args(argv)
    options = _options(arguments)
    _check_device(arguments)
    number, count = _shard(arguments.shard)

    from deepfake.data.sources import find_videos, summary

    videos: list[Video] = []
    for given in dict.fromkeys(arguments.videos):
        videos += find_videos(Path(given), source=arguments.source, labels=arguments.labels)
    videos = list({video.path: video for video in videos}.values())
    if arguments.dry_run:
        roots = [] if arguments.labels else [Path(given) for given in arguments.videos]
        print(summary(videos, roots, arguments.source))
        return DONE
    _tell_labels(videos)
    lock = ".lock" if count == 1 else f".lock-{number}-of-{count}"
    report = _work(videos[number::count], arguments, options, lock)
    _tell(report, arguments.out)
    failed = [failure for failure in report.failures if failure.stage != "faces"]
    if not failed:
        return DONE
    return SOME_FAILED if report.done else NOTHING_DONE


def _tell_labels(videos: "Sequence[Video]") -> None:
    """Say before hours of work that videos without a label will teach nothing."""
    unknown = sum(video.label is None for video in videos)
    if unknown:
        some = f"{len(videos) - unknown} of {len(videos)} videos get"
        logger.warning(
            "%s a label: without one a video cannot be trained on or evaluated. Put videos below "
            "real/ and fake/, or give --labels CSV.",
            some if unknown < len(videos) else "no video gets",
        )


def _options(arguments: argparse.Namespace) -> "PreprocessOptions":
    from preprocessing.types import PreprocessOptions

    for name, least in (("frames", 1), ("size", 16), ("workers", 1)):
        given = getattr(arguments, name)
        if given is not None and given < least:
            raise DeepfakeError(f"--{name} must be at least {least}")
    if not 0 <= (arguments.margin or 0) <= 2:
        raise DeepfakeError("--margin must lie between 0 and 2")
    if arguments.min_face is not None and arguments.min_face < 12:
        raise DeepfakeError("--min-face must be at least 12 pixels, MTCNN's window")
    options = PreprocessOptions()
    if arguments.recipe is not None:
        from deepfake.checkpoints.loading import published_crops

        options = published_crops(arguments.recipe)
    names = {"margin": "margin", "inside": "inside", "crop": "crop", "crop_size": "size"}
    given = {name: getattr(arguments, option) for name, option in names.items()}
    return replace(
        options,
        frames=arguments.frames,
        image_format=arguments.format,
        min_face_size=arguments.min_face,
        **{name: value for name, value in given.items() if value is not None},
    )


def _check_device(arguments: argparse.Namespace) -> None:
    if arguments.device == "cpu":
        return
    if arguments.sandbox or arguments.engine != "local":
        raise DeepfakeError("--device is for local workers outside a sandbox.")
    import torch

    try:
        torch.zeros(1, device=arguments.device)
    except (AssertionError, RuntimeError) as error:  # torch has no type of its own for it
        reason = str(error).splitlines()[0]
        raise DeepfakeError(f"--device {arguments.device} cannot be used: {reason}") from error


def _shard(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    if not (number.isdigit() and count.isdigit() and int(number) < int(count)):
        raise DeepfakeError(f"--shard wants I/N with I from 0 to N-1, got {text!r}")
    return int(number), int(count)


def _work(
    videos: "Sequence[Video]",
    arguments: argparse.Namespace,
    options: "PreprocessOptions",
    lock: str,
) -> "BatchReport":
    from preprocessing.batch import Job, local_engine, preprocess_videos
    from preprocessing.workers.local import MEMORY_BYTES, Outcome

    engine: Engine
    if arguments.engine == "ray":
        from preprocessing.workers.ray import ray_engine

        if arguments.sandbox:
            raise DeepfakeError("--sandbox confines local workers: leave out --engine ray.")
        engine = ray_engine(arguments.address, arguments.timeout)
    else:
        on_cpu = arguments.device == "cpu"
        engine = local_engine(
            arguments.workers,
            arguments.timeout,
            memory_bytes=MEMORY_BYTES if on_cpu else None,  # CUDA reserves more than there is
            sandbox=arguments.sandbox,
        )
    with progress_bar() as bar:
        task = bar.add_task("videos", total=len(videos), rate="")
        crops = 0

        def on_start(total: int, skipped: int) -> None:
            bar.update(task, completed=skipped, total=total)

        def on_video(outcome: Outcome[Job, int]) -> None:
            nonlocal crops
            crops += outcome.result or 0
            if outcome.stage:
                bar.console.print(
                    one_line(f"{outcome.task.video.path}: {outcome.reason}"),
                    markup=False,
                    highlight=False,
                    soft_wrap=True,
                )
            elapsed = bar.tasks[0].elapsed or 1e-9
            bar.update(task, advance=1, rate=f"{crops / elapsed:.0f} faces/s")

        return preprocess_videos(
            videos,
            arguments.out,
            options,
            engine,
            on_start=on_start,
            on_video=on_video,
            lock=lock,
            reuse_boxes=arguments.reuse_boxes,
            limits=limits_of(arguments),
            device=arguments.device,
        )


def _tell(report: "BatchReport", out: Path) -> None:
    skipped = f" ({report.skipped} from an earlier run)" if report.skipped else ""
    print(f"{report.done} videos{skipped}, {report.crops} crops in {out}/")
    faceless = [failure for failure in report.failures if failure.stage == "faces"]
    for failure in faceless[:10]:
        print(one_line(f"  {failure.video}: {failure.reason}"))
    if len(report.failures) > 0:
        print(f"{len(report.failures)} videos without crops: see {out / 'failures.csv'}")
    if report.crops:
        print(f"next: {command('train')}" + (f" --data.root {out}" * (out != DEFAULT_OUT)))


if __name__ == "__main__":
    run(lambda: main(sys.argv[1:]))
