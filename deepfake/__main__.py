"""List the commands, or run one: `deepfake predict clip.mp4`."""

import importlib
import importlib.util
import sys
from collections.abc import Sequence

from deepfake import __version__
from deepfake.cli.console import DONE, NOTHING_DONE, did_you_mean, print_error, run

VERBS = {
    "preprocess": "cut the faces out of videos",
    "train": "train a network on them",
    "evaluate": "measure checkpoints on data sets",
    "predict": "judge clips",
    "calibrate": "fit a checkpoint's probabilities on labelled videos",
    "export": "write a checkpoint in another format",
    "verify": "check signed evidence and judge it again",
    "app": "judge clips in a browser",
    "data": "check a folder of crops, list data sets, pack images and crops",
}
USAGE = "\n".join(
    [
        "usage: deepfake VERB ...   (the same as python -m deepfake.VERB ...)",
        "",
        *(f"  {verb:<12}{purpose}" for verb, purpose in VERBS.items()),
        "",
        "deepfake VERB --help tells more; deepfake --version tells which this is.",
    ]
)


def dispatch(arguments: Sequence[str]) -> int:
    """Run a verb with its arguments; return the exit status."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return DONE
    if arguments[0] == "--version":
        print(f"deepfake {__version__}")
        return DONE
    verb, *rest = arguments
    if verb not in VERBS:
        hint = did_you_mean(verb, VERBS)
        print_error(f"there is no verb {verb!r}{hint or ';'} there are {', '.join(VERBS)}")
        return NOTHING_DONE
    name = f"deepfake.{verb}"
    found = importlib.util.find_spec(name)
    if found is not None and found.submodule_search_locations:
        name += ".__main__"  # a package, such as deepfake.data
    status: int = importlib.import_module(name).main(rest)
    return status


def main() -> None:
    """Run the command of this process."""
    run(lambda: dispatch(sys.argv[1:]))


if __name__ == "__main__":
    main()
