"""How like what a checkpoint was validated on a clip is. Imports no torch.

A network gives a score for anything. Where its features lie far from those of every validation
video, nothing is known of its errors there. The distance to the nearest validation videos in
whitened principal components (Sun et al., ICML 2022, https://arxiv.org/abs/2204.06507, who leave
the components out) becomes a conformal p-value: the share of validation videos that lie as far from
the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfake.checkpoints.scorers import Features

AXES = 20
NEIGHBOURS = 5
UNLIKE = 0.05  # below this share a clip is not called anything
LEAST_VIDEOS = 100  # from fewer no share as small as that is known well
DIGITS = 4  # significant


@dataclass(frozen=True, eq=False)
class Gauge:
    """Validation videos as the network sees them.

    Args:
        centre: Mean of the features (D,).
        axes: From features to whitened components (D, K).
        videos: Components of each validation video (N, K).
    """

    centre: NDArray[np.float64]
    axes: NDArray[np.float64]
    videos: NDArray[np.float64]

    @classmethod
    def fit(cls, features: Sequence[Features]) -> "Gauge | None":
        """Learn from the mean features (D,) of N videos; None where they are too few.

        Features are scaled to unit deviation first; components without any are left out.
        """
        usable = [row for row in features if np.isfinite(row).all()]
        if len(usable) < LEAST_VIDEOS:
            return None
        rows = np.array(usable, dtype=np.float64)
        centre, spread = rows.mean(axis=0), rows.std(axis=0)
        scale = np.divide(1, spread, out=np.zeros_like(spread), where=spread > 1e-9)
        _, strength, ways = np.linalg.svd((rows - centre) * scale, full_matrices=False)
        kept = int((strength[:AXES] > 1e-6 * strength[0]).sum()) if strength[0] > 0 else 0
        if kept == 0:
            return None
        axes = scale[:, None] * ways[:kept].T * (np.sqrt(len(rows)) / strength[:kept])
        centre, axes = _rounded(centre), _rounded(axes)
        return cls(centre, axes, _rounded((rows - centre) @ axes))

    @cached_property
    def usual(self) -> NDArray[np.float64]:
        """Distances of validation videos to the others (N,)."""
        return np.array([self._far(row, skip=1) for row in self.videos])

    def _far(self, place: NDArray[np.float64], *, skip: int) -> float:
        near = np.sort(np.linalg.norm(self.videos - place, axis=1))
        return float(near[skip : skip + NEIGHBOURS].mean())

    def likeness(self, features: Features) -> float:
        """Return the share of validation videos that lie as far from the others, in (0, 1].

        Args:
            features: Of the faces of one person (F, D).
        """
        place = (np.asarray(features, dtype=np.float64).mean(axis=0) - self.centre) @ self.axes
        farther = int((self.usual >= self._far(place, skip=0)).sum())
        return (1 + farther) / (1 + len(self.videos))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types, for a checkpoint."""
        return {name: getattr(self, name).tolist() for name in ("centre", "axes", "videos")}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Gauge":
        """Read what `to_dict` wrote.

        Raises:
            ValueError: Its parts do not fit, or are no numbers.
        """
        centre, axes, videos = (
            np.array(content[name], dtype=np.float64) for name in ("centre", "axes", "videos")
        )
        found = (centre.shape, axes.shape, videos.shape)
        fit = [a.ndim for a in (centre, axes, videos)] == [1, 2, 2]
        if not fit or axes.shape != (len(centre), videos.shape[1]) or len(videos) <= NEIGHBOURS:
            raise ValueError(f"the gauge's parts do not fit: {found}")
        if not all(np.isfinite(part).all() for part in (centre, axes, videos)):
            raise ValueError("the gauge's parts are not all finite")
        return cls(centre, axes, videos)


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        places = DIGITS - 1 - np.floor(np.log10(np.abs(values)))
    power = np.where(np.isfinite(places), 10.0 ** np.where(np.isfinite(places), places, 0), 1.0)
    return np.round(values * power) / power
