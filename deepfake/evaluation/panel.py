"""Several checkpoints' scores of the same videos as one more, that of their panel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from deepfake.aggregation import by_name
from deepfake.calibration import Calibration
from deepfake.evaluation.scores import Judge, ScoredVideo, Scores
from deepfake.stacking import Stack, fit_stack
from deepfake.types import FaceScore

PANEL = "panel"


@dataclass(frozen=True)
class _Table:
    """The videos that are measured, and each checkpoint's calibrated score of them."""

    videos: list[ScoredVideo]
    scores: dict[str, list[float | None]]


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
    table = _table(scores, names)
    if stack is None:
        known = [i for i, v in enumerate(table.videos) if v.label is not None]
        stack, held = fit_stack(
            [table.videos[i].label or 0 for i in known],
            {key: [column[i] for i in known] for key, column in table.scores.items()},
            [table.videos[i].group for i in known],
            {key: _calibration(scores.judges[name]) for key, name in names.items()},
        )
        found: dict[int, float | None] = {
            i: p if p == p else None for i, p in zip(known, held.tolist(), strict=True)
        }
    else:
        stack.check(names)
        rows = (
            {k: column[i] for k, column in table.scores.items()} for i in range(len(table.videos))
        )
        found = {i: stack.probability(row) for i, row in enumerate(rows)}
    videos = [_joined(table.videos[i], p) for i, p in found.items()]
    judges = {**scores.judges, PANEL: Judge(stack.calibration)}
    return Scores((*scores.videos, *videos), judges), stack


def _table(scores: Scores, names: Mapping[str, str]) -> _Table:
    found: dict[str, ScoredVideo] = {}
    columns: dict[str, dict[str, float | None]] = {}
    for key, name in names.items():
        judge = scores.judges[name]
        rule, calibration = by_name(judge.aggregation), _calibration(judge)
        for video in scores.videos:
            if video.checkpoint != name or video.damage:
                continue
            found.setdefault(video.video, video)
            raw = rule(video.faces)
            columns.setdefault(key, {})[video.video] = (
                None if raw is None else calibration.apply(raw)
            )
    return _Table(
        list(found.values()),
        {key: [columns.get(key, {}).get(video) for video in found] for key in names},
    )


def _calibration(judge: Judge) -> Calibration:
    return judge.calibration or Calibration()


def _joined(video: ScoredVideo, p: float | None) -> ScoredVideo:
    faces: Sequence[FaceScore] = () if p is None else (FaceScore(p, track=0, frame=0),)
    return replace(video, checkpoint=PANEL, faces=tuple(faces))
