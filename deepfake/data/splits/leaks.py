"""What is on two sides of a split and must not be: people, footage, test videos."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from deepfake.data.splits.assign import SplitPlan, assign_splits
from deepfake.data.splits.crop_hashes import crop_hashes
from deepfake.data.splits.duplicates import near_duplicates
from deepfake.data.splits.groups import one_per_video, people
from deepfake.inference.faces import evenly
from preprocessing.crops.manifest import read_table, rows_of
from preprocessing.types import FaceCrop, Split

Kind = Literal["identity", "source video", "partner", "near-duplicate", "test video", "same video"]
HASHED = 12  # crops of each video that are compared: of a trimmed copy some must fall together


@dataclass(frozen=True)
class Leak:
    """Something that two sides share.

    Args:
        kind: What they share.
        videos: Keys of two videos that show it, on different sides; one key for a test video.
        sides: The sides that share it; two folders where folders are compared.
        evidence: One sentence that a user can check.
    """

    kind: Kind
    videos: tuple[str, ...]
    sides: tuple[str, ...]
    evidence: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.evidence}"


def split_folder(
    manifest: pa.Table, folder: Path, *, seed: int = 0
) -> tuple[SplitPlan, list[Leak]]:
    """Split the manifest of a folder, near-duplicates together, and return what is still shared.

    That is what the official lists share: everything else is split by group.

    Args:
        manifest: Rows of the folder's manifest.
        folder: Where the crops are; a few of each video are read, once.
        seed: Changes which groups go where.
    """
    rows = sample_rows(manifest)
    alike = list(near_duplicates(crop_hashes(rows, folder)))
    plan = assign_splits(rows, seed=seed, twins=[(first, second) for first, second, _ in alike])
    return plan, find_leaks(rows, plan.assignment, alike)


def find_leaks(
    rows: Iterable[FaceCrop],
    assignment: Mapping[str, Split],
    alike: Iterable[tuple[str, str, int]] = (),
) -> list[Leak]:
    """Return what the sides share, sorted.

    Args:
        rows: Some crops of every video.
        assignment: Side of each video, by key.
        alike: Pairs of videos of one footage, with the bits in which their hashes differ.
    """
    videos = one_per_video(rows)
    found = [*_shared(videos, assignment), *_misplaced(videos, assignment)]
    for first, second, bits in alike:
        sides = (assignment[first], assignment[second])
        linked = {videos[first].source, videos[second].source} & {first, second}
        if sides[0] != sides[1] and not linked:  # partners are named as such
            names = f"{first} in {sides[0]} and {second} in {sides[1]}"
            found.append(_near_duplicate((first, second), sides, names, bits))
    return sorted(found, key=lambda leak: (leak.kind, leak.videos))


def compare_folders(first: Path, second: Path) -> list[Leak]:
    """Return what two folders of crops share: videos, people by name, footage. Sorted."""
    rows = [sample_rows(read_table(folder)) for folder in (first, second)]
    one, two = (one_per_video(each) for each in rows)
    sides = (str(first), str(second))
    leaks = [
        Leak("same video", (key, key), sides, f"{key} is in both folders")
        for key in sorted(one.keys() & two.keys())
    ]
    names: list[dict[tuple[str, str], str]] = [
        {person: key for key, crop in videos.items() for person in people(crop)}
        for videos in (one, two)
    ]
    for person in sorted(names[0].keys() & names[1].keys()):
        a, b = names[0][person], names[1][person]
        text = f"person {person[1]} is in both folders, such as in {a} and {b}"
        leaks.append(Leak("identity", (a, b), sides, text))
    hashes = [crop_hashes(each, folder) for each, folder in zip(rows, (first, second), strict=True)]
    for a, b, bits in near_duplicates(*hashes):
        if a != b:
            leaks.append(_near_duplicate((a, b), sides, f"{a} and {b}", bits))
    return sorted(leaks, key=lambda leak: (leak.kind, leak.videos))


def _near_duplicate(videos: tuple[str, str], sides: tuple[str, str], names: str, bits: int) -> Leak:
    text = f"{names} look the same: their crops differ in {bits} of 256 bits"
    return Leak("near-duplicate", videos, sides, text)


def describe(leaks: Sequence[Leak], shown: int = 5) -> list[str]:
    """Return one line a leak, of each kind the first few and how many more there are."""
    lines = []
    for kind, count in Counter(leak.kind for leak in leaks).items():
        lines += [str(leak) for leak in leaks if leak.kind == kind][:shown]
        if count > shown:
            lines.append(f"{kind}: {count - shown} more")
    return lines


def sample_rows(manifest: pa.Table, per_video: int = HASHED) -> list[FaceCrop]:
    """Return a few rows of each video, evenly spaced over those that it has."""
    _, number = np.unique(manifest["video"].to_numpy(zero_copy_only=False), return_inverse=True)
    order = np.argsort(number, kind="stable")
    starts = np.flatnonzero(np.diff(number[order], prepend=-1))
    chosen = [
        rows[np.unique(evenly(len(rows), per_video))]
        for rows in np.split(order, starts[1:])
        if len(rows)
    ]
    return list(rows_of(manifest.take(pa.array(np.sort(np.concatenate(chosen)))))) if chosen else []


def _shared(videos: Mapping[str, FaceCrop], assignment: Mapping[str, Split]) -> Iterator[Leak]:
    """Yield people, and sources of fakes, whose videos are on several sides."""
    sharing: defaultdict[tuple[Kind, str], list[str]] = defaultdict(list)
    for key, crop in videos.items():
        for dataset, name in people(crop):
            where = f" of {dataset}" if dataset else ""
            sharing["identity", f"person {name}{where}"].append(key)
        if crop.source:
            sharing["source video", f"fakes made from {crop.source}"].append(key)
    for (kind, what), keys in sharing.items():
        counts = Counter(assignment[key] for key in keys)
        if len(counts) > 1:
            sides = tuple(sorted(counts))
            shown = tuple(next(key for key in keys if assignment[key] == side) for side in sides)
            where = ", ".join(f"{counts[side]} {side}" for side in sides)
            yield Leak(kind, shown, sides, f"{what}: {where} videos, such as {' and '.join(shown)}")


def _misplaced(videos: Mapping[str, FaceCrop], assignment: Mapping[str, Split]) -> Iterator[Leak]:
    """Yield fakes that are on another side than their real video, and official test videos."""
    purpose = {"train": "trained on", "val": "used to choose the checkpoint and the threshold"}
    for key, crop in videos.items():
        side, source = assignment[key], crop.source
        if source and source in videos and assignment[source] != side:
            text = f"{source} is in {assignment[source]}, {key}, made from it, in {side}"
            yield Leak("partner", (source, key), (assignment[source], side), text)
        if crop.split == "test" and side != "test":
            text = f"{key} is an official test video and is {purpose[side]}"
            yield Leak("test video", (key,), (side,), text)
