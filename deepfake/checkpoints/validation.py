"""The scores of a few validation faces, kept in a checkpoint so that any rule can be calibrated."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepfake import calibration
from deepfake.aggregation import Aggregator, sigmoid
from deepfake.calibration import Calibration
from deepfake.types import FaceScore

MOST_VIDEOS = 1000
MOST_FACES = 16  # of a video
DIGITS = 2  # of a logit


@dataclass(frozen=True)
class ValidationScores:
    """Labels of videos, and of each video its faces as (track, logit).

    Args:
        labels: 0 real, 1 fake, one per video.
        faces: One row per video.
    """

    labels: tuple[int, ...]
    faces: tuple[tuple[tuple[int, float], ...], ...]

    @classmethod
    def of_faces(
        cls, logits: ArrayLike, labels: ArrayLike, videos: ArrayLike, tracks: ArrayLike
    ) -> "ValidationScores":
        """Keep some videos evenly, and some faces of each; all arguments (N,), one per face."""
        z, y, v, t = (np.asarray(row) for row in (logits, labels, videos, tracks))
        keep = np.isfinite(z)
        z, y, v, t = z[keep], y[keep], v[keep], t[keep]
        kept_labels, rows = [], []
        for video in _evenly(np.unique(v), MOST_VIDEOS):
            faces = _evenly(np.flatnonzero(v == video), MOST_FACES)
            kept_labels.append(int(y[faces[0]]))
            rows.append(tuple((int(t[i]), round(float(z[i]), DIGITS)) for i in faces))
        return cls(tuple(kept_labels), tuple(rows))

    def calibration(
        self, rule: Aggregator, *, false_alarms: float, target_error: float
    ) -> Calibration:
        """Return the calibration that belongs to a rule; see `deepfake.calibration.fit`."""
        scored = [
            rule([FaceScore(float(sigmoid(z)), track, n) for n, (track, z) in enumerate(row)])
            for row in self.faces
        ]
        pairs = [(y, s) for y, s in zip(self.labels, scored, strict=True) if s is not None]
        if len({label for label, _ in pairs}) < 2:
            return Calibration()
        labels, scores = zip(*pairs, strict=True)
        return calibration.fit(labels, scores, false_alarms=false_alarms, target_error=target_error)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types, for a checkpoint."""
        return {
            "labels": list(self.labels),
            "tracks": [[track for track, _ in row] for row in self.faces],
            "logits": [[logit for _, logit in row] for row in self.faces],
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "ValidationScores":
        """Read what `to_dict` wrote.

        Raises:
            ValueError: It is something else.
        """
        labels = tuple(int(label) for label in content["labels"])
        faces = tuple(
            tuple((int(track), float(logit)) for track, logit in zip(*row, strict=True))
            for row in zip(content["tracks"], content["logits"], strict=True)
        )
        if len(labels) != len(faces) or not set(labels) <= {0, 1}:
            raise ValueError(f"{len(labels)} labels do not fit {len(faces)} videos")
        return cls(labels, faces)


def _evenly(items: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    if len(items) <= most:
        return items
    places = np.linspace(0, len(items) - 1, most).round().astype(int)
    return np.asarray(items[places], dtype=np.int64)
