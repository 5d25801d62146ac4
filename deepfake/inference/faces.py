"""Clips of T faces of a track, as temporal networks take them. Imports no torch."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from deepfake.recipe import InputRecipe
from preprocessing.types import Image

Item = TypeVar("Item")


def cut(track: Sequence[Item], frames: int) -> list[Sequence[Item]]:
    """Cut a track into interleaved clips of T or a little more, each spanning it, as in training.

    >>> cut("abcdefg", 3)
    ['aceg', 'bdf']
    """
    if frames == 1:
        return [track[k : k + 1] for k in range(len(track))]
    count = max(1, len(track) // frames)
    return [track[k::count] for k in range(count)]


def network_input(
    clips: Sequence[Sequence[Image]], recipe: InputRecipe, frames: int
) -> NDArray[np.float32]:
    """Return clips as (B, T, 3, S, S), or (B, 3, S, S) where T = 1.

    Of a clip of another length, T crops are taken evenly, some twice where there are fewer.

    Args:
        clips: Crops (H, W, 3) of each clip.
        recipe: From a crop to the network's input.
        frames: Crops that the network takes at once, T.
    """
    rows = []
    for clip in clips:
        chosen = np.linspace(0, len(clip) - 1, frames).round().astype(int)
        rows.append(np.stack([recipe.prepare(clip[k]) for k in chosen]))
    inputs = np.stack(rows)
    return inputs[:, 0] if frames == 1 else inputs
