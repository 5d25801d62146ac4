"""Training, validation and test sides that share no person and no source video."""

import csv
import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isclose
from pathlib import Path
from typing import get_args

from deepfake.data.splits.groups import groups, one_per_video
from deepfake.errors import DeepfakeError
from preprocessing.types import FaceCrop, Split

SIDES: tuple[Split, ...] = get_args(Split)
SPLITS = "splits.csv"  # of a run, beside its checkpoints


@dataclass(frozen=True)
class SplitPlan:
    """Which video is on which side.

    Args:
        assignment: Side of each video, by the video's key.
        leaky: True where people or whole videos had to be shared between sides: there were too
            few groups. Numbers measured on such sides mean nothing.
        notes: What a user should know, in one sentence each.
    """

    assignment: Mapping[str, Split]
    leaky: bool = False
    notes: tuple[str, ...] = ()

    def videos(self, split: Split) -> frozenset[str]:
        """Return the keys on one side; all keys where a leaky plan has none for it."""
        keys = frozenset(key for key, side in self.assignment.items() if side == split)
        return frozenset(self.assignment) if self.leaky and not keys else keys


def write_splits(path: Path, assignment: Mapping[str, Split]) -> None:
    """Write the side of each video as a CSV of video and split, sorted by the video's key."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["video", "split"])
        writer.writerows(sorted(assignment.items()))


def read_splits(path: Path) -> dict[str, Split]:
    """Read what `write_splits` wrote; nothing where there is no file.

    Raises:
        DeepfakeError: It is something else; the message names the line.
    """
    if not path.is_file():
        return {}
    known = {str(side): side for side in SIDES}
    found: dict[str, Split] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            key, side = row.get("video"), known.get(row.get("split") or "")
            if key is None or side is None:
                raise DeepfakeError(
                    f"{path}, line {number}: expected a video and one of {', '.join(SIDES)}. "
                    "Training writes this file; remove it if it was changed."
                )
            found[key] = side
    return found


def assign_splits(
    rows: Sequence[FaceCrop],
    *,
    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15),
    seed: int = 0,
    twins: Sequence[tuple[str, str]] = (),
) -> SplitPlan:
    """Put every video of the manifest on one side.

    Official lists win. A video that is on none follows the listed videos it is linked to. What is
    left, and the training side of a data set whose lists have no validation side, is split by
    group, so that each side gets its fraction of every manipulation method. The same videos give
    the same plan in any order of rows. One data set's split does not depend on the others.

    Args:
        rows: Crops of the manifest; those of one video agree about it.
        fractions: Share of train, val and test among the videos without official split.
        seed: Changes which groups go where.
        twins: Pairs of videos that show the same footage, as far as known; they stay together.
    """
    if len(fractions) != 3 or min(fractions) < 0 or not isclose(sum(fractions), 1, abs_tol=1e-6):
        raise ValueError(f"fractions are of train, val, test and add up to 1, got {fractions}")
    videos = one_per_video(rows)
    pools: defaultdict[str, dict[str, FaceCrop]] = defaultdict(dict)
    for group in groups(videos, twins=twins):
        for key in group:
            pools[videos[group[0]].dataset][key] = videos[key]
    wanted: dict[Split, float] = dict(zip(SIDES, fractions, strict=True))
    assignment: dict[str, Split] = {}
    notes: list[str] = []
    leaky = False
    for dataset, pool in sorted(pools.items()):
        plan = _split_pool(pool, wanted, seed, twins)  # those of other pools link nothing here
        assignment |= plan.assignment
        leaky |= plan.leaky
        notes += [f"{dataset}: {note}" if dataset else note for note in plan.notes]
    sides = set(assignment.values())
    if "train" in sides and "val" not in sides:
        leaky = True
        notes.append("Validation uses the training videos: its numbers mean nothing.")
    ordered = {key: assignment[key] for key in sorted(assignment)}
    return SplitPlan(ordered, leaky, tuple(notes))


def _split_pool(
    videos: Mapping[str, FaceCrop],
    fractions: Mapping[Split, float],
    seed: int,
    twins: Sequence[tuple[str, str]],
) -> SplitPlan:
    """Split one data set."""
    official = {key: crop.split for key, crop in videos.items() if crop.split is not None}
    listed: set[Split] = set(official.values())
    fixed = official | _followers(groups(videos, twins=twins), videos, official)
    sides = [side for side in SIDES if not listed or side in listed | {"train", "val"}]
    notes: tuple[str, ...] = ()
    if "train" in listed and "val" not in listed:  # validation comes out of the training list
        fixed = {key: side for key, side in fixed.items() if side != "train"}
        sides = ["train", "val"]
        notes = ("The official lists have no validation side; it was taken from training.",)
    free = {key: crop for key, crop in videos.items() if key not in fixed}
    wanted = {side: fractions[side] for side in sides if fractions[side] > 0}
    twins = [(first, second) for first, second in twins if first in free and second in free]
    drawn = _draw(free, wanted, seed, twins, must_fill=not {"train", "val"} <= listed)
    return SplitPlan(fixed | dict(drawn.assignment), drawn.leaky, (*notes, *drawn.notes))


def _followers(
    linked: Sequence[Sequence[str]],
    videos: Mapping[str, FaceCrop],
    official: Mapping[str, Split],
) -> dict[str, Split]:
    """Return the side of unlisted videos that are linked to listed ones."""
    found: dict[str, Split] = {}
    for group in linked:
        sides = Counter(official[key] for key in group if key in official)
        if not sides:
            continue
        most = max(SIDES, key=lambda side: sides[side])
        for key in group:
            if key not in official:
                found[key] = official.get(videos[key].source or "", most)
    return found


def _draw(
    videos: Mapping[str, FaceCrop],
    wanted: Mapping[Split, float],
    seed: int,
    twins: Sequence[tuple[str, str]],
    *,
    must_fill: bool,
) -> SplitPlan:
    """Split videos without official side: by person, else by source video, else not at all."""
    labels = {crop.label for crop in videos.values()}

    def complete(assignment: Mapping[str, Split]) -> bool:
        seen = {(side, videos[key].label) for key, side in assignment.items()}
        return len(seen) == len(wanted) * len(labels)

    by_person = groups(videos, twins=twins)
    assignment = _distribute(by_person, videos, wanted, seed)
    if complete(assignment) or not must_fill or not wanted:
        return SplitPlan(assignment)
    by_source = groups(videos, identities=False, twins=twins)
    finer = _distribute(by_source, videos, wanted, seed)
    if len(by_source) > len(by_person) and complete(finer):
        note = (
            f"{len(by_person)} groups of people do not give both labels to {', '.join(wanted)}: "
            "videos were split by source video, so the same people are on several sides."
        )
        return SplitPlan(finer, leaky=True, notes=(note,))
    if len(by_person) >= len(wanted):
        return SplitPlan(assignment, notes=("Some side has no video of one label.",))
    note = f"{len(by_person)} groups are too few to split: all {len(videos)} videos train."
    return SplitPlan(dict.fromkeys(videos, "train"), notes=(note,))


def _distribute(
    members: Sequence[Sequence[str]],
    videos: Mapping[str, FaceCrop],
    wanted: Mapping[Split, float],
    seed: int,
) -> dict[str, Split]:
    """Give each group, the largest first, to the side that lacks its methods most."""
    totals = Counter(crop.method for crop in videos.values())
    placed: dict[Split, Counter[str]] = {side: Counter() for side in wanted}

    def lack(side: Split, methods: Mapping[str, int]) -> tuple[float, float, float]:
        filled = (
            count * placed[side][method] / (wanted[side] * totals[method] ** 2)
            for method, count in methods.items()
        )
        return (-sum(filled), -placed[side].total() / wanted[side], wanted[side])

    def shuffled(group: Sequence[str]) -> tuple[int, str]:
        digest = hashlib.blake2b(f"{seed}:{group[0]}".encode(), digest_size=8)
        return (-len(group), digest.hexdigest())

    assignment: dict[str, Split] = {}
    for group in sorted(members, key=shuffled) if wanted else []:
        methods = Counter(videos[key].method for key in group)
        best = max(wanted, key=lambda side: lack(side, methods))
        placed[best].update(methods)
        assignment.update(dict.fromkeys(group, best))
    return assignment
