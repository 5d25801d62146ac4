"""From what the user points at to a list of videos."""

import logging
from collections import Counter
from pathlib import Path

from deepfake.cli.outside import import_and_make
from deepfake.data.sources.base import VideoSource, is_photograph, is_video
from deepfake.data.sources.dfdc import DFDC
from deepfake.data.sources.folder import Folder, from_pattern, has_wildcard
from deepfake.data.sources.layout import known_layouts
from deepfake.data.sources.table import Table, read_table
from deepfake.errors import SourceError
from preprocessing.types import Video
from preprocessing.video.files import sorted_out, walk

logger = logging.getLogger(__name__)

# The first that matches is taken, so what any folder with videos satisfies comes last.
SOURCES: tuple[VideoSource, ...] = (*known_layouts(), DFDC(), Table(), Folder())


def find_videos(root: Path, source: str = "auto", labels: Path | None = None) -> list[Video]:
    """Return the videos of a data set, a folder, a pattern or a single file, sorted by key.

    Args:
        root: A folder, a video, a pattern such as `videos/*.mp4`, or a CSV with labels.
        source: Name of the data set's layout, or a class of one's own; "auto" recognises it.
        labels: CSV with columns path and label, paths relative to `root`.

    Raises:
        SourceError: Nothing is there or nothing is recognised.
    """
    if not root.exists():
        if has_wildcard(str(root)):
            return from_pattern(root)
        raise SourceError(f"No such file or folder: {root}. Check the path.")
    if labels is not None:
        return read_table(labels, root if root.is_dir() else root.parent)
    if root.is_file():
        return _from_file(root)
    found = find_source(root, source)
    videos = found.videos(root)
    if not videos:
        raise SourceError(
            f"{root} is laid out as {found.name} but holds no video where that has them: "
            f"{found.layout}. {_listed(root)} Complete it, or try --source folder."
        )
    if isinstance(found, Folder) and (left_out := sorted_out(root)[1]):
        logger.warning(left_out)
    return videos


def find_source(root: Path, source: str = "auto") -> VideoSource:
    """Return the source that the folder is read by.

    Raises:
        SourceError: The folder holds no videos, or is not what `source` names.
    """
    if source == "auto":
        for candidate in SOURCES:
            if candidate.matches(root):
                return candidate
        raise SourceError(_nothing_found(root))
    known = {candidate.name: candidate for candidate in SOURCES}
    if source not in known and "." not in source:
        raise SourceError(
            f"Unknown source {source!r}. Choose auto, one of {', '.join(known)}, or a class of "
            "your own: my_module.MySource."
        )
    named: VideoSource = known.get(source) or import_and_make(source)
    if not named.matches(root):
        raise SourceError(
            f"{root} is not laid out as {source}, which needs {named.layout}. "
            "Point at the folder that holds these, or use --source auto."
        )
    return named


def _from_file(path: Path) -> list[Video]:
    if path.suffix.lower() == ".csv":
        return read_table(path, path.parent)
    if not is_video(path) and not is_photograph(path):
        raise SourceError(
            f"{path} is not a video: its suffix is {path.suffix or 'empty'!r}. "
            "Give a video, a folder of videos or a CSV with columns path,label."
        )
    return [Video(path=path, name=path.stem)]


def _nothing_found(root: Path) -> str:
    return (
        f"No video files in {root}. {_listed(root)} Give a folder with .mp4, .mov, "
        ".avi, .mkv or .webm files, at best in folders named real/ and fake/."
    )


def _listed(root: Path) -> str:
    suffixes = Counter(path.suffix.lower() or "no suffix" for path in walk(root))
    found = ", ".join(f"{count} {suffix}" for suffix, count in suffixes.most_common(5))
    return f"Found: {found or 'nothing'}."
