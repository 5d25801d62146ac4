"""What was recognised, beside what the data set's authors publish."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from deepfake.data.sources.base import OfficialCount
from deepfake.data.sources.find import find_source
from preprocessing.types import Label, Video

SPLITS = ("train", "val", "test", None)
LABELS = {0: "real", 1: "fake", None: "unknown"}


def summary(videos: Sequence[Video], roots: Sequence[Path] = (), source: str = "auto") -> str:
    """Return a table of counts a data set, label, method and split, and what is missing.

    A cell is what was found, with the authors' number behind a stroke where they publish one.

    Args:
        videos: What `find_videos` returned.
        roots: The folders that were read, whose official numbers and missing lists are shown.
        source: What the folders were read as.
    """
    found = [(find_source(root, source), root) for root in roots if root.is_dir()]
    known = {each.dataset: each.official for each, _ in found}
    lines = [f"{len(videos)} videos"]
    for dataset, compression in sorted({(video.dataset, video.compression) for video in videos}):
        mine = [v for v in videos if (v.dataset, v.compression) == (dataset, compression)]
        title = " ".join(filter(None, (dataset, compression)))
        lines += ["", *_table(title, mine, known.get(dataset, ()))]
    absent = [f"Missing: {line}" for each, root in found for line in each.missing(root)]
    return "\n".join([*lines, *([""] if absent else []), *absent])


def _table(title: str, videos: list[Video], official: tuple[OfficialCount, ...]) -> Iterator[str]:
    counts: Counter[tuple[Label | None, str, str | None]] = Counter(
        (video.label, video.method, video.split) for video in videos
    )
    rows: list[tuple[Label | None, str]] = sorted(
        {(label, method) for label, method, _ in counts}
        | {(count.label, count.method) for count in official if count.method},
        key=lambda row: (str(row[0]), row[1] != "real", row[1]),
    )
    named: dict[tuple[Label | None, str, str | None], int] = {
        (count.label, count.method, count.split): count.videos for count in official if count.method
    }
    yield f"{title or 'videos'}: {len(videos)}"
    yield f"  {'label':8}{'method':32}" + "".join(f"{split or 'no list':>14}" for split in SPLITS)
    for label, method in rows:
        places = [(label, method, split) for split in SPLITS]
        cells = [_cell(counts[place], named.get(place)) for place in places]
        yield f"  {LABELS[label]:8}{method or '-':32}" + "".join(f"{cell:>14}" for cell in cells)
    for count in official:
        if not count.method:
            found = sum(video.label == count.label for video in videos)
            yield f"  {LABELS[count.label]} in all: {_cell(found, count.videos)}"


def _cell(found: int, official: int | None) -> str:
    return str(found) if official is None else f"{found}/{official}"
