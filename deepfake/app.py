"""Judge clips in a browser: `python -m deepfake.app`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from deepfake.cli.console import DONE, Parser, add_imports, run
from deepfake.cli.outside import import_modules
from deepfake.report.languages import LANGUAGES

LOCAL = "127.0.0.1"


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = Parser(
        prog="python -m deepfake.app",
        description="Serve a page on which clips are judged. It asks nothing of other servers, "
        "and removes clips and verdicts after 15 minutes.",
    )
    add = parser.add_argument
    add("--checkpoint", type=Path, action="append", default=[], help="to choose from; repeatable")
    add(
        "--panel",
        type=Path,
        metavar="FILE",
        help="how several become one answer: the panel.json that evaluate wrote of them",
    )
    add("--host", default=LOCAL, help="address to listen on; 0.0.0.0 lets others in")
    add("--port", type=int, default=7860)
    add("--language", choices=LANGUAGES, default="en", help="of the page (default: en)")
    add("--max-mb", type=float, default=500.0, help="largest upload, in megabytes")
    add("--max-seconds", type=float, default=1800.0, help="longest clip, in seconds")
    add_imports(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status."""
    arguments = parser().parse_args(argv)
    import_modules(arguments.imports)

    import logging
    import signal
    import tempfile

    from deepfake.errors import require
    from deepfake.evaluation.stacking import read_stack

    require("gradio", "app", "The web page")
    from deepfake.web.jobs import Jobs, checkpoint_choices
    from deepfake.web.page import build, launch
    from preprocessing.limits import Limits

    logging.getLogger("httpx").setLevel(logging.WARNING)
    checkpoints = checkpoint_choices(arguments.checkpoint)
    stack = None if arguments.panel is None else read_stack(arguments.panel)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that all is removed, as by ^C
    with tempfile.TemporaryDirectory(prefix="deepfake-app-") as folder:
        limits = Limits(duration_s=arguments.max_seconds)
        jobs = Jobs(Path(folder).resolve(), limits, stack)
        page = build(jobs, checkpoints, arguments.language)
        print(f"http://{arguments.host}:{arguments.port}", flush=True)
        launch(page, host=arguments.host, port=arguments.port, max_mb=arguments.max_mb)
    return DONE


if __name__ == "__main__":
    run(lambda: main(sys.argv[1:]))
