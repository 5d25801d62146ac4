"""What is measured while training: faces, and videos with their people, as one torchmetric."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from deepfake.aggregation import DEFAULT, Aggregator, by_name
from deepfake.checkpoints.validation import ValidationScores
from deepfake.evaluation import measures
from deepfake.types import FaceScore

RANKED = 16.0  # logits up to here give probabilities that float64 tells apart well


class VideoMetrics(Metric):
    """Measures of faces and of videos, each video scored from its people's faces.

    `compute` returns plain floats, ready for `LightningModule.log_dict`: face_auroc, and of videos
    video_auroc, video_ap, video_eer, video_accuracy and video_balanced_accuracy (at 0.5),
    video_log_loss and videos (their number). What needs both classes is NaN with one class.

    Under several processes the faces of all are gathered, so a video may be spread over them. A
    `DistributedSampler` repeats samples to give each process as many; with `samples` given, a
    repeated one counts once.

    >>> metrics = VideoMetrics(prefix="val/")
    >>> metrics.update(
    ...     logits=torch.tensor([2.0, 1.0, -1.0]),
    ...     labels=torch.tensor([1, 1, 0]),
    ...     videos=torch.tensor([0, 0, 1]),
    ...     tracks=torch.tensor([0, 0, 0]),
    ... )
    >>> metrics.compute()["val/video_auroc"]
    1.0

    Args:
        prefix: Put before each name, such as "val/".
        rule: From the faces of a video to its score.
    """

    full_state_update = False
    higher_is_better = None
    is_differentiable = False
    logits: list[Tensor]
    labels: list[Tensor]
    videos: list[Tensor]
    tracks: list[Tensor]
    samples: list[Tensor]

    def __init__(self, prefix: str = "", rule: Aggregator | None = None) -> None:
        super().__init__()
        self.prefix = prefix
        self.rule = rule or by_name(DEFAULT)
        for state in ("logits", "labels", "videos", "tracks", "samples"):
            self.add_state(state, default=[], dist_reduce_fx="cat")

    def update(
        self,
        logits: Tensor,
        labels: Tensor,
        videos: Tensor,
        tracks: Tensor,
        samples: Tensor | None = None,
    ) -> None:
        """Add faces, all arguments (B,).

        Args:
            logits: Output of the network.
            labels: 0 real, 1 fake.
            videos: Number of the video in its data set.
            tracks: Number of the track in its video.
            samples: Number of the sample in its data set, by which repeats are known.
        """
        if samples is None:
            samples = torch.full_like(videos, -1)
        self.logits.append(logits.detach().float())
        self.labels.append(labels.detach().long())
        self.videos.append(videos.detach().long())
        self.tracks.append(tracks.detach().long())
        self.samples.append(samples.detach().long())

    def compute(self) -> dict[str, float]:
        """Return every measure of the faces seen since the last reset."""
        logits, face_labels, _, _ = self._rows()
        y, s = self._judged()
        finite = np.isfinite(logits)
        # Probabilities nearer to 1 than float64 tells are in order again where all logits shrink.
        most = float(np.abs(logits[finite]).max(initial=0.0))
        ranked = s if most <= RANKED else self._judged(RANKED / most)[1]
        result = {
            "face_auroc": measures.auroc(face_labels[finite], logits[finite]),
            "video_auroc": measures.auroc(y, ranked),
            "video_ap": measures.average_precision(y, ranked),
            "video_eer": measures.eer(y, ranked),
            "video_accuracy": measures.accuracy(y, s),
            "video_balanced_accuracy": measures.balanced_accuracy(y, s),
            "video_log_loss": measures.log_loss(y, s),
            "videos": float(len(s)),
        }
        return {self.prefix + name: value for name, value in result.items()}

    def videos_judged(self) -> tuple[list[int], list[float]]:
        """Return labels and raw scores of the videos seen by all processes.

        A calibration is fitted on them; every process must call this.
        """
        with self.sync_context():
            return self._judged()

    def validation(self) -> ValidationScores:
        """Return the scores of faces that a checkpoint keeps; every process must call this."""
        with self.sync_context():
            return ValidationScores.of_faces(*self._rows())

    def _judged(self, shrink: float = 1.0) -> tuple[list[int], list[float]]:
        logits, face_labels, numbers, tracks = self._rows()
        faces = torch.from_numpy(logits * shrink).sigmoid().numpy()
        labels: dict[int, int] = {}
        people: dict[int, list[FaceScore]] = {}
        for row, video in enumerate(numbers.tolist()):
            labels[video] = int(face_labels[row])
            score = FaceScore(score=float(faces[row]), track=int(tracks[row]), frame=row)
            people.setdefault(video, []).append(score)
        judged = {video: self.rule(seen) for video, seen in people.items()}
        scores = {video: score for video, score in judged.items() if score is not None}
        return [labels[video] for video in scores], list(scores.values())

    def _rows(self) -> tuple[Any, Any, Any, Any]:
        """Return logits, labels, videos and tracks (N,) as arrays, each sample once."""
        if len(self.logits) == 0:  # a list, or a tensor after a gather
            none = np.zeros(0, dtype=np.int64)
            return np.zeros(0), none, none, none
        logits = np.clip(dim_zero_cat(self.logits).double().cpu().numpy(), -1e4, 1e4)
        others = (self.labels, self.videos, self.tracks, self.samples)
        labels, videos, tracks, samples = (dim_zero_cat(state).cpu().numpy() for state in others)
        _, first = np.unique(samples, return_index=True)
        keep = np.sort(np.concatenate([first[samples[first] >= 0], np.flatnonzero(samples < 0)]))
        return logits[keep], labels[keep], videos[keep], tracks[keep]
