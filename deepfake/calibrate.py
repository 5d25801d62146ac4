"""Calibrate a checkpoint on labelled videos: `python -m deepfake.calibrate --data data/faces`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from deepfake.cli.console import DONE, Parser, add_imports, one_line, run
from deepfake.cli.outside import import_modules
from deepfake.errors import DeepfakeError


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = Parser(
        prog="python -m deepfake.calibrate",
        description="Score labelled videos, and write the checkpoint again with the probabilities, "
        "the threshold and the undecided band that these bear out. The videos must be like those "
        "to be judged, and none of them may have been trained on.",
        epilog="Exit status: 0 done, 2 refused; one line says why.",
    )
    add = parser.add_argument
    add("--checkpoint", type=Path, help="default: runs/latest, else the model that is shipped")
    data = "folder that preprocess made of labelled videos (default: %(default)s)"
    add("--data", type=Path, default=Path("data/faces"), help=data)
    out = "to write: .safetensors, or .onnx (published networks)"
    add("--out", type=Path, required=True, help=out)
    add("--split", choices=("train", "val", "test"), help="of the videos, this side alone")
    add("--aggregate", metavar="RULE", help="from faces to a verdict (default: the checkpoint's)")
    add("--false-alarms", type=float, default=0.05, help="of reals, the threshold (default: 0.05)")
    add("--target-error", type=float, default=0.05, help="of the decided (default: 0.05)")
    add_imports(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status."""
    arguments = parser().parse_args(argv)
    _check(arguments)
    import_modules(arguments.imports)

    from deepfake.evaluation.calibrating import calibrate

    fitted = calibrate(
        arguments.checkpoint,
        arguments.data,
        arguments.out,
        split=arguments.split,
        rule=arguments.aggregate,
        false_alarms=arguments.false_alarms,
        target_error=arguments.target_error,
    )
    low, high = fitted.undecided
    print(
        one_line(f"{arguments.out}: fitted on {fitted.reals} real and {fitted.fakes} fake videos")
    )
    print(fitted.limits() or f"real below {low:.2f}, fake from {high:.2f}, undecided between")
    return DONE


def _check(arguments: argparse.Namespace) -> None:
    from deepfake.aggregation import RULES

    for name in ("false_alarms", "target_error"):
        if not 0 < getattr(arguments, name) < 1:
            option, given = "--" + name.replace("_", "-"), getattr(arguments, name)
            raise DeepfakeError(f"{option} must lie between 0 and 1, got {given}")
    if arguments.aggregate is not None and arguments.aggregate not in RULES:
        raise DeepfakeError(
            f"--aggregate {arguments.aggregate}: no such rule. Choose of {', '.join(RULES)}."
        )
    if arguments.out.suffix not in (".safetensors", ".onnx"):
        raise DeepfakeError(f"--out {arguments.out}: the name must end in .safetensors or .onnx")
    if not arguments.out.parent.is_dir():
        raise DeepfakeError(f"--out {arguments.out}: make the folder {arguments.out.parent} first.")


if __name__ == "__main__":
    run(lambda: main(sys.argv[1:]))
