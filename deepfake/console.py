"""What the commands share: errors in one line, exit statuses, progress on a terminal."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from preprocessing.errors import DeepfakeError

if TYPE_CHECKING:
    from rich.progress import Progress

DONE, SOME_FAILED, NOTHING_DONE = 0, 1, 2
INTERRUPTED = 130


def run(main: Callable[[], int]) -> None:
    """Run a command and exit: its errors become one line on stderr and status 2."""
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    try:
        status = main()
        sys.stdout.flush()
    except DeepfakeError as error:
        fail(str(error))
    except KeyboardInterrupt:
        print_error("interrupted; run the same command again to go on")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(SOME_FAILED)
    sys.exit(status)


def fail(message: str) -> None:
    """Print an error and exit with status 2."""
    print_error(message)
    sys.exit(NOTHING_DONE)


def print_error(message: str) -> None:
    """Print one line on stderr; control characters of file names are escaped."""
    sys.stderr.write(f"error: {one_line(message)}\n")


def one_line(text: str) -> str:
    """Return text without control characters, so that a file name cannot steer a terminal."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text
    )


@contextmanager
def progress_bar() -> Iterator["Progress"]:
    """Show a bar with rate and time left on stderr, if that is a terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns: tuple[Any, ...] = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        yield bar
