"""A folder of crops that is right at every moment, whatever is killed."""

import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from urllib.parse import quote

from preprocessing.crops.manifest import (
    OPTIONS,
    RECORD,
    FaceRow,
    VideoRecord,
    iter_records,
    read_failures,
    read_options,
    write_atomically,
    write_failures,
    write_manifest,
    write_through,
)
from preprocessing.errors import ManifestError
from preprocessing.pipeline import Extraction
from preprocessing.types import Face, PreprocessOptions, Video
from preprocessing.video.images import encode_image

LOCK = ".lock"
PATIENCE_S = 2.0  # workers of a run that was killed hold its lock until they are gone as well
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_NAME_LENGTH = 80


def video_folder(video: Video) -> str:
    """Return where a video's crops go, relative to the folder of crops.

    Readable, safe on every file system, and different for different keys.
    """
    digest = hashlib.sha256(video.key.encode("utf-8", "surrogateescape")).hexdigest()[:10]
    parents = [_safe(part) for part in (video.dataset, video.method, video.compression) if part]
    return "/".join(["crops", *parents, f"{_safe(video.name)}-{digest}"])


def _safe(name: str) -> str:
    return _UNSAFE.sub("_", name).strip(".")[:_NAME_LENGTH] or "_"


@contextmanager
def locked(folder: Path, name: str = LOCK) -> Iterator[None]:
    """Hold a lock that ends with the process, however it ends.

    Args:
        folder: Of crops; made if missing.
        name: `LOCK` for a run that has the folder alone; another one for a run beside others,
            which have different names.

    Raises:
        ManifestError: Another process holds it, or the folder cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        if name != LOCK:
            _take(held, folder, LOCK, fcntl.LOCK_SH)
        _take(held, folder, name, fcntl.LOCK_EX)
        yield


def _take(held: ExitStack, folder: Path, name: str, kind: int) -> None:
    with writing(folder):
        file = held.enter_context((folder / name).open("a"))
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > end:
                raise ManifestError(
                    f"{folder} is being written by another run. Wait for it, or name another --out."
                ) from error
            time.sleep(0.05)
        else:
            return


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Say in one line that a folder cannot be written.

    Raises:
        ManifestError: The disk is full, read-only, or not ours.
    """
    try:
        yield
    except OSError as error:
        raise ManifestError(
            f"{folder} cannot be written ({error.strerror}). What is done stays done: make room "
            "or get leave and run again, or name another --out."
        ) from error


def keep_options(folder: Path, options: PreprocessOptions) -> None:
    """Write the options beside the crops, or check that the ones there are the same.

    Raises:
        ManifestError: The folder was made with other options; the message names them.
    """
    if not (folder / OPTIONS).exists():
        text = json.dumps(asdict(options), indent=1) + "\n"
        write_atomically(folder / OPTIONS, text.encode())
        return
    before, now = asdict(read_options(folder)), asdict(options)
    differ = [name for name in now if now[name] != before[name]]
    if differ:
        changes = ", ".join(f"{name} {before[name]} (now {now[name]})" for name in differ)
        raise ManifestError(
            f"{folder} was made with other options: {changes}. Name another --out, or delete it."
        )


def clean_temporary(folder: Path) -> None:
    """Remove what a killed run left; call it with the lock held."""
    for left in folder.glob(".tmp-*"):
        shutil.rmtree(left, ignore_errors=True)
    for left in (folder / "crops").glob("**/.*.tmp"):
        left.unlink(missing_ok=True)


def is_done(folder: Path, video: Video) -> bool:
    """Tell whether a video's crops are there and were made from a file of its present size.

    What is known of the video (label, identities, split) is brought up to date where it changed.
    """
    path = folder / video_folder(video) / RECORD
    if not path.exists():
        return False
    record, there = read_record(folder, video), video.path.is_file()
    if record is None or not there or record.info.file_bytes != video.path.stat().st_size:
        shutil.rmtree(path.parent)
        return False
    if record.video != _portable(video):
        fresh = replace(record, key=video.key, video=_portable(video))
        write_atomically(path, fresh.to_json().encode())
    return True


def named(video: Video) -> Video:
    """Return the video under names that any file can hold: undecodable bytes are escaped."""
    names = ("name", "dataset", "method", "compression")
    return replace(
        video,
        **{name: _text(getattr(video, name)) for name in names},  # type: ignore[arg-type]
        source=None if video.source is None else _text(video.source),
        identities=tuple(map(_text, video.identities)),
    )


def _text(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _portable(video: Video) -> Video:
    """Return the video with a path that JSON can hold: undecodable bytes are percent-escaped."""
    try:
        str(video.path).encode()
    except UnicodeEncodeError:
        escaped = quote(os.fsencode(video.path), safe="/")
        return replace(video, path=Path(escaped))
    return video


def read_record(folder: Path, video: Video) -> VideoRecord | None:
    """Return the record of a video whose crops are there, else None."""
    try:
        text = (folder / video_folder(video) / RECORD).read_text(encoding="utf-8")
        return VideoRecord.from_json(text)
    except (OSError, ManifestError, UnicodeDecodeError):
        return None


def store(folder: Path, video: Video, extraction: Extraction, options: PreprocessOptions) -> int:
    """Write a video's crops and record, all or nothing; return how many crops.

    Raises:
        OSError: The disk is full or cannot be written; nothing is left of the video.
    """
    target = folder / video_folder(video)
    digest = hashlib.sha256(str(target).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    temporary = folder / f".tmp-{digest}-{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        rows = []
        for face in extraction.faces:
            name = f"track{face.track:02}_frame{face.detection.frame:06}.{options.image_format}"
            write_through(temporary / name, encode_image(face.image, options.image_format))
            rows.append(_row(face, name))
        record = VideoRecord(
            key=video.key,
            video=_portable(video),
            info=extraction.info,
            **vars(extraction.report),
            rejected=dict(sorted(extraction.rejected.items())),
            faces=tuple(rows),
        )
        write_through(temporary / RECORD, record.to_json().encode())
        target.parent.mkdir(parents=True, exist_ok=True)
        _sync_folder(temporary)
        if (target / RECORD).exists():  # another worker was as quick, with the same result
            shutil.rmtree(temporary)
        else:
            temporary.rename(target)
            _sync_folder(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return len(rows)


def _sync_folder(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _row(face: Face, name: str) -> FaceRow:
    found = face.detection
    return FaceRow(
        file=name,
        track=face.track,
        frame=found.frame,
        time_s=round(found.time_s, 6),
        box=tuple(round(float(edge), 2) for edge in found.box),
        score=round(float(found.score), 5),
        landmarks=tuple(round(float(value), 2) for value in found.landmarks.ravel()),
        crop_box=tuple(float(edge) for edge in face.crop_box),
    )


def finish(folder: Path) -> list[VideoRecord]:
    """Write the manifest of all videos in the folder; return their records, sorted by key."""
    with _together(folder):
        found = sorted(iter_records(folder), key=lambda item: item[1].key)
        write_manifest(folder, (crop for name, record in found for crop in record.crops(name)))
    return [record for _, record in found]


def keep_failures(
    folder: Path, failures: Sequence[tuple[str, str, str]], settled: Collection[str]
) -> None:
    """Write `failures.csv`: these, and those of other runs, but for the videos settled now.

    Args:
        folder: Of crops.
        failures: Key of the video, stage, reason.
        settled: Keys of the videos of this run, and of all with crops.
    """
    with _together(folder):
        others = [row for row in read_failures(folder) if row[0] not in settled]
        write_failures(folder, [*others, *failures])


@contextmanager
def _together(folder: Path) -> Iterator[None]:
    """Let runs beside each other write the files of all videos one after the other."""
    with writing(folder), (folder / ".manifest.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
