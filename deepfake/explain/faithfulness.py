"""Whether a heat map shows what a network goes by: deletion and insertion curves.

Petsiuk et al., BMVC 2018, https://arxiv.org/abs/1806.07421
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepfake.checkpoints.scorers import Faces, Scores
from deepfake.explain.occlusion import blurred

STEPS = 16


@dataclass(frozen=True, eq=False)
class Curves:
    """Scores of a face while its hottest places go, or come.

    Args:
        deletion: P(fake) (STEPS + 1,) with ever more of the hottest pixels blurred; a good map
            makes it fall early.
        insertion: The same with ever more of them shown in a blurred face; it should rise early.
    """

    deletion: NDArray[np.float64]
    insertion: NDArray[np.float64]

    @property
    def gain(self) -> float:
        """Area under insertion minus area under deletion, in [-1, 1]; 0 for a map of noise."""
        return float(_area(self.insertion) - _area(self.deletion))


def curves(score: Callable[[Faces], Scores], face: Faces, heat: NDArray[np.floating]) -> Curves:
    """Return the two curves of a face under a heat map.

    Args:
        score: Gives P(fake) (N,) of prepared faces (N, 3, S, S).
        face: A prepared face (3, S, S).
        heat: Its map (S, S).
    """
    soft = blurred(face)
    order = np.argsort(-heat, axis=None, kind="stable")
    ranks = np.empty(order.size, dtype=np.int64)
    ranks[order] = np.arange(order.size)
    rank = ranks.reshape(heat.shape)
    hot = [rank < round(k * order.size / STEPS) for k in range(STEPS + 1)]
    deleted = np.stack([np.where(place, soft, face) for place in hot])
    inserted = np.stack([np.where(place, face, soft) for place in hot])
    return Curves(score(deleted), score(inserted))


def _area(curve: NDArray[np.float64]) -> float:
    return float((curve[1:] + curve[:-1]).mean() / 2)
