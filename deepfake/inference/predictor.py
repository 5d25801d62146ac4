"""From a clip to a verdict."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from deepfake import __version__
from deepfake.aggregation import by_name, person_scores
from deepfake.checkpoints.loading import Checkpoint, load, sha256
from deepfake.checkpoints.scorers import Faces, Features, Looking, Scores
from deepfake.errors import DeepfakeError
from deepfake.inference.decision import (
    Parts,
    decide,
    in_shots,
    pictures,
    shot_bounds,
    shot_of,
)
from deepfake.inference.faces import batches
from deepfake.inference.worker import Clip, look
from deepfake.timeline import limits, timelines
from deepfake.types import FaceScore, ShotScore, TrackScore, Verdict
from preprocessing.pipeline import Extraction
from preprocessing.types import Face, VideoInfo


class VideoPredictor:
    """Judge videos with one checkpoint, which is loaded once.

    Args:
        checkpoint: What `deepfake.checkpoints.load` gave.
        aggregation: Rule from faces to a video, by name; None takes the checkpoint's. A calibration
            belongs to a rule: for another one it is fitted again on the validation scores that the
            checkpoint holds; where it holds none, scores are not calibrated.
        frames: Frames per video; None takes the checkpoint's, and more of a long video. Shots get
            frames beside these.
        only_person: Judge this person alone, by their number, from 1.

    Raises:
        DeepfakeError: A number that cannot be.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        aggregation: str | None = None,
        frames: int | None = None,
        only_person: int | None = None,
    ) -> None:
        if frames is not None and not 1 <= frames <= 10**7:
            raise DeepfakeError(f"frames must be from 1 to 10,000,000, got {frames}")
        if only_person is not None and only_person < 1:
            raise DeepfakeError(f"there is no person {only_person}: people count from 1")
        self.checkpoint = checkpoint
        self.aggregation = aggregation or checkpoint.aggregation
        self.rule = by_name(self.aggregation)
        self.calibration = checkpoint.calibration_for(self.aggregation)
        options = checkpoint.preprocess
        self.options = options if frames is None else replace(options, frames=frames)
        self.grow = frames is None
        self.only_person = only_person
        self.members = [self]  # who judges, as of a panel
        self.name = checkpoint.name

    @classmethod
    def from_checkpoint(
        cls, path: str | Path | None = None, *, device: str = "cpu"
    ) -> "VideoPredictor":
        """Load a checkpoint; without a path the latest run's, else the shipped one.

        Raises:
            CheckpointError: It cannot be found, read safely, or recognised.
        """
        return cls(load(None if path is None else Path(path), device=device))

    @classmethod
    def from_pretrained(
        cls, repo: str, *, revision: str | None = None, device: str = "cpu"
    ) -> "VideoPredictor":
        """Load a model from the Hugging Face Hub; see `deepfake.hub.load_pretrained`.

        Args:
            repo: Such as "user/name".
            revision: A commit pins the model; None takes the newest.
            device: Of a torch network.

        Raises:
            DeepfakeError: It cannot be had, or not be used.
        """
        from deepfake.checkpoints.hub import load_pretrained

        return cls(load_pretrained(repo, revision=revision, device=device))

    def predict(
        self,
        path: str | Path,
        *,
        start_s: float = 0.0,
        end_s: float | None = None,
        fps: float | None = None,
    ) -> Verdict:
        """Return the verdict on a video or a photograph.

        Args:
            path: The file.
            start_s: Begin of the span that is looked at, in seconds.
            end_s: Its end; None for the end of the video.
            fps: Frames looked at per second of video, instead of a fixed number.

        Raises:
            VideoError: The file cannot be used.
        """
        path = Path(path)
        return self.judge(path, self.look(path, start_s=start_s, end_s=end_s, fps=fps))

    def look(
        self,
        path: Path,
        *,
        start_s: float = 0.0,
        end_s: float | None = None,
        fps: float | None = None,
    ) -> Extraction:
        """Find the people in a video, as `predict` does before it judges them.

        Raises:
            VideoError: The file cannot be used.
        """
        recipe = self.checkpoint.recipe
        return look(Clip(path, self.options, recipe, start_s, end_s, fps, grow=self.grow))

    def judge(self, path: Path, extraction: Extraction) -> Verdict:
        """Return the verdict on a video whose faces are already found."""
        wanted = [f for f in extraction.faces if self.only_person in (None, f.track + 1)]
        faces, features = self._scored(wanted, extraction)
        usable = tuple(face for face in faces if math.isfinite(face.score))
        left_out = pictures(extraction) if self.only_person is None else {}
        counted = [face for face in usable if face.track not in left_out]
        calibration, raw = self.calibration, self.rule(counted)
        score = None if raw is None else calibration.apply(raw)
        seen = {track.id: track.detections for track in extraction.tracks}
        people = tuple(
            replace(
                person,
                score=calibration.apply(person.score),
                start_s=seen[person.track][0].time_s,  # not of the faces judged alone
                end_s=seen[person.track][-1].time_s,
                left_out=left_out.get(person.track, ""),
            )
            for person in person_scores(usable, self.rule)
        )
        lines = timelines(
            usable,
            calibration,
            cuts_s=extraction.cuts_s,
            duration_s=extraction.info.duration_s,
            looked_s=extraction.times_s,
        )
        intervals = tuple(i for line in lines for i in line.intervals(*limits(calibration)))
        bounds = shot_bounds(extraction)
        shots = tuple(
            ShotScore(*span, self._score(inside), len(inside))
            for span, inside in zip(bounds, in_shots(counted, len(bounds)), strict=True)
        )
        label, reason = decide(
            score,
            calibration,
            extraction,
            Parts(
                [person for person in people if not person.left_out],
                shots,
                [interval for interval in intervals if interval.track not in left_out],
            ),
            rejected=len(faces) - len(usable),
            only_person=self.only_person,
            likeness=(likeness := self._likeness(people, faces, features)),
        )
        return Verdict(
            video=str(path),
            label=label,
            score=score,
            threshold=calibration.threshold,
            tracks=people,
            faces=usable,
            checkpoint=self.checkpoint.name,
            reason=reason,
            provenance=self._provenance(path, extraction),
            intervals=intervals,
            real_below=calibration.low,
            fake_from=calibration.high,
            likelihood_ratio=None if raw is None else calibration.likelihood_ratio(raw),
            shots=shots,
            calibrated=calibration.fitted,
            looked_for=self.checkpoint.looks_for,
            likeness=likeness,
            timelines=lines,
        )

    def _likeness(
        self,
        people: Sequence[TrackScore],
        faces: Sequence[FaceScore],
        features: Sequence[Features | None],
    ) -> float | None:
        """Return how like validation the person is who counts and scores highest."""
        counted = [person for person in people if not person.left_out]
        if self.checkpoint.gauge is None or not counted:
            return None
        worst = max(counted, key=lambda person: person.score).track
        theirs = [
            row
            for face, row in zip(faces, features, strict=True)
            if face.track == worst and row is not None and math.isfinite(face.score)
        ]
        return self.checkpoint.gauge.likeness(np.stack(theirs)) if theirs else None

    def _score(self, faces: Sequence[FaceScore]) -> float | None:
        raw = self.rule(faces)
        return None if raw is None else self.calibration.apply(raw)

    def score_faces(self, faces: Sequence[Face], extraction: Extraction) -> tuple[FaceScore, ...]:
        """Return P(fake) of each face, before calibration; NaN where the network gave none.

        For a network of T frames, each track gives interleaved clips that span it, as in training,
        in each shot; a face has the score of its clip.

        Args:
            faces: Of `extraction`.
            extraction: Knows the shots.
        """
        return self._scored(faces, extraction)[0]

    def _scored(
        self, faces: Sequence[Face], extraction: Extraction
    ) -> tuple[tuple[FaceScore, ...], list[Features | None]]:
        """Return the scores, and each face's features (D,) where the checkpoint has a gauge."""
        frames = self.checkpoint.frames
        shots = [shot_of(extraction, face.detection.time_s) for face in faces]
        tracks: dict[tuple[int, int], list[Face]] = {}
        for face, shot in zip(faces, shots, strict=True):
            tracks.setdefault((face.track, shot), []).append(face)
        scored: dict[int, float] = {}
        features: dict[int, Features] = {}
        recipe = self.checkpoint.recipe
        for batch in batches(tracks.values(), lambda face: face.image, recipe, frames):
            scores, looks = self._look(batch.inputs)
            for number, (clip, score) in enumerate(zip(batch.clips, scores, strict=True)):
                scored.update({id(face): float(score) for face in clip})
                if looks is not None:
                    features.update({id(face): looks[number] for face in clip})
        found = tuple(
            FaceScore(
                score=scored[id(face)],
                track=face.track,
                frame=face.detection.frame,
                time_s=face.detection.time_s,
                box=face.detection.box,
                shot=shot,
            )
            for face, shot in zip(faces, shots, strict=True)
        )
        return found, [features.get(id(face)) for face in faces]

    def _look(self, inputs: Faces) -> tuple[Scores, Features | None]:
        scorer = self.checkpoint.scorer
        if self.checkpoint.gauge is not None and isinstance(scorer, Looking):
            return scorer.look(inputs)
        return scorer.score(inputs), None

    def settings(self) -> dict[str, object]:
        """Return what, beside the clip, its verdict depends on, as its provenance says it."""
        plain = vars(self.options)
        return {
            "checkpoint_sha256": self.checkpoint.sha256,
            "aggregation": self.aggregation,
            "only_person": self.only_person,
            "grow": self.grow,  # whether long clips get more frames
            "preprocess": {k: list(v) if isinstance(v, tuple) else v for k, v in plain.items()},
            "version": __version__,
        }

    def _provenance(self, path: Path, extraction: Extraction) -> dict[str, object]:
        return {
            "sha256": sha256(path),
            **self.settings(),
            "frames_wanted": extraction.report.wanted,
            "frames_read": extraction.report.read,
            "frames_corrupt": extraction.report.corrupt,
            "complete": round(extraction.info.complete, 4),
            "frames_thinned": extraction.stride,
            "bits_per_pixel": _bits_per_pixel(extraction.info),
            "shots_found": extraction.shots,
            "shots_seen": extraction.shots_seen,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
        }


def _bits_per_pixel(info: VideoInfo) -> float | None:
    """Return what is spent on a pixel of a frame: what compression has left."""
    pixels = info.width * info.height * info.fps
    return round(info.bit_rate / pixels, 5) if pixels else None
