"""Many videos into one folder of crops; interrupted and run again, it goes on."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from preprocessing import store
from preprocessing.detection import FaceDetector
from preprocessing.engines import TIMEOUT_S, Outcome, run_local
from preprocessing.errors import DeepfakeError
from preprocessing.manifest import VideoRecord, write_failures
from preprocessing.pipeline import extract_faces, make_detector
from preprocessing.types import PreprocessOptions, Video

NO_FACE = "faces"  # the stage of a video that is fine but shows nobody


@dataclass(frozen=True)
class Job:
    """One video to be worked on, by any process that sees the same files."""

    video: Video
    folder: Path
    options: PreprocessOptions


@dataclass(frozen=True)
class Failure:
    """A video that gave no crops: where that happened and why."""

    video: str
    stage: str
    reason: str


@dataclass(frozen=True)
class BatchReport:
    """What a run did.

    Args:
        done: Videos in the folder now, of those asked for.
        skipped: Of these, the ones that an earlier run did.
        crops: Crops of all videos in the folder.
        failures: Videos without crops.
    """

    done: int
    skipped: int
    crops: int
    failures: tuple[Failure, ...]


Engine = Callable[[Callable[[Job], int], Sequence[Job]], Iterator[Outcome[Job, int]]]


@cache
def detector_for(options: PreprocessOptions) -> FaceDetector:
    """Return this process's face detector for some options; its networks are loaded once."""
    return make_detector(options)


def work(job: Job) -> int:
    """Cut one video's faces out and store them; return how many crops.

    Raises:
        VideoError: The video cannot be used.
    """
    extraction = extract_faces(job.video.path, job.options, detector_for(job.options))
    return store.store(job.folder, job.video, extraction, job.options)


def local_engine(workers: int, timeout_s: float = TIMEOUT_S) -> Engine:
    """Return the engine of this machine's processes."""

    def run(function: Callable[[Job], int], jobs: Sequence[Job]) -> Iterator[Outcome[Job, int]]:
        return run_local(function, jobs, workers=min(workers, len(jobs)), timeout_s=timeout_s)

    return run


def preprocess_videos(
    videos: Sequence[Video],
    folder: Path,
    options: PreprocessOptions,
    engine: Engine,
    *,
    on_start: Callable[[int, int], None] | None = None,
    on_video: Callable[[Outcome[Job, int]], None] | None = None,
    lock: str = ".lock",
) -> BatchReport:
    """Cut the faces of many videos and write the manifest of all that is in the folder.

    Args:
        videos: With different keys.
        folder: Of crops; made if missing.
        options: Which frames, which crops.
        engine: Where the work is done.
        on_start: Told how many videos there are and how many an earlier run did.
        on_video: Told each video's outcome.
        lock: Name of the lock; runs into one folder need different ones (and different videos).

    Raises:
        DeepfakeError: The folder is in use, not writable, or made with other options.
    """
    _check_keys(videos)
    with store.locked(folder, lock):
        store.keep_options(folder, options)
        if lock == ".lock":
            store.clean_temporary(folder)
        todo = [video for video in videos if not store.is_done(folder, video)]
        if on_start is not None:
            on_start(len(videos), len(videos) - len(todo))
        failures: list[Failure] = []
        jobs = [Job(video, folder, options) for video in todo]
        try:
            for outcome in engine(work, jobs) if jobs else ():
                if outcome.stage:
                    key = outcome.task.video.key
                    failures.append(Failure(key, outcome.stage, outcome.reason))
                if on_video is not None:
                    on_video(outcome)
        finally:
            records = store.finish(folder)
            failures += _faceless(records, {video.key for video in videos})
            rows = [(failure.video, failure.stage, failure.reason) for failure in failures]
            write_failures(folder, rows)
    failed = sum(failure.stage != NO_FACE for failure in failures)
    return BatchReport(
        done=len(videos) - failed,
        skipped=len(videos) - len(todo),
        crops=sum(len(record.faces) for record in records),
        failures=tuple(sorted(failures, key=lambda failure: failure.video)),
    )


def _check_keys(videos: Sequence[Video]) -> None:
    seen: dict[str, Path] = {}
    for video in videos:
        if video.key in seen:
            raise DeepfakeError(
                f"{video.path} and {seen[video.key]} have the same key {video.key!r}. "
                "Rename one, or preprocess them into different folders."
            )
        seen[video.key] = video.path


def _faceless(records: Sequence[VideoRecord], keys: set[str]) -> list[Failure]:
    return [
        Failure(record.key, NO_FACE, f"no face in {record.read} frames{_why(record)}")
        for record in records
        if not record.faces and record.key in keys
    ]


def _why(record: VideoRecord) -> str:
    if not record.rejected:
        return ""
    reasons = ", ".join(f"{count} {reason}" for reason, count in record.rejected.items())
    return f" (left out: {reasons})"
