"""Which videos must stay on one side of a split, because they share a person or a source."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from preprocessing.types import FaceCrop

SEPARATOR = re.compile(r"[\s_.\-]+")
NOBODY = frozenset(
    (
        *("unknown", "person", "actor", "actress", "speaker", "subject", "identity", "face"),
        *("man", "woman"),
    )
)


def one_per_video(rows: Iterable[FaceCrop]) -> dict[str, FaceCrop]:
    """Return one crop of each video by the video's key, sorted, whatever the order of rows."""
    first: dict[str, FaceCrop] = {}
    for row in rows:
        first.setdefault(row.video, row)
    return {key: first[key] for key in sorted(first)}


def people(crop: FaceCrop) -> Iterator[tuple[str, str]]:
    """Yield the video's people as (data set, name), whatever the case of either.

    Every data set numbers its own from 0; a name of two words or more is the same person in all,
    whose data set is "".
    """
    for given in crop.identities:
        words = [word for word in SEPARATOR.split(given.casefold()) if word]
        name = " ".join(words)
        proper = len(words) > 1 and all(w.isalpha() and len(w) > 1 for w in words)
        yield "" if proper and not NOBODY & set(words) else crop.dataset.casefold(), name


def groups(
    videos: Mapping[str, FaceCrop],
    *,
    identities: bool = True,
    twins: Iterable[tuple[str, str]] = (),
) -> list[list[str]]:
    """Return the keys of videos that are linked, directly or through others, sorted.

    Two videos are linked where one was made from the other, where both were made from a third,
    where both show the same person or the same footage.

    Args:
        videos: One crop of each video, by key.
        identities: False does not link by people.
        twins: Pairs of videos that show the same footage.
    """
    parents: dict[tuple[str, ...], tuple[str, ...]] = {}

    def root(node: tuple[str, ...]) -> tuple[str, ...]:
        top = node
        while (above := parents.setdefault(top, top)) != top:
            top = above
        while node != top:  # the next search from here takes one step
            parents[node], node = top, parents[node]
        return top

    for key, crop in videos.items():
        top = root((key,))
        links: list[tuple[str, ...]] = [(crop.source,)] if crop.source else []
        links += people(crop) if identities else []
        for link in links:
            parents[root(link)] = top
    for first, second in twins:
        parents[root((first,))] = root((second,))
    members: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for key in sorted(videos):
        members[root((key,))].append(key)
    return sorted(members.values())
