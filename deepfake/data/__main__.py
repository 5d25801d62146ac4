"""`python -m deepfake.data`: check a folder of crops, list data sets, pack images and crops."""

import argparse
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from deepfake.cli.console import DONE, SOME_FAILED, Parser, command, one_line, run


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = Parser(prog="python -m deepfake.data", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    check = commands.add_parser(
        "check",
        help="find what the sides of the split share, and labels that the files give away",
        description="Exit status 0 where nothing was found, 1 where something was.",
    )
    check.add_argument("faces", type=Path, nargs="?", default=Path("data/faces"))
    check.add_argument("--seed", type=int, default=0, help="of the split, as in training")
    commands.add_parser("sources", help="list the data sets that preprocess recognises")
    pack = commands.add_parser(
        "pack", help="write each folder of images below ROOT as a lossless video beside it"
    )
    pack.add_argument("root", type=Path)
    pack.add_argument("--fps", type=int, default=25, help="frames per second of the videos")
    shard = commands.add_parser(
        "shard", help="write the crops as WebDataset tar files, for network disks"
    )
    shard.add_argument("faces", type=Path, nargs="?", default=Path("data/faces"))
    shard.add_argument("--out", type=Path, default=Path("data/shards"))
    shard.add_argument("--size", type=float, default=512.0, help="of a tar file at most, in MB")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status."""
    arguments = parser().parse_args(argv)
    if arguments.command == "check":
        return _check(arguments.faces, arguments.seed)
    if arguments.command == "pack":
        from deepfake.data.packing import pack_images

        videos = pack_images(arguments.root, fps=arguments.fps)
        print(f"{len(videos)} videos in {arguments.root}")
        return DONE
    if arguments.command == "shard":
        from deepfake.data.shards.write import write_shards

        count = write_shards(arguments.faces, arguments.out, megabytes=arguments.size)
        print(f"{count} tar files in {arguments.out}")
        print(f"next: {command('train')} --data.root {arguments.out}")
        return DONE
    from deepfake.data.sources.find import SOURCES

    for source in SOURCES:
        print(f"{source.name:18}{source.dataset:22}{source.layout}")
    return DONE


def _check(folder: Path, seed: int) -> int:
    from deepfake.data.shards.read import read_records
    from deepfake.data.splits.giveaways import shortcuts
    from deepfake.data.splits.leaks import describe, split_folder
    from preprocessing.crops.manifest import read_table
    from preprocessing.types import Split

    manifest = read_table(folder)
    plan, leaks = split_folder(manifest, folder, seed=seed)
    labels = dict(zip(*(manifest[name].to_pylist() for name in ("video", "label")), strict=True))
    print(f"{len(labels)} videos in {folder}")
    for side in get_args(Split):
        counts = Counter(labels[key] for key in plan.videos(side))
        print(f"  {side:6}{counts[0]:8} real{counts[1]:8} fake{counts[None]:8} without label")
    for note in plan.notes:
        print(f"note: {one_line(note)}")
    for line in describe(leaks):
        print(f"leak: {one_line(line)}")
    found = shortcuts(read_records(folder))
    for shortcut in found:
        if shortcut.strong:
            print(f"shortcut: {shortcut.name} alone gives an AUROC of {shortcut.auroc:.2f}")
    weak = [f"{each.name} {each.auroc:.2f}" for each in found if not each.strong]
    if weak:
        print(f"AUROC of a property alone: {', '.join(weak)}")
    strong = sum(shortcut.strong for shortcut in found)
    if not leaks and not strong and not plan.leaky:
        print("Nothing found.")
        return DONE
    print(f"{len(leaks)} leaks, {strong} shortcuts.")
    return SOME_FAILED


if __name__ == "__main__":
    logging.captureWarnings(capture=True)
    run(main)
