"""Print our figures beside those of the reference procedure.

python -m benchmarks [NAME ...] [--clip FILE ...] [--json]

A benchmark is a module of its name in this package with `run(clips) -> list[Row]`. The ratio says
how many times better ours is; absolute times hold for one machine and moment only.
"""

import argparse
import importlib
import json
import logging
import sys
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from benchmarks.measure import Row, default_clips, write

NAMES = (
    *("detect", "preprocess", "predict", "floor", "long", "many"),
    *("infer", "train", "load", "self_blending", "evaluate"),
)


def table(rows: list[Row]) -> str:
    """Return rows as a table for reading."""
    lines = [("what", "case", "ours", "reference", "ratio", "spread", "unit")]
    for row in rows:
        figures = (f"{row.ours:.4g}", f"{row.reference:.4g}", f"{row.ratio:.2f}")
        lines.append((row.name, row.case, *figures, f"{row.spread:.2f}", row.unit))
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def main() -> None:
    """Run the named benchmarks, or all that there are."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--clip", nargs="+", type=Path, default=[], help="videos to measure on")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    arguments = parser.parse_args()
    present = [name for name in NAMES if find_spec(f"benchmarks.{name}")]
    unknown = sorted(set(arguments.names) - set(present))
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(present)}")
    missing = [str(clip) for clip in arguments.clip if not clip.is_file()]
    if missing:
        parser.error(f"no such file: {', '.join(missing)}")
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)

    rows: list[Row] = []
    for name in arguments.names or present:
        found = importlib.import_module(f"benchmarks.{name}").run(arguments.clip or default_clips())
        path = write(name, found)
        logging.getLogger(__name__).info("%s written", path)
        rows += found
    print(json.dumps([asdict(row) for row in rows], indent=1) if arguments.json else table(rows))


if __name__ == "__main__":
    main()
