import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from preprocessing.batch import local_engine, preprocess_videos
from preprocessing.crops.manifest import read_failures, read_manifest
from preprocessing.crops.store import LOCK, locked
from preprocessing.errors import ManifestError
from preprocessing.types import PreprocessOptions, Video
from tests.reliability.media import FAST, video
from tests.reliability.soak import check_complete

OPTIONS = PreprocessOptions(frames=4)
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    path.write_bytes(video("mp4", "libx264", options=FAST))
    return path


def clips(clip: Path, count: int) -> list[Video]:
    return [Video(clip, f"clip{k}") for k in range(count)]


def mount(folder: Path, *options: str) -> None:
    done = subprocess.run(["mount", *options, str(folder)], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"needs leave to mount a small disk: {done.stderr.decode().strip()}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB: room for a few crops."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount(folder, "-t", "tmpfs", "-o", "size=256k", "tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_loses_nothing_and_the_run_goes_on_elsewhere(disk: Path, clip: Path) -> None:
    out = disk / "faces"
    (disk / "ballast").write_bytes(bytes(120_000))
    report = preprocess_videos(clips(clip, 3), out, OPTIONS, local_engine(1))
    failed = {failure.stage: failure.reason for failure in report.failures}
    assert failed == {"write": "No space left on device"}
    whole = check_complete(out)
    assert len(read_manifest(out)) == 4 * whole
    assert not list(out.glob(".tmp-*"))
    (disk / "ballast").unlink()
    with (out / "failures.csv").open() as file:
        listed = [row["video"] for row in csv.DictReader(file)]
    assert len(listed) == 3 - whole
    again = [video for video in clips(clip, 3) if video.key == listed[0]]
    assert preprocess_videos(again, out, OPTIONS, local_engine(1)).failures == ()
    assert check_complete(out) == whole + 1


def test_a_disk_with_no_room_at_all_is_one_line(disk: Path, clip: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        (disk / "ballast").write_bytes(bytes(400_000))
    with pytest.raises(ManifestError, match=r"cannot be written \(No space left on device\)"):
        preprocess_videos(clips(clip, 1), disk / "faces", OPTIONS, local_engine(1))


def test_a_folder_that_cannot_be_written_is_one_line(disk: Path, clip: Path) -> None:
    out = disk / "faces"
    mount(disk, "-o", "remount,ro")
    with pytest.raises(ManifestError, match=r"cannot be written \(Read-only file system\)"):
        preprocess_videos(clips(clip, 1), out, OPTIONS, local_engine(1))


def test_a_file_in_place_of_the_folder_is_one_line(tmp_path: Path, clip: Path) -> None:
    (tmp_path / "faces").write_text("mine")
    with pytest.raises(ManifestError, match="cannot be written"):
        preprocess_videos(clips(clip, 1), tmp_path / "faces", OPTIONS, local_engine(1))


def start(clip: Path, out: Path, *more: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "deepfake.preprocess", str(clip), "--out", str(out), *more]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts what runs in the background deaf to SIGINT, and children inherit it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def test_two_runs_at_once_one_is_told(tmp_path: Path, clip: Path) -> None:
    out = tmp_path / "faces"
    with locked(out):
        second = start(clip, out)
        _, errors = second.communicate(timeout=120)
    assert second.returncode == 2
    assert errors.strip().splitlines()[-1] == (
        f"error: {out} is being written by another run. Wait for it, or name another --out."
    )


def test_shards_run_beside_each_other_but_not_beside_a_whole_run(tmp_path: Path) -> None:
    with locked(tmp_path, ".lock-0-of-2"), locked(tmp_path, ".lock-1-of-2"):
        with pytest.raises(ManifestError, match="another run"), locked(tmp_path, LOCK):
            pass
        with pytest.raises(ManifestError, match="another run"), locked(tmp_path, ".lock-1-of-2"):
            pass
    with locked(tmp_path, LOCK):
        pass


def test_shards_keep_each_others_failures(tmp_path: Path, clip: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_text("no video")
    out = tmp_path / "faces"
    for number in range(2):
        shard = [Video(bad, f"bad{number}"), Video(clip, f"good{number}")]
        lock = f".lock-{number}-of-2"
        preprocess_videos(shard, out, OPTIONS, local_engine(1), lock=lock)
    assert [row[:2] for row in read_failures(out)] == [("bad0", "decode"), ("bad1", "decode")]
    preprocess_videos([Video(clip, "bad0")], out, OPTIONS, local_engine(1))
    assert [row[0] for row in read_failures(out)] == ["bad1"]


@pytest.mark.parametrize("name", [b"\xff\xfe.mp4", b"a\nb.mp4", b'a,b".mp4'])
def test_names_of_any_bytes_are_kept(tmp_path: Path, clip: Path, name: bytes) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    odd.write_bytes(clip.read_bytes())
    out = tmp_path / "faces"
    videos = [Video(odd, odd.stem), Video(tmp_path / "none.mp4", f"{odd.stem}2")]
    report = preprocess_videos(videos, out, OPTIONS, local_engine(1))
    assert (report.done, report.crops) == (1, 4)
    ((key, stage, _),) = read_failures(out)
    assert (key, stage) == (f"{read_manifest(out)[0].video}2", "decode")
    assert preprocess_videos(videos, out, OPTIONS, local_engine(1)).skipped == 1


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_it_stops_whole(tmp_path: Path, clip: Path, sent: signal.Signals) -> None:
    folder, out = tmp_path / "clips", tmp_path / "faces"
    folder.mkdir()
    for number in range(60):
        (folder / f"{number}.mp4").write_bytes(clip.read_bytes())
    run = start(folder, out, "--workers", "1")
    end = time.monotonic() + 120
    while not list(out.glob("crops/**/video.json")) and time.monotonic() < end:
        time.sleep(0.02)
    run.send_signal(sent)
    _, errors = run.communicate(timeout=60)
    assert run.returncode == (130 if sent == signal.SIGINT else -sent)
    assert "Traceback" not in errors
    assert 1 <= check_complete(out) < 60
    if sent == signal.SIGINT:
        last = errors.strip().splitlines()[-1]
        assert last == "error: interrupted; run the same command again to go on"
        assert len(read_manifest(out)) == 24 * check_complete(out)  # all frames of the clip
