"""Write a checkpoint in another format: `python -m deepfake.export --format onnx --out m.onnx`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from deepfake.cli.console import DONE, Parser, add_imports, one_line, run
from deepfake.cli.outside import import_modules

SUFFIXES = {
    "onnx": ".onnx",
    "openvino": ".xml",
    "safetensors": ".safetensors",
}


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = Parser(
        prog="python -m deepfake.export",
        description="Write a checkpoint in another format, with all its settings inside, and "
        "compare the scores of both. `predict --checkpoint` reads .onnx, .xml and .safetensors.",
        epilog="Exit status: 0 done, 2 refused; one line says why.",
    )
    add = parser.add_argument
    add("--checkpoint", type=Path, help="default: runs/latest, else the model that is shipped")
    add("--format", choices=SUFFIXES, required=True, help="safetensors holds the weights alone")
    add("--out", type=Path, required=True, help="file to write; openvino writes a .bin beside it")
    add("--half", action="store_true", help="store float16 weights: half the file, same speed")
    add("--push", metavar="USER/NAME", help="upload the file to the Hugging Face Hub as well")
    add_imports(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status."""
    arguments = parser().parse_args(argv)
    import_modules(arguments.imports)
    _check(arguments)

    from deepfake.checkpoints.export import export
    from deepfake.checkpoints.loading import find_checkpoint

    checkpoint = find_checkpoint(arguments.checkpoint)
    parity = export(checkpoint, arguments.format, arguments.out, half=arguments.half)
    size_mb = arguments.out.stat().st_size / 1e6
    print(one_line(f"{checkpoint} -> {arguments.out} ({size_mb:.1f} MB)"))
    print(f"largest difference of scores: {parity.difference:.1e} on {parity.faces} inputs")
    if arguments.push is not None:
        from deepfake.checkpoints.hub import push

        commit = push(arguments.out, arguments.push)
        print(one_line(f"pushed: {arguments.push} at {commit}"))
    return DONE


def _check(arguments: argparse.Namespace) -> None:
    from deepfake.errors import DeepfakeError

    suffix = SUFFIXES[arguments.format]
    if arguments.out.suffix != suffix:
        raise DeepfakeError(
            f"--out {arguments.out}: a file of format {arguments.format} ends in {suffix}. "
            f"Write --out {arguments.out.with_suffix(suffix)}."
        )
    if arguments.push is not None:
        from deepfake.checkpoints.hub import HUB, check_pushable
        from deepfake.errors import require

        check_pushable(arguments.out)
        require(*HUB)
    if not arguments.out.parent.is_dir():
        raise DeepfakeError(f"--out {arguments.out}: make the folder {arguments.out.parent} first.")


if __name__ == "__main__":
    run(lambda: main(sys.argv[1:]))
