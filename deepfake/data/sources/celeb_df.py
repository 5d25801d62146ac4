"""Celeb-DF, version 1 and version 2."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from deepfake.data.sources.base import (
    OfficialCount,
    bare,
    by_key,
    check_list,
    read_lines,
    videos_in,
)
from deepfake.errors import SourceError
from preprocessing.types import Split, Video

LIST = "List_of_testing_videos.txt"
V1_LISTED = 100  # version 2 lists 518
FOLDERS = ("Celeb-real", "YouTube-real", "Celeb-synthesis")


class CelebDF:
    """Li et al., CVPR 2020, https://arxiv.org/abs/1909.12962.

    `Celeb-real/id0_0000`, `YouTube-real/00000` (people unknown) and `Celeb-synthesis/id0_id1_0000`:
    the video id0_0000 with the face of id1. The test list is official; the authors train on the
    rest, which shows the same celebrities.

    Args:
        version: 1 or 2.
    """

    layout = "Celeb-real/, YouTube-real/, Celeb-synthesis/ and List_of_testing_videos.txt"

    def __init__(self, version: Literal[1, 2]) -> None:
        self.version = version
        self.name = f"celeb_df_v{version}"
        self.dataset = f"Celeb-DF-v{version}"
        real, fake, real_test, fake_test = (
            (408, 795, 38, 62) if version == 1 else (890, 5639, 178, 340)
        )
        self.official: tuple[OfficialCount, ...] = (
            OfficialCount(real - real_test, 0, "real", "train"),
            OfficialCount(real_test, 0, "real", "test"),
            OfficialCount(fake - fake_test, 1, "Celeb-synthesis", "train"),
            OfficialCount(fake_test, 1, "Celeb-synthesis", "test"),
        )

    def matches(self, root: Path) -> bool:
        """Say whether the folder looks like this version."""
        if not (root / "Celeb-real").is_dir() and not (root / "Celeb-synthesis").is_dir():
            return False
        named = root.resolve().name.lower()
        if "v1" in named or "v2" in named:
            return f"v{self.version}" in named
        return (len(read_lines(root / LIST)) == V1_LISTED) == (self.version == 1)

    def videos(self, root: Path) -> list[Video]:
        """Return the videos, sorted by key."""
        tested = _tested(root)
        found = []
        for folder in FOLDERS:
            for path in _videos(root, folder):
                split: Split | None = None
                if tested:
                    split = "test" if bare(f"{folder}/{path.name}") in tested else "train"
                found.append(self._video(path, folder, split))
        if tested:
            self._check(root, found, tested)
        return by_key(found)

    def missing(self, root: Path) -> list[str]:
        """Say whether the list is there and what it names that is not."""
        tested = _tested(root)
        if not tested:
            return [f"{LIST}: without it nothing is known to be for testing"]
        here = {
            bare(f"{folder}/{path.name}") for folder in FOLDERS for path in _videos(root, folder)
        }
        absent = len(tested - here)
        return [f"{absent} videos that {LIST} names"] if absent else []

    def _check(self, root: Path, found: Sequence[Video], tested: frozenset[str]) -> None:
        """Stop where fewer videos are for testing than the authors' share of each label says."""
        fits = sum(video.split == "test" for video in found)
        expected = 0.0
        for label in (0, 1):
            sides = {count.split: count.videos for count in self.official if count.label == label}
            share = sides["test"] / sum(sides.values())
            expected += share * sum(video.label == label for video in found)
        check_list(root / LIST, fits=fits, videos=len(found), expected=min(expected, len(tested)))

    def _video(self, path: Path, folder: str, split: Split | None) -> Video:
        fake = folder == "Celeb-synthesis"
        *people, number = path.stem.split("_")
        source = f"{self.dataset}/real/{people[0]}_{number}" if fake and people else None
        return Video(
            path=path,
            name=path.stem,
            dataset=self.dataset,
            method="Celeb-synthesis" if fake else "real",
            label=1 if fake else 0,
            identities=tuple(people),
            source=source,
            split=split,
        )


def _tested(root: Path) -> frozenset[str]:
    """Return the listed files; a line is 1 for real or 0 for fake, then folder/file."""
    files = []
    for line in read_lines(root / LIST):
        mark, _, name = line.partition(" ")
        real = not bare(name).startswith("celeb_synthesis")
        if mark not in ("0", "1") or (mark == "1") != real:
            raise SourceError(
                f"{root / LIST}: {line!r} is not '1 real' or '0 fake'. Download it again."
            )
        files.append(bare(name))
    return frozenset(files)


def _videos(root: Path, folder: str) -> list[Path]:
    """Return the videos of a folder, or of its `videos`, as DeepfakeBench keeps them."""
    return [*videos_in(root / folder), *videos_in(root / folder / "videos")]
