"""Several checkpoints' scores of the same videos as one more, that of their panel."""

from dataclasses import replace

from deepfake.calibration import Calibration
from deepfake.evaluation.scores import Judge, ScoredVideo, Scores
from deepfake.evaluation.stacking import Stack, fit_stack
from deepfake.types import FaceScore

PANEL = "panel"


def with_panel(scores: Scores, stack: Stack | None = None) -> tuple[Scores, Stack | None]:
    """Return scores with those of the panel of all checkpoints, and the panel.

    Args:
        scores: Of two checkpoints or more; with fewer there is no panel.
        stack: Fitted before, on other videos. None fits one on these: the score of each is then of
            weights that were fitted on other people.

    Raises:
        DeepfakeError: One cannot be fitted on these videos.
    """
    names = {judge.sha256 or name: name for name, judge in scores.judges.items()}
    if len(names) < 2 or PANEL in scores.judges:
        return scores, None
    columns = {key: _scored(scores, name) for key, name in names.items()}
    videos = {v.video: v for v in scores.videos if v.checkpoint in names.values() and not v.damage}
    table = {key: [column.get(k) for k in videos] for key, column in columns.items()}
    if stack is None:
        rows = [i for i, video in enumerate(videos.values()) if video.label is not None]
        chosen = [video for video in videos.values() if video.label is not None]
        stack, held = fit_stack(
            [video.label or 0 for video in chosen],
            {key: [column[i] for i in rows] for key, column in table.items()},
            [video.group for video in chosen],
            {key: scores.judges[name].calibration or Calibration() for key, name in names.items()},
        )
        joint = [p if p == p else None for p in held.tolist()]
    else:
        stack.check(names)
        chosen = list(videos.values())
        joint = [
            stack.probability({key: column[i] for key, column in table.items()})
            for i in range(len(chosen))
        ]
    joined = [_joined(video, p) for video, p in zip(chosen, joint, strict=True)]
    judges = {**scores.judges, PANEL: Judge(stack.calibration)}
    return Scores((*scores.videos, *joined), judges), stack


def _scored(scores: Scores, name: str) -> dict[str, float | None]:
    """Return a checkpoint's calibrated score of each video, by its key."""
    judge = scores.judges[name]
    calibration, rule = judge.calibration or Calibration(), judge.rule
    raw = {v.video: rule(v.faces) for v in scores.videos if v.checkpoint == name and not v.damage}
    return {key: None if s is None else calibration.apply(s) for key, s in raw.items()}


def _joined(video: ScoredVideo, p: float | None) -> ScoredVideo:
    faces = () if p is None else (FaceScore(p, track=0, frame=0),)
    return replace(video, checkpoint=PANEL, faces=faces)
