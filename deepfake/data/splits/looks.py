"""Who looks like whom across the sides of a split, by a network for faces (an extra)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from deepfake.data.splits.crop_hashes import read_crops
from deepfake.data.splits.groups import groups, one_per_video
from deepfake.data.splits.leaks import sample_rows
from preprocessing.people.recognition import recogniser
from preprocessing.types import Split
from preprocessing.video.images import decode_image

FACES = 3  # of each video that are described
# Faces of one person lie within 0.6; means of three are nearer, and people of one origin are too.
ALIKE = 0.38


def alike_people(
    folders: Sequence[tuple[pa.Table, Path]], assignment: Mapping[str, Split] | None
) -> list[tuple[str, str, float]] | None:
    """Return pairs of videos on two sides that may show one person, the nearest first.

    Videos that are known to belong together are left out. None without the extra.

    Args:
        folders: Manifest and place of one folder, or of two.
        assignment: Side of each video; None where the two folders are the sides.
    """
    if recogniser() is None:
        return None
    keys: list[str] = []
    sides: list[str] = []
    means: list[NDArray[np.float64]] = []
    linked: dict[str, int] = {}
    for number, (table, folder) in enumerate(folders):
        for key, mean in _described(table, folder).items():
            keys.append(key)
            sides.append(str(number) if assignment is None else assignment.get(key, ""))
            means.append(mean)
        videos = one_per_video(sample_rows(table, 1))
        for place, group in enumerate(groups(videos)):
            linked |= dict.fromkeys(group, place) if assignment is not None else {}
    if not means:
        return []
    found: list[tuple[str, str, float]] = []
    whole = np.stack(means)
    for a in range(len(keys)):
        apart = np.linalg.norm(whole[a + 1 :] - whole[a], axis=1)
        for b in np.flatnonzero(apart < ALIKE) + a + 1:
            one, two = keys[a], keys[b]
            if sides[a] != sides[b] and linked.get(one, -1) != linked.get(two, -2):
                found.append((one, two, float(apart[b - a - 1])))
    return sorted(found, key=lambda pair: pair[2])


def _described(table: pa.Table, folder: Path) -> dict[str, NDArray[np.float64]]:
    """Return the mean description (128,) of each video of one person."""
    describe = recogniser()
    if describe is None:
        return {}
    rows = sample_rows(table, FACES)
    several = {row.video for row in rows if row.track != 0}
    alone = [row for row in rows if row.video not in several]
    found: dict[str, list[NDArray[np.float64]]] = {}
    for row, image, points in read_crops(alone, folder, decode_image):
        vector = describe(image, points)
        if vector is not None:
            found.setdefault(row.video, []).append(vector)
    return {key: np.mean(vectors, axis=0) for key, vectors in found.items()}
