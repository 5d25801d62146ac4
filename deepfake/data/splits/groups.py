"""Which videos must stay on one side of a split, because they share a person or a source."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

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
    keys = sorted(videos)
    nodes: dict[tuple[str, ...], int] = {(key,): number for number, key in enumerate(keys)}
    links: list[tuple[tuple[str, ...], tuple[str, ...]]] = [((a,), (b,)) for a, b in twins]
    links += [((key,), (crop.source,)) for key, crop in videos.items() if crop.source]
    if identities:
        links += [((key,), person) for key, crop in videos.items() for person in people(crop)]
    ends = [[nodes.setdefault(node, len(nodes)) for node in link] for link in links]
    first, second = np.array(ends, dtype=np.int64).reshape(-1, 2).T
    matrix = coo_array((np.ones(len(ends)), (first, second)), shape=(len(nodes) + 1,) * 2)
    members: defaultdict[int, list[str]] = defaultdict(list)
    for key, group in zip(keys, connected_components(matrix, directed=False)[1], strict=False):
        members[int(group)].append(key)
    return sorted(members.values())
