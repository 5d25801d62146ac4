"""What a source of videos is, and how files are found below a folder."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Protocol

from deepfake.errors import DeepfakeError
from preprocessing.types import Label, Split, Video
from preprocessing.video.images import IMAGE_SUFFIXES

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv"}
)


class SourceError(DeepfakeError):
    """A folder or a label file that cannot be read as a data set."""


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
    """Say whether the suffix is a video's and the file is not hidden (macOS writes ._x.mp4)."""
    return path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith(".")


def is_photograph(path: Path) -> bool:
    """Say whether the file is an image, which counts as a video of one frame, and not hidden."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def walk(folder: Path) -> Iterator[Path]:
    """Yield every visible file below a folder, following links, each folder once, sorted."""
    seen: set[str] = set()
    for current, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(current)
        if real in seen:  # a link to a parent
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(current, name) for name in sorted(files) if not name.startswith("."))


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
    repeated = {stem for stem, count in _counts(stems).items() if count > 1}
    return [
        path.relative_to(base).as_posix() if stem in repeated else stem
        for path, stem in zip(paths, stems, strict=True)
    ]


def _counts(values: Sequence[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return counts


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


def read_json(path: Path) -> Any:  # noqa: ANN401 - whatever the data set's authors wrote
    """Return what a JSON file of a data set holds.

    Raises:
        SourceError: The file is damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SourceError(f"Cannot read {path}: {error}. Download it again.") from error


def read_lines(path: Path) -> list[str]:
    """Return the lines of a list that are not empty; none where there is no such file."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    return [line.strip() for line in lines if line.strip()]
