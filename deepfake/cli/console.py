"""What the commands share: errors in one line, exit statuses, progress on a terminal."""

import argparse
import difflib
import logging
import math
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

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
    except ModuleNotFoundError as error:
        if (error.name or "deepfake").split(".")[0] in ("deepfake", "preprocessing"):
            raise  # a fault of ours
        fail(
            f"{sys.executable} has no module {error.name!r}. For judging alone run "
            "`pip install -e .`, for all else `pip install -e '.[train]'`; `make demo` makes a "
            ".venv with both."
        )
    except KeyboardInterrupt:
        print_error("interrupted; run the same command again to go on")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(SOME_FAILED)
    sys.exit(status)


def fail(message: str) -> NoReturn:
    """Print an error and exit with status 2."""
    print_error(message)
    sys.exit(NOTHING_DONE)


def print_error(message: str) -> None:
    """Print one line on stderr; control characters of file names are escaped."""
    sys.stderr.write(f"error: {one_line(message)}\n")


def print_note(message: str) -> None:
    """Print one line on stderr that is no error."""
    sys.stderr.write(f"{one_line(message)}\n")


def one_line(text: str) -> str:
    """Return text without control characters, so that a file name cannot steer a terminal."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text
    )


class Parser(argparse.ArgumentParser):
    """A command line whose mistakes are told in one line, with the word that was meant."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and exit with status 2."""
        option = re.search(r"(?:unrecognized arguments|ambiguous option):.*?(--[\w-]+)", message)
        choice = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message)
        hint = ""
        if option:
            hint = did_you_mean(option[1], self._option_string_actions)
        elif choice:
            hint = did_you_mean(choice[1], re.findall(r"[\w.-]+", choice[2]))
        fail(f"{message}{hint or '.'} `{self.prog} --help` lists what there is.")


def add_imports(parser: argparse.ArgumentParser) -> None:
    """Add `--import`."""
    parser.add_argument(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="MODULE",
        help="import a module whose classes a checkpoint or an option names; only what you trust",
    )


def command(verb: str) -> str:
    """Return how to run a verb in the way that this process was run."""
    program = sys.argv[0]
    if Path(program).name != "deepfake":
        return f"python -m deepfake.{verb}"
    return f"{'deepfake' if shutil.which('deepfake') == program else program} {verb}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean ...?` for the known word nearest to one, empty if none is near.

    >>> did_you_mean("--reprot", ["--report", "--json"])
    '; did you mean --report?'
    """
    near = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""


def seconds(text: str) -> float:
    """Return a time in seconds, written as seconds or as a clock shows it.

    >>> seconds("83.5"), seconds("1:23.5"), seconds("1:00:02")
    (83.5, 83.5, 3602.0)
    """
    total = 0.0
    try:
        parts = [float(part) for part in text.strip().removesuffix("s").strip().split(":")]
    except ValueError:
        parts = [math.nan]
    for part in parts:
        total = 60 * total + part
    clock = all(0 <= part < math.inf for part in parts) and all(part < 60 for part in parts[1:])
    if not clock or len(parts) > 3:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write 83.5 or 1:23.5")
    return total


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
