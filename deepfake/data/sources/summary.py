"""What was recognised, beside what the data set's authors publish."""

from collections.abc import Sequence

from preprocessing.types import Video


def summary(videos: Sequence[Video]) -> str:
    """Return a table of counts per data set, label, method and split."""
    return f"{len(videos)} videos"
