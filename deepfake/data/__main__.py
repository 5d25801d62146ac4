"""`python -m deepfake.data`: check a folder of crops, list data sets, pack images and crops."""

import argparse
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from deepfake.cli.console import DONE, SOME_FAILED, Parser, command, one_line, run
from preprocessing.types import Label, Split

if TYPE_CHECKING:
    import pyarrow as pa


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
    check.add_argument("other", type=Path, nargs="?", help="find what two folders share instead")
    check.add_argument("--seed", type=int, default=0, help="of the split, as in training")
    verify = commands.add_parser(
        "verify",
        help="say what of a protocol a folder has, lacks, has beside it and labels otherwise",
        description="Exit status 0 where nothing is missing and no label differs, else 1.",
    )
    verify.add_argument("protocol", help="a shipped one, such as ffpp-c23, or a file")
    verify.add_argument("faces", type=Path, nargs="?", default=Path("data/faces"))
    verify.add_argument("--split", choices=("train", "val", "test"), help="only this side of it")
    protocol = commands.add_parser(
        "protocol", help="write the labelled videos of a folder with their sides as a protocol"
    )
    protocol.add_argument("faces", type=Path)
    protocol.add_argument("--out", type=Path, required=True, help="file NAME.csv")
    protocol.add_argument("--version", default="1")
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
    commands.metavar = f"{{{','.join(commands.choices)}}}"  # to be named where none is given
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status."""
    arguments = vars(parser().parse_args(argv))
    verbs: dict[str, Callable[..., int]] = {
        "check": _check,
        "verify": _verify,
        "protocol": _write_protocol,
        "sources": _sources,
        "pack": _pack,
        "shard": _shard,
    }
    return verbs[arguments.pop("command")](**arguments)


def _pack(root: Path, fps: int) -> int:
    from deepfake.data.packing import pack_images

    print(f"{len(pack_images(root, fps=fps))} videos in {root}")
    return DONE


def _shard(faces: Path, out: Path, size: float) -> int:
    from deepfake.data.shards.write import write_shards

    print(f"{write_shards(faces, out, megabytes=size)} tar files in {out}")
    print(f"next: {command('train')} --data.root {out}")
    return DONE


def _sources() -> int:
    from deepfake.data.sources.find import SOURCES

    for source in SOURCES:
        print(f"{source.name:18}{source.dataset:22}{source.layout}")
    return DONE


def _check(faces: Path, other: Path | None, seed: int) -> int:
    from deepfake.data.shards.read import read_records
    from deepfake.data.splits.giveaways import shortcuts
    from deepfake.data.splits.leaks import compare_folders, describe, split_folder
    from preprocessing.crops.manifest import read_table

    manifest = read_table(faces)
    if other is not None:
        leaks = compare_folders(faces, other)
        for line in describe(leaks):
            print(f"shared: {one_line(line)}")
        folders = [(manifest, faces), (read_table(other), other)]
        return _end(folders, None, f"{len(leaks)} shared." if leaks else "")
    plan, leaks = split_folder(manifest, faces, seed=seed)
    labels = _labels(manifest)
    print(f"{len(labels)} videos in {faces}")
    for side in get_args(Split):
        counts = Counter(labels[key] for key in plan.videos(side))
        print(f"  {side:6}{counts[0]:8} real{counts[1]:8} fake{counts[None]:8} without label")
    for note in plan.notes:
        print(f"note: {one_line(note)}")
    for line in describe(leaks):
        print(f"leak: {one_line(line)}")
    found = shortcuts(read_records(faces))
    strong = [shortcut for shortcut in found if shortcut.strong]
    for shortcut in strong:
        print(f"shortcut: {shortcut.name} alone gives an AUROC of {shortcut.auroc:.2f}")
    weak = [f"{each.name} {each.auroc:.2f}" for each in found if not each.strong]
    if weak:
        print(f"AUROC of a property alone: {', '.join(weak)}")
    bad = leaks or strong or plan.leaky
    told = f"{len(leaks)} leaks, {len(strong)} shortcuts." if bad else ""
    return _end([(manifest, faces)], plan.assignment, told)


def _labels(manifest: "pa.Table") -> dict[str, Label | None]:
    """Return the label of each video by key."""
    return dict(zip(*(manifest[name].to_pylist() for name in ("video", "label")), strict=True))


def _end(
    folders: "Sequence[tuple[pa.Table, Path]]",
    assignment: Mapping[str, Split] | None,
    told: str,
) -> int:
    """Say what people look like each other, then what was found; return the exit status."""
    looks = _say_of_people(folders, assignment)
    print(told or (f"Nothing else found{looks}." if looks else "Nothing found."))
    return SOME_FAILED if told else DONE


def _verify(protocol: str, faces: Path, split: str | None) -> int:
    from deepfake.data.protocols import find_protocol, verify
    from deepfake.data.shards.read import read_records

    wanted = find_protocol(protocol)
    labels = {record.key: record.video.label for record in read_records(faces)}
    found = verify(wanted, labels, split=split)
    print(f"{wanted}: {len(wanted.of(split))} videos, sha256 {wanted.sha256}")
    for title, keys in vars(found).items():
        shown = "" if title == "have" else one_line("".join(f" {key}" for key in keys[:3]))
        print(f"  {title.replace('_', ' '):14}{len(keys):8}{shown}")
    return DONE if found.complete else SOME_FAILED


def _write_protocol(faces: Path, out: Path, version: str) -> int:
    from deepfake.data.protocols import Protocol
    from deepfake.data.splits.leaks import split_folder
    from preprocessing.crops.manifest import read_table

    manifest = read_table(faces)
    plan, _ = split_folder(manifest, faces)
    labels = _labels(manifest).items()
    videos = {key: (label, plan.assignment[key]) for key, label in labels if label is not None}
    protocol = Protocol(out.stem, version, videos)
    protocol.write(out)
    print(f"{protocol}: {len(videos)} videos in {out}")
    return DONE


def _say_of_people(
    folders: "Sequence[tuple[pa.Table, Path]]", assignment: Mapping[str, Split] | None
) -> str:
    """Print whose faces are alike on two sides; return what to add to "nothing found"."""
    import pyarrow.compute as pc

    from deepfake.data.splits.looks import alike_people

    counts = [pc.list_value_length(table["identities"]) for table, _ in folders]
    named = all(pc.all(pc.greater(count, 0)).as_py() for count in counts)
    pairs = alike_people(folders, assignment)
    for a, b, apart in (pairs or [])[:5]:
        print(f"note: {one_line(f'{a} and {b} may show the same person: faces {apart:.2f} apart')}")
    if len(pairs or []) > 5:
        print(f"note: {len(pairs or []) - 5} more pairs of videos may show the same person")
    if pairs is None:
        if named:
            return ""
        print(
            "note: not all videos name their people, so people were not compared. Name them in "
            "labels.csv, or compare faces: pip install -e '.[recognition]'."
        )
        return "; people were not compared"
    return "" if named and not pairs else "; people were compared by their faces alone"


if __name__ == "__main__":
    logging.captureWarnings(capture=True)
    run(main)
