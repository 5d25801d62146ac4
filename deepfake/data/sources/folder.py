"""Any folder, file or pattern: `real/` and `fake/` give labels, everything else has none."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from deepfake.data.sources.base import OfficialCount, by_key, names_for
from deepfake.errors import SourceError
from preprocessing.types import Label, Split, Video
from preprocessing.video.files import Kind, kind_of, sorted_out, walk

LABELS: dict[str, Label] = {"real": 0, "fake": 1}
SPLITS: dict[str, Split] = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}


class Folder:
    """Videos below a folder, at any depth.

    `real/a.mp4` and `fake/a.mp4` are labelled and taken as partners: the fake's source is the real
    one of equal name. A split's folder may stand above: `train/real/a.mp4`. All other videos have
    no label. Nobody is known by name, so every real video is its own group. Photographs are read
    where there is no video at all.
    """

    name = "folder"
    dataset = ""
    layout = "video files, at best in folders named real/ and fake/"
    official: tuple[OfficialCount, ...] = ()

    def matches(self, root: Path) -> bool:
        """Say whether there is any video or photograph below."""
        return any(kind_of(path) is not None for path in walk(root))

    def videos(self, root: Path) -> list[Video]:
        """Return the videos below the folder, sorted by key."""
        return self.named(_readable(sorted_out(root)[0]), root)

    def missing(self, root: Path) -> list[str]:
        """Say which label has no video."""
        labels = {video.label for video in self.videos(root)}
        return [f"no videos in {name}/" for name, label in LABELS.items() if label not in labels]

    def named(self, paths: Sequence[Path], base: Path) -> list[Video]:
        """Return the videos of the given files, named and labelled by their place in `base`."""
        found = [
            _video(path, name) for path, name in zip(paths, names_for(paths, base), strict=True)
        ]
        reals = {video.name: video.key for video in found if video.label == 0}
        partnered = [
            replace(video, source=reals.get(video.name)) if video.label == 1 else video
            for video in found
        ]
        return by_key(partnered)


def _readable(known: Sequence[tuple[Path, Kind]]) -> list[Path]:
    """Return the videos, or the photographs where there are none: most lie beside a video."""
    return [path for path, kind in known if kind == "video"] or [path for path, _ in known]


def _video(path: Path, name: str) -> Video:
    *folders, last = name.split("/")
    split: Split | None = None
    place = 0
    if len(folders) > 1 and folders[0].lower() in SPLITS and folders[1].lower() in LABELS:
        split, place = SPLITS[folders[0].lower()], 1
    if len(folders) <= place or folders[place].lower() not in LABELS:
        return Video(path=path, name=name)
    label = LABELS[folders[place].lower()]
    rest = [*folders[:place], *folders[place + 1 :], last]
    method = "real" if label == 0 else "fake"
    return Video(path=path, name="/".join(rest), method=method, label=label, split=split)


def from_pattern(pattern: Path) -> list[Video]:
    """Return the videos that a pattern such as `videos/*/*.mp4` matches.

    Raises:
        SourceError: The pattern matches no video.
    """
    parts = pattern.parts
    first = next(place for place, part in enumerate(parts) if has_wildcard(part))
    base = Path(*parts[:first])
    paths: set[Path] = set()
    for match in base.glob(str(Path(*parts[first:]))):
        paths.update(path for path in (walk(match) if match.is_dir() else [match]))
    videos = _readable([(path, kind) for path in sorted(paths) if (kind := kind_of(path))])
    if not videos:
        raise SourceError(
            f"No video matches {pattern}. Quote the pattern, or give the folder itself."
        )
    return Folder().named(videos, base)


def has_wildcard(text: str) -> bool:
    """Say whether the text is a pattern rather than a name."""
    return any(mark in text for mark in "*?[")
