"""From faces to a network: cut tracks into clips, prepare them, in batches. Imports no torch."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from deepfake.recipe import InputRecipe
from preprocessing.types import Image

Item = TypeVar("Item")
BATCH = 4  # faces scored at once: they stay in the cache, which halves the time of 32


def cut(track: Sequence[Item], frames: int) -> list[Sequence[Item]]:
    """Cut a track into interleaved clips of T or a little more, each spanning it, as in training.

    >>> cut("abcdefg", 3)
    ['aceg', 'bdf']
    """
    if frames == 1:
        return [track[k : k + 1] for k in range(len(track))]
    count = max(1, len(track) // frames)
    return [track[k::count] for k in range(count)]


def evenly(count: int, wanted: int) -> NDArray[np.int64]:
    """Return as many places as wanted, evenly in 0 to count - 1, some twice if there are fewer."""
    return np.linspace(0, count - 1, wanted).round().astype(np.int64)


@dataclass(frozen=True)
class Batch(Generic[Item]):
    """Clips of faces, ready for a network.

    Args:
        clips: The faces of each.
        images: Their crops (H, W, 3).
        inputs: (B, 3, S, S), or (B, T, 3, S, S) where T > 1.
    """

    clips: list[Sequence[Item]]
    images: list[list[Image]]
    inputs: NDArray[np.float32]


def batches(
    tracks: Iterable[Sequence[Item]],
    read: Callable[[Item], Image],
    recipe: InputRecipe,
    frames: int,
    most: int = BATCH,
) -> Iterator[Batch[Item]]:
    """Yield the faces of tracks as a network takes them.

    Of a clip of another length than T, crops are taken evenly, some twice if there are fewer.

    Args:
        tracks: The faces of one person each, in time order.
        read: Returns a face's crop (H, W, 3).
        recipe: From a crop to the network's input.
        frames: Crops that the network takes at once, T.
        most: Faces in a batch.
    """
    clips = (clip for track in tracks for clip in cut(track, frames))
    while chosen := list(islice(clips, max(1, most // frames))):
        images = [[read(face) for face in clip] for clip in chosen]
        rows = [[recipe.prepare(clip[k]) for k in evenly(len(clip), frames)] for clip in images]
        inputs = np.stack([np.stack(row) for row in rows])
        yield Batch(chosen, images, inputs[:, 0] if frames == 1 else inputs)
