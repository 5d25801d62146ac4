"""What a source of videos is, and how files are found below a folder."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, Protocol

from deepfake.data.sources.texts import read_text
from deepfake.errors import SourceError
from preprocessing.types import Label, Split, Video
from preprocessing.video.files import kind_of


@dataclass(frozen=True)
class OfficialCount:
    """How many videos a data set's authors publish.

    Args:
        videos: The number of videos, in one compression.
        label: 0 real, 1 fake.
        method: Manipulation method, as in `Video.method`; empty sums over all methods.
        split: Official split; None for videos on no list, "any" sums over all.
    """

    videos: int
    label: Label
    method: str = ""
    split: Split | Literal["any"] | None = "any"


class VideoSource(Protocol):
    """A data set in the layout that its own download leaves.

    Attributes:
        name: What `--source` takes, such as "ffpp".
        dataset: The data set's name, as in `Video.dataset`.
        layout: One line on what the folder must hold, for messages.
        official: The authors' own counts; empty where unknown.
    """

    name: str
    dataset: str
    layout: str
    official: tuple[OfficialCount, ...]

    def matches(self, root: Path) -> bool:
        """Say whether the folder looks like this data set; opens no video."""
        ...

    def videos(self, root: Path) -> list[Video]:
        """Return the videos, sorted by key."""
        ...

    def missing(self, root: Path) -> list[str]:
        """Say in one line each what the folder lacks: lists, labels, parts."""
        ...


def is_video(path: Path) -> bool:
    """Say whether a file is a video and not hidden."""
    return not path.name.startswith(".") and kind_of(path) == "video"


def is_photograph(path: Path) -> bool:
    """Say whether the file is an image, which counts as a video of one frame, and not hidden."""
    return not path.name.startswith(".") and kind_of(path) == "picture"


def videos_in(folder: Path) -> list[Path]:
    """Return the videos directly in a folder, sorted; none where there is no such folder."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:  # a DFDC part holds thousands; no stat for each
        return sorted(path for path in (Path(entry.path) for entry in entries) if is_video(path))


def names_for(paths: Sequence[Path], base: Path) -> list[str]:
    """Name each file by its path below the base without suffix, with forward slashes.

    Files that differ in their suffix alone keep it.
    """
    stems = [path.relative_to(base).with_suffix("").as_posix() for path in paths]
    counts = Counter(stems)
    return [
        path.relative_to(base).as_posix() if counts[stem] > 1 else stem
        for path, stem in zip(paths, stems, strict=True)
    ]


def by_key(videos: Sequence[Video]) -> list[Video]:
    """Return the videos sorted by key.

    Raises:
        SourceError: Two files have the same key.
    """
    ordered = sorted(videos, key=lambda video: (video.key, str(video.path)))
    for first, second in pairwise(ordered):
        if first.key == second.key:
            raise SourceError(
                f"Two files are the same video {first.key!r}: {first.path} and {second.path}. "
                "Remove or rename one of them."
            )
    return ordered


def read_lines(path: Path) -> list[str]:
    """Return the lines of a list that are not empty; none where there is no such file."""
    lines = read_text(path).splitlines() if path.is_file() else []
    return [line.strip() for line in lines if line.strip()]


def bare(name: str) -> str:
    """Return a listed file's name for comparing: no suffix, one case, one kind of separators."""
    folder, slash, last = name.strip().replace("\\", "/").rpartition("/")
    stem = last.rpartition(".")[0] or last
    return re.sub(r"[\s_-]+", "_", f"{folder}{slash}{stem}".casefold()).removeprefix("./")


def check_list(path: Path, *, fits: int, videos: int, expected: float = 1.0) -> None:
    """Stop where an official list says nothing about the videos that are there.

    Args:
        path: The list.
        fits: How many of the videos are on it.
        videos: How many videos are there.
        expected: How many should be on it.

    Raises:
        SourceError: None is, or less than half of those expected.
    """
    if videos and expected and (fits == 0 or fits < expected / 2):
        raise SourceError(
            f"{path} names {fits} of the {videos} videos that are there; about {expected:.0f} were "
            "expected. Their names must be the official ones. If the list is of other videos, "
            "take it away."
        )
