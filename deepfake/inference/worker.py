"""What `predict` gives to other processes: to find a clip's faces, or to judge it altogether."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from deepfake.cli.outside import import_modules
from deepfake.errors import CheckpointError
from preprocessing.limits import DEFAULT, Limits

if TYPE_CHECKING:
    from deepfake.checkpoints.loading import Backend
    from deepfake.inference import VideoPredictor
    from deepfake.recipe import InputRecipe
    from deepfake.types import Verdict
    from preprocessing.pipeline import Extraction
    from preprocessing.types import Image, PreprocessOptions


@dataclass(frozen=True)
class Clip:
    """A clip to be looked at by a worker process.

    Args:
        path: The file.
        options: Which frames, which crops.
        recipe: What the network takes of a crop.
        start_s: Begin of the span that is looked at, in seconds.
        end_s: Its end.
        fps: Frames per second of video, instead of the number in `options`.
        limits: What the clip may cost.
        others: As which other options the same faces are cut out, for a panel.
        grow: Look at more frames of a long clip, unless `fps` says how many.
    """

    path: Path
    options: "PreprocessOptions"
    recipe: "InputRecipe"
    start_s: float
    end_s: float | None
    fps: float | None = None
    limits: Limits = DEFAULT
    others: "tuple[PreprocessOptions, ...]" = ()
    grow: bool = True


def look_for_all(clip: Clip) -> "tuple[Extraction, ...]":
    """Find the faces of a clip, and cut them out for each method of a panel.

    Raises:
        VideoError: The clip cannot be used.
    """
    from deepfake.inference.panel import same_faces

    found = look(clip)
    return found, *(same_faces(clip.path, found, o, limits=clip.limits) for o in clip.others)


def look(clip: Clip) -> "Extraction":
    """Find the faces of a clip; runs in a worker process, which may die of it.

    Raises:
        VideoError: The clip cannot be used.
    """
    from preprocessing.pipeline import detector_for, extract_faces

    def shrink(crop: "Image") -> "Image":
        """Leave what the network would see of a crop, of which a long clip has many."""
        fits = max(crop.shape[:2]) <= clip.recipe.image_size
        return crop if fits else clip.recipe.resized(crop)

    return extract_faces(
        clip.path,
        clip.options,
        detector_for(clip.options),
        start_s=clip.start_s,
        end_s=clip.end_s,
        fps=clip.fps,
        shots=True,
        grow=clip.grow,
        shrink=shrink,
        limits=clip.limits,
    )


@dataclass(frozen=True)
class Judge:
    """Who judges, for a worker on another machine that sees the same files.

    Args:
        checkpoint: The file, by its whole path.
        sha256: That it must have there too.
        aggregation: Rule from faces to a video, by name.
        frames: Per video.
        only_person: Judge this person alone.
        backend: What computes the scores.
        imports: Modules to import first.
        folder: Where they may lie.
    """

    checkpoint: Path
    sha256: str
    aggregation: str
    frames: int
    only_person: int | None = None
    backend: "Backend" = "auto"
    imports: tuple[str, ...] = ()
    folder: Path = Path()


@dataclass(frozen=True)
class Judging:
    """A clip, who judges it, and whether the faces are wanted back."""

    clip: Clip
    judge: Judge
    faces: bool = False


@dataclass(frozen=True)
class Judged:
    """A verdict, and the faces that it was said of where they are wanted."""

    verdict: "Verdict"
    extraction: "Extraction | None" = None


def judge(task: Judging) -> Judged:
    """Find the faces of a clip and judge it; the network stays loaded for the next clip.

    Raises:
        DeepfakeError: The clip or the checkpoint cannot be used.
    """
    predictor = _predictor(task.judge)
    return _judged(predictor, task, look(task.clip))


def find(task: Judging) -> "Extraction":
    """Find the faces of a clip, for `judge_found`: the first of two stages on a cluster.

    Raises:
        VideoError: The clip cannot be used.
    """
    return look(task.clip)


def judge_found(task: Judging, extraction: "Extraction") -> Judged:
    """Judge a clip whose faces are found, on the GPU that Ray gave to this process, if it did.

    Raises:
        CheckpointError: The checkpoint cannot be used.
    """
    import ray

    device = "cuda" if ray.get_gpu_ids() else "cpu"
    return _judged(_predictor(task.judge, device), task, extraction)


def _judged(predictor: "VideoPredictor", task: Judging, extraction: "Extraction") -> Judged:
    verdict = predictor.judge(task.clip.path, extraction)
    return Judged(verdict, extraction if task.faces else None)


@lru_cache(1)
def _predictor(wanted: Judge, device: str = "cpu") -> "VideoPredictor":
    from deepfake.checkpoints.loading import load, load_with
    from deepfake.checkpoints.scorers import GraphScorer
    from deepfake.inference import VideoPredictor

    import_modules(wanted.imports, wanted.folder)
    if device != "cpu" and wanted.backend == "auto":
        checkpoint = load(wanted.checkpoint, device=device)
    else:
        checkpoint = load_with(wanted.checkpoint, wanted.backend)
    if checkpoint.sha256 != wanted.sha256:
        raise CheckpointError(
            f"{wanted.checkpoint} is another file on this machine (SHA-256 "
            f"{checkpoint.sha256[:16]}..., expected {wanted.sha256[:16]}...). All machines must "
            "see the same files."
        )
    if isinstance(checkpoint.scorer, GraphScorer):
        checkpoint.scorer.threads = 1  # there is a worker per processor
    return VideoPredictor(
        checkpoint,
        aggregation=wanted.aggregation,
        frames=wanted.frames,
        only_person=wanted.only_person,
    )
