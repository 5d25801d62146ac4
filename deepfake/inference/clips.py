"""Clips judged one after the other: faces found in workers of this machine, or all on a cluster."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from deepfake.errors import DeepfakeError
from deepfake.inference.worker import (
    Clip,
    Judge,
    Judged,
    Judging,
    find,
    judge,
    judge_found,
    look_for_all,
)
from preprocessing.limits import DEFAULT, Limits
from preprocessing.workers.local import Outcome, run_local

if TYPE_CHECKING:
    from deepfake.checkpoints.loading import Backend
    from deepfake.inference import VideoPredictor
    from deepfake.inference.panel import Panel


def clip_for(
    predictor: "VideoPredictor | Panel",
    path: Path,
    *,
    start_s: float = 0.0,
    end_s: float | None = None,
    fps: float | None = None,
    limits: Limits = DEFAULT,
) -> Clip:
    """Return a clip to be looked at as those who judge it want; see `Clip` for the arguments.

    Raises:
        DeepfakeError: The span ends before it starts.
    """
    if end_s is not None and end_s <= start_s:
        raise DeepfakeError(f"the end, {end_s:g} s, is not after the start, {start_s:g} s")
    recipe, grow = predictor.checkpoint.recipe, predictor.grow
    others = tuple(member.options for member in predictor.members[1:])
    return Clip(path, predictor.options, recipe, start_s, end_s, fps, limits, others, grow)


def judge_clips(
    clips: Sequence[Clip],
    predictor: "VideoPredictor | Panel",
    *,
    workers: int = 1,
    timeout_s: float = 900.0,
    sandbox: bool = False,
    found: Callable[[Path], object] = lambda _: None,
) -> Iterator[Outcome[Clip, Judged]]:
    """Find faces in worker processes, and judge them in this one, in the order they are found.

    Args:
        clips: From `clip_for`.
        predictor: Judges.
        workers: Processes at most.
        timeout_s: A clip is given up after so many seconds.
        sandbox: Confine the workers.
        found: Told of each clip whose faces are found, before they are judged.
    """
    for outcome in run_local(
        look_for_all,
        clips,
        workers=max(1, min(workers, len(clips), os.cpu_count() or 1)),
        timeout_s=timeout_s,
        sandbox=sandbox,
        meanwhile=predictor.checkpoint.scorer.warm_up,
    ):
        clip, faces, judged = outcome.task, outcome.result, None
        if faces is not None:
            found(clip.path)
            judged = Judged(predictor.judge(clip.path, *faces), faces[0])
        yield Outcome(clip, judged, outcome.stage, outcome.reason)


def judge_on_cluster(
    clips: Sequence[Clip],
    predictor: "VideoPredictor",
    checkpoint: Path | None = None,
    *,
    backend: "Backend" = "auto",
    imports: Sequence[str] = (),
    faces: bool = False,
    judges: int = 0,
    address: str | None = None,
    timeout_s: float = 900.0,
) -> Iterator[Outcome[Clip, Judged]]:
    """Judge each clip in a worker of a Ray cluster.

    Args:
        clips: From `clip_for`.
        predictor: As which the workers judge.
        checkpoint: Its file; None for the one that was found for it.
        backend: What computes the scores.
        imports: Modules that workers import first, from where this process runs.
        faces: Bring the faces back, too.
        judges: Processes that only judge what the others find; 0 lets each do both.
        address: Of the cluster's head.
        timeout_s: A clip is given up after so many seconds.
    """
    from deepfake.checkpoints.loading import find_checkpoint
    from preprocessing.workers.ray import run_ray

    judging = Judge(
        find_checkpoint(checkpoint).resolve(),
        predictor.checkpoint.sha256,
        predictor.aggregation,
        predictor.options.frames,
        predictor.only_person,
        backend,
        tuple(imports),
        Path.cwd(),
    )
    given = {clip.path.absolute(): clip for clip in clips}
    tasks = (Judging(replace(clip, path=path), judging, faces) for path, clip in given.items())
    if judges:
        given_to = partial(run_ray, find, then=judge_found, actors=judges)
    else:
        given_to = partial(run_ray, judge)
    for outcome in given_to(tasks, address=address, timeout_s=timeout_s):
        clip, judged = given[outcome.task.clip.path], outcome.result
        if judged is not None:  # under the names that were given here
            name = predictor.checkpoint.name
            verdict = replace(judged.verdict, video=str(clip.path), checkpoint=name)
            judged = replace(judged, verdict=verdict)
        yield Outcome(clip, judged, outcome.stage, outcome.reason)
