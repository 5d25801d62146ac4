"""List the commands, or run one: `deepfake predict clip.mp4`."""

import importlib
import sys
from collections.abc import Sequence

from deepfake.console import DONE, NOTHING_DONE, print_error, run

VERBS = {
    "preprocess": "cut the faces out of videos",
    "train": "train a network on them",
    "evaluate": "measure checkpoints on data sets",
    "predict": "judge clips",
    "export": "write a checkpoint in another format",
    "app": "judge clips in a browser",
}
USAGE = "\n".join(
    [
        "usage: deepfake VERB ...   (the same as python -m deepfake.VERB ...)",
        "",
        *(f"  {verb:<12}{purpose}" for verb, purpose in VERBS.items()),
        "",
        "deepfake VERB --help tells more.",
    ]
)


def dispatch(arguments: Sequence[str]) -> int:
    """Run a verb with its arguments; return the exit status."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return DONE
    verb, *rest = arguments
    if verb not in VERBS:
        print_error(f"there is no verb {verb!r}, only {', '.join(VERBS)}")
        return NOTHING_DONE
    status: int = importlib.import_module(f"deepfake.{verb}").main(rest)
    return status


def main() -> None:
    """Run the command of this process."""
    run(lambda: dispatch(sys.argv[1:]))


if __name__ == "__main__":
    main()
