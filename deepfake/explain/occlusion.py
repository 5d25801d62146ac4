"""Where covering a face changes its score: works with any scorer, and imports no torch.

Zeiler and Fergus, ECCV 2014, https://arxiv.org/abs/1311.2901
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from deepfake.aggregation import logit
from deepfake.checkpoints.scorers import Faces, Scores

GRID = 8  # cells a side; a window covers 2x2 of them
BATCH = 32  # covered faces scored at once

Maps = NDArray[np.float32]  # (B, S, S) in [0, 1]


def occlusion_map(score: Callable[[Faces], Scores], faces: Faces) -> Maps:
    """Return how much each place of a face speaks for "fake" (B, S, S), in [0, 1].

    A window moves over the face in 7x7 steps and blurs what is under it until no trace of a
    manipulation is left; where the logit falls by that, the place spoke for "fake". The largest
    fall of a face counts as 1; without any fall, the map is 0.

    Args:
        score: Gives P(fake) (N,) of prepared faces (N, 3, S, S).
        faces: Prepared faces (B, 3, S, S).
    """
    size = faces.shape[-1]
    edges = np.linspace(0, size, GRID + 1).round().astype(int)
    steps = [(row, column) for row in range(GRID - 1) for column in range(GRID - 1)]
    maps = np.zeros((len(faces), size, size), np.float32)
    for number, face in enumerate(faces):
        soft = blurred(face)
        covered = np.repeat(face[None], len(steps), axis=0)
        for k, (row, column) in enumerate(steps):
            place = (
                slice(edges[row], edges[row + 2]),
                slice(edges[column], edges[column + 2]),
            )
            covered[k][:, *place] = soft[:, *place]
        batches = [covered[k : k + BATCH] for k in range(0, len(steps), BATCH)]
        logits = np.concatenate([logit(score(batch)) for batch in [face[None], *batches]])
        maps[number] = _spread(logits[0] - logits[1:], size)
    return maps


def blurred(face: Faces) -> Faces:
    """Return a face (3, S, S) of which only the coarse colours are left."""
    sigma = face.shape[-1] / 12
    soft = cv2.GaussianBlur(face.transpose(1, 2, 0), (0, 0), sigma)
    return np.asarray(soft.transpose(2, 0, 1), dtype=np.float32)


def _spread(falls: NDArray[np.float64], size: int) -> NDArray[np.float32]:
    """Turn the fall of each window into a map (S, S): the mean of the windows over a cell."""
    total, count = np.zeros((GRID, GRID)), np.zeros((GRID, GRID))
    for fall, (row, column) in zip(falls, np.ndindex(GRID - 1, GRID - 1), strict=True):
        total[row : row + 2, column : column + 2] += fall
        count[row : row + 2, column : column + 2] += 1
    cells = np.maximum(total / count, 0)
    if not cells.max() > 0:
        return np.zeros((size, size), np.float32)
    grown = cv2.resize(cells, (size, size), interpolation=cv2.INTER_LINEAR)
    return np.asarray(grown / grown.max(), dtype=np.float32)
