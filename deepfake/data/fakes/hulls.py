"""The outline of a face from its landmarks."""

from functools import cache
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]
Hull = Literal["face", "forehead", "inner", "lower"]
HULLS: tuple[Hull, ...] = get_args(Hull)


@cache
def mean_face() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean face (68, 2), and how it changes per turn and per tilt of the head.

    In units of the eyes' distance across and of the distance from eyes to mouth down, from the
    middle of the eyes; fitted by least squares to landmarks of 886 photographs and made symmetric.
    """
    table = np.loadtxt(Path(__file__).with_name("mean_face.csv"), delimiter=",", skiprows=1)
    mean, turn, tilt = np.split(table, 3, axis=1)
    return mean, turn, tilt


def hull_points(points: Points, hull: Hull) -> Points:
    """Return points (N, 2) whose convex hull is a part of the face.

    Args:
        points: Five or 68 landmarks, in pixels; of five, the other 63 are estimated.
        hull: "face" from chin to brows, "forehead" up to the hair, "inner" from brows to mouth,
            "lower" from nose to chin.
    """
    dense = points if len(points) == 68 else dense_from_five(points)
    jaw, brows = dense[:17], dense[17:27]
    if hull == "inner":
        return np.concatenate([brows, dense[[2, 14]] * 0.35 + dense[[31, 35]] * 0.65, dense[48:60]])
    if hull == "lower":
        return np.concatenate([dense[2:15], dense[[29]]])
    if hull == "forehead":
        up = dense[27] - dense[33]  # along the nose
        return np.concatenate([jaw, brows + 0.75 * up])
    return np.concatenate([jaw, brows])


def dense_from_five(points: Points) -> Points:
    """Estimate 68 landmarks (68, 2) from eyes, nose and mouth corners (5, 2).

    The mean face, with its turn to the side and up or down read from where the nose lies between
    the eyes and the mouth.
    """
    left, right, nose, mouth_left, mouth_right = points.astype(np.float64)
    eyes, mouth = (left + right) / 2, (mouth_left + mouth_right) / 2
    down = mouth - eyes
    across = right - left
    # In profile the eyes fall together; a face is never narrower than it is seen from its height.
    upright = np.array([down[1], -down[0]]) * 0.55
    if across @ upright < upright @ upright:
        across = upright
    frame = np.stack([across, down], axis=1)
    turn, tilt = np.linalg.solve(frame, nose - eyes)
    turn = float(np.clip(turn, -0.6, 0.6))
    mean, per_turn, per_tilt = mean_face()
    local = mean + turn * per_turn + (float(np.clip(tilt, 0.2, 0.95)) - 0.6) * per_tilt
    return np.asarray(eyes + local @ frame.T, dtype=np.float32)
