"""Many videos into one folder of crops; interrupted and run again, it goes on."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from preprocessing.crops import store
from preprocessing.crops.manifest import VideoRecord
from preprocessing.errors import DeepfakeError
from preprocessing.limits import DEFAULT, Limits
from preprocessing.pipeline import crop_known, detector_for, extract_faces
from preprocessing.types import Detection, PreprocessOptions, Track, Video
from preprocessing.video.index import index_frames
from preprocessing.workers.local import MEMORY_BYTES, TIMEOUT_S, Outcome, run_local

NO_FACE = "faces"  # the stage of a video that is fine but shows nobody


@dataclass(frozen=True)
class Job:
    """One video to be worked on, by any process that sees the same files.

    Args:
        video: The video.
        folder: Of crops.
        options: Which frames, which crops.
        original: The video that this one was made from frame by frame, if its boxes are to be
            reused; where its frames are others, faces are detected as usual.
        limits: What the video may cost.
        device: Decodes the video and finds the faces, as torch names it.
    """

    video: Video
    folder: Path
    options: PreprocessOptions
    original: Video | None = None
    limits: Limits = DEFAULT
    device: str = "cpu"


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


def work(job: Job) -> int:
    """Cut one video's faces out and store them; return how many crops.

    Raises:
        VideoError: The video cannot be used.
    """
    tracks = None if job.original is None else _tracks_of(job, job.original)
    if tracks is None:
        extraction = extract_faces(
            job.video.path,
            job.options,
            detector_for(job.options, job.device),
            limits=job.limits,
            device=job.device,
        )
    else:
        extraction = crop_known(
            job.video.path, job.options, tracks, limits=job.limits, device=job.device
        )
    return store.store(job.folder, job.video, extraction, job.options)


def _tracks_of(job: Job, original: Video) -> list[Track] | None:
    """Return the people of the original, or None where it does not show the same frames."""
    record = store.read_record(job.folder, original)
    if record is None or not record.faces:
        return None
    info = index_frames(job.video.path, job.limits).info
    same = (info.frames, info.width, info.height)
    if same != (record.info.frames, record.info.width, record.info.height):
        return None
    people: dict[int, list[Detection]] = {}
    for face in record.faces:
        people.setdefault(face.track, []).append(face.detection)
    return [Track(number, tuple(found)) for number, found in sorted(people.items())]


def local_engine(
    workers: int,
    timeout_s: float = TIMEOUT_S,
    *,
    memory_bytes: int | None = MEMORY_BYTES,
    sandbox: bool = False,
) -> Engine:
    """Return the engine of this machine's processes; see `run_local`."""
    return lambda function, jobs: run_local(
        function,
        jobs,
        workers=min(workers, len(jobs)),
        timeout_s=timeout_s,
        memory_bytes=memory_bytes,
        sandbox=sandbox,
    )


def preprocess_videos(
    videos: Sequence[Video],
    folder: Path,
    options: PreprocessOptions,
    engine: Engine,
    *,
    on_start: Callable[[int, int], None] | None = None,
    on_video: Callable[[Outcome[Job, int]], None] | None = None,
    lock: str = store.LOCK,
    reuse_boxes: bool = False,
    limits: Limits = DEFAULT,
    device: str = "cpu",
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
        reuse_boxes: Detect faces in originals only, and cut fakes at the same places.
        limits: What a video may cost.
        device: Decodes videos and finds faces, as torch names it.

    Raises:
        DeepfakeError: The folder is in use, not writable, or made with other options.
    """
    videos = [store.named(video) for video in videos]
    _check_keys(videos)
    with store.locked(folder, lock):
        with store.writing(folder):
            store.keep_options(folder, options)
            if lock == store.LOCK:
                store.clean_temporary(folder)
            todo = [video for video in videos if not store.is_done(folder, video)]
        if on_start is not None:
            on_start(len(videos), len(videos) - len(todo))
        failures: list[Failure] = []
        try:
            for phase in _phases(todo, videos, folder, options, reuse_boxes=reuse_boxes):
                jobs = [replace(job, limits=limits, device=device) for job in phase]
                for outcome in engine(work, jobs):
                    if outcome.stage:
                        key = outcome.task.video.key
                        failures.append(Failure(key, outcome.stage, outcome.reason))
                    if on_video is not None:
                        on_video(outcome)
        finally:
            records = store.finish(folder)
            failures += _faceless(records, {video.key for video in videos})
            rows = [(failure.video, failure.stage, failure.reason) for failure in failures]
            settled = {record.key for record in records} | {row[0] for row in rows}
            store.keep_failures(folder, rows, settled)
    failed = sum(failure.stage != NO_FACE for failure in failures)
    return BatchReport(
        done=len(videos) - failed,
        skipped=len(videos) - len(todo),
        crops=sum(len(record.faces) for record in records),
        failures=tuple(sorted(failures, key=lambda failure: failure.video)),
    )


def _phases(
    todo: Sequence[Video],
    videos: Sequence[Video],
    folder: Path,
    options: PreprocessOptions,
    *,
    reuse_boxes: bool,
) -> list[list[Job]]:
    """Return jobs in one phase, or originals first where fakes take over their boxes."""
    if not reuse_boxes:
        phases = [[Job(video, folder, options) for video in todo]]
    else:
        originals = {video.key: video for video in videos if video.label != 1}
        found = [originals.get(video.source or "") for video in todo]
        pairs = list(zip(todo, found, strict=True))
        phases = [
            [Job(video, folder, options) for video, original in pairs if original is None],
            [Job(video, folder, options, o) for video, o in pairs if o is not None],
        ]
    return [jobs for jobs in phases if jobs]


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
