"""Long runs: many clips in one process, and many kills of one run.

python -m tests.reliability.soak clips [--count 10000]
python -m tests.reliability.soak kills [--count 50] [--seed 0]
python -m tests.reliability.soak batch [--count 200]
"""

import argparse
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from preprocessing.batch import local_engine, preprocess_videos
from preprocessing.crops import store
from preprocessing.crops.manifest import RECORD, VideoRecord
from preprocessing.pipeline import Extraction, detector_for, extract_faces
from preprocessing.types import PreprocessOptions, Video
from preprocessing.workers.local import run_local
from tests.reliability import throw
from tests.reliability.media import FAST, resized, video

OPTIONS = PreprocessOptions(frames=2)
BAD, DEADLY = 50, 500  # every so manieth clip is no video, or kills its worker


@dataclass(frozen=True)
class Figures:
    """What the processes hold after some clips: bytes in memory, open files, zombies."""

    clips: int
    parent_bytes: int
    worker_bytes: int
    files: int
    zombies: int

    def __str__(self) -> str:
        """Return the figures in words."""
        return (
            f"after {self.clips} clips: parent {self.parent_bytes / 2**20:.1f} MiB, "
            f"worker {self.worker_bytes / 2**20:.1f} MiB, {self.files} open files, "
            f"{self.zombies} zombies"
        )


def look(clip: Path) -> Extraction:
    """Find the faces of a clip; runs in a worker."""
    if clip.name == "deadly":
        os.kill(os.getpid(), signal.SIGKILL)
    return extract_faces(clip, OPTIONS, detector_for(OPTIONS))


def soak_clips(folder: Path, count: int, *, every: int) -> Iterator[Figures]:
    """Judge many clips in one process with one worker; yield figures now and then."""
    good, bad = folder / "good.mp4", folder / "bad.mp4"
    good.write_bytes(video("mp4", "libx264", options=FAST, images=resized(96, 96, 6)))
    bad.write_bytes(good.read_bytes()[:300])
    judge, judged, failed = throw.predictor(), 0, 0

    def clips() -> Iterator[Path]:
        for number in range(1, count + 1):
            deadly = number % DEADLY == 0
            yield folder / "deadly" if deadly else bad if number % BAD == 0 else good

    for number, outcome in enumerate(run_local(look, clips(), workers=1), 1):
        if outcome.result is None:
            failed += 1
        else:
            judged += judge.judge(outcome.task, outcome.result).score is not None
        if number % every == 0 or number == count:
            yield _figures(number)
    # A deadly clip is never also a bad one.
    assert failed == count // BAD, (failed, count)
    assert judged == count - failed, (judged, failed, count)


def _figures(clips: int) -> Figures:
    (worker,) = multiprocessing.active_children() or (None,)
    return Figures(
        clips,
        _resident(os.getpid()),
        _resident(worker.pid) if worker is not None and worker.pid else 0,
        len(os.listdir("/proc/self/fd")),  # noqa: PTH208
        sum(_is_zombie(entry) for entry in Path("/proc").iterdir() if entry.name.isdigit()),
    )


def _resident(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _is_zombie(entry: Path) -> bool:
    try:
        state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
    except (OSError, ValueError):
        return False
    return state == "Z" and int(parent) == os.getpid()


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder of crops but the locks."""
    files = (p for p in sorted(folder.rglob("*")) if p.is_file() and "lock" not in p.name)
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def check_complete(folder: Path) -> int:
    """Make sure that every video in the folder is whole; return how many there are."""
    count = 0
    for record in folder.glob(f"crops/**/{RECORD}"):
        faces = VideoRecord.from_json(record.read_text(encoding="utf-8")).faces
        found = {p.name: p.stat().st_size for p in record.parent.iterdir() if p.name != RECORD}
        assert set(found) == {face.file for face in faces}, record
        assert all(found.values()), record
        count += 1
    return count


def soak_kills(folder: Path, count: int, seed: int = 0) -> tuple[int, int]:
    """Kill a run `count` times at random moments; return kills that hit and bytes that differ.

    Raises:
        AssertionError: A video was there in part.
    """
    clip = folder / "clip.mp4"
    clip.write_bytes(video("mp4", "libx264", options=FAST))
    videos = [Video(clip, f"clip{k}") for k in range(6)]
    preprocess_here = _Run(videos, folder / "clean")
    _run(preprocess_here, None)
    wanted = contents(folder / "clean")
    rng, out, hits = np.random.default_rng(seed), folder / "killed", 0
    while hits < count:
        ended = _run(_Run(videos, out), float(rng.exponential(0.4)), rng)
        hits += ended
        check_complete(out)
        if not ended:
            for left in list(out.glob("crops/*"))[::2]:
                shutil.rmtree(left)
    _run(_Run(videos, out), None)
    store.clean_temporary(out)
    found = contents(out)
    lost = sum(len(data) for name, data in wanted.items() if found.get(name) != data)
    return hits, lost + sum(len(found[name]) for name in set(found) - set(wanted))


@dataclass(frozen=True)
class _Run:
    videos: list[Video]
    folder: Path

    def __call__(self) -> None:
        os.setsid()
        preprocess_videos(self.videos, self.folder, OPTIONS, local_engine(2))


def _run(
    run: Callable[[], None], seconds: float | None, rng: np.random.Generator | None = None
) -> bool:
    """Run in a process of its own; kill it after so many seconds; tell whether that hit."""
    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join(seconds)
    hit = process.is_alive()
    if hit and process.pid is not None:
        ways = (signal.SIGKILL, signal.SIGTERM)
        os.kill(process.pid, ways[int(rng.integers(2))] if rng is not None else signal.SIGKILL)
    process.join()
    assert hit or process.exitcode == 0, process.exitcode
    return hit


def soak_batch(folder: Path, count: int) -> Counter[str]:
    """Judge clips, every 20th broken, killed after a third and two thirds; count the labels.

    Raises:
        AssertionError: A clip is judged twice, or not at all.
    """
    clips, out = folder / "clips", folder / "verdicts.jsonl"
    clips.mkdir()
    whole = video("mp4", "libx264", options=FAST)
    for k in range(count):
        own = (8 + k).to_bytes(4, "big") + b"free" + bytes(k)  # so that no two are the same file
        (clips / f"{k:04d}.mp4").write_bytes(whole[:400] if k % 20 == 19 else whole + own)
    command = [sys.executable, "-m", "deepfake.predict", str(clips), "--jsonl", str(out)]
    command += ["--frames", "2", "--checkpoint", "default"]
    for wanted in (count // 3, 2 * count // 3, None):
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        ) as running:
            while running.poll() is None:
                done = out.read_bytes().count(b"\n") if out.is_file() else 0
                if wanted is not None and done >= wanted:
                    os.killpg(running.pid, signal.SIGKILL)
                time.sleep(0.02)
        assert running.returncode == (1 if wanted is None else -signal.SIGKILL)
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    names = Counter(Path(row["video"]).name for row in rows)
    assert names == Counter(path.name for path in clips.iterdir()), "each exactly once"
    broken = {row["video"] for row in rows if row["label"] == "error"}
    assert {Path(name).stem for name in broken} == {f"{k:04d}" for k in range(19, count, 20)}
    return Counter(row["label"] for row in rows)


def main() -> int:
    """Run one of them and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("clips", "kills", "batch"))
    parser.add_argument("--count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.what == "kills":
            hits, lost = soak_kills(Path(folder), given.count or 50, given.seed)
            print(f"{hits} kills, {lost} bytes differ from an undisturbed run")
            return 1 if lost else 0
        if given.what == "batch":
            labels = soak_batch(Path(folder), given.count or 200)
            print(f"each clip once, after two kills: {dict(labels)}")
            return 0
        count = given.count or 10_000
        for figures in soak_clips(Path(folder), count, every=max(1, count // 10)):
            print(figures, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
