"""A cluster of two nodes on this machine, one of whose workers is killed."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from preprocessing.batch import local_engine, preprocess_videos
from preprocessing.crops.manifest import read_manifest, read_video_records
from preprocessing.crops.store import store
from preprocessing.errors import DeepfakeError
from preprocessing.types import PreprocessOptions, Video
from preprocessing.workers.ray import AHEAD, ray_engine, run_ray

ray = pytest.importorskip("ray", reason="needs the extra: pip install -e '.[ray]'")
OPTIONS = PreprocessOptions(frames=2)
BROKEN = 7

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Ray's own sockets
    pytest.mark.filterwarnings("ignore::FutureWarning:ray"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture
def cluster() -> Iterator[str]:
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    nodes.add_node(num_cpus=1)
    yield nodes.address
    ray.shutdown()
    nodes.shutdown()  # type: ignore[no-untyped-call]


def videos_in(samples: Path) -> list[Video]:
    names = [f"{clip}{k}" for k in range(4) for clip in ("real", "fake")]
    return [Video(samples / f"{name[:-1]}.mp4", name) for name in names]


def test_a_killed_worker_loses_nothing(cluster: str, samples: Path, tmp_path: Path) -> None:
    here = tmp_path / "local"
    preprocess_videos(videos_in(samples), here, OPTIONS, local_engine(2))
    killed: list[int] = []

    def kill_one(outcome: object) -> None:
        if not killed:
            killed.append(_kill_a_worker())

    there = tmp_path / "ray"
    report = preprocess_videos(
        videos_in(samples), there, OPTIONS, ray_engine(cluster), on_video=kill_one
    )
    assert killed
    assert report.failures == ()
    assert [r.path for r in read_manifest(there)] == [r.path for r in read_manifest(here)]
    assert read_video_records(there) == read_video_records(here)


def find(task: int) -> tuple[int, float]:
    """Take as long as a clip might, without a processor."""
    time.sleep(0.1)
    if task == BROKEN:
        raise DeepfakeError("broken")
    return task * 2, time.time()


def judge(task: int, found: tuple[int, float]) -> tuple[int, float, float, float]:
    begun = time.time()
    time.sleep(0.2)
    return task + found[0], found[1], begun, time.time()


def test_two_stages_keep_the_slower_one_busy_and_lose_nothing(cluster: str) -> None:
    """Two nodes find, one process judges for as long as both together, and is killed once."""
    got: dict[int, tuple[int, float, float, float]] = {}
    killed: list[int] = []
    for outcome in run_ray(find, range(60), then=judge, address=cluster):
        if outcome.task == BROKEN:
            assert (outcome.result, outcome.reason) == (None, "broken")
            continue
        assert outcome.result is not None
        assert outcome.task not in got
        got[outcome.task] = outcome.result
        if len(got) == 20:
            killed.append(_kill_a_worker("ray::Second"))
    assert killed
    assert {task: row[0] for task, row in got.items()} == {
        task: 3 * task for task in range(60) if task != BROKEN
    }
    # It takes three seconds to have it back; before and after it hardly waits.
    rows = sorted(got.values(), key=lambda row: row[2])
    spans = [(rows[1][2], rows[19][3]), (rows[-20][2], rows[-1][3])]
    busy = sum(0.2 for row in rows for low, high in spans if low <= row[2] and row[3] <= high)
    share = busy / sum(high - low for low, high in spans)
    assert share > 0.7, f"busy for {share:.0%}"
    waiting = max(
        sum(row[1] <= now for row in rows) - sum(row[2] <= now for row in rows)
        for now in [row[1] for row in rows]
    )
    under_way = AHEAD * 2 + 2  # with the one that is judged and the one that was just given
    assert waiting <= under_way, f"{waiting} wait where two processors find"


def _kill_a_worker(kind: str = "ray::attempt") -> int:
    for _ in range(100):
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command = entry.read_bytes().decode(errors="replace")
            except OSError:
                continue
            if command.startswith(kind):
                pid = int(entry.parent.name)
                os.kill(pid, signal.SIGKILL)
                return pid
        time.sleep(0.05)
    raise AssertionError("no worker was running")


def test_a_video_stored_twice_is_there_once(samples: Path, tmp_path: Path) -> None:
    """A task that is tried again after its node was lost may find its work done."""
    from preprocessing.pipeline import detector_for, extract_faces

    video = Video(samples / "real.mp4", "a")
    found = extract_faces(video.path, OPTIONS, detector_for(OPTIONS))
    assert store(tmp_path, video, found, OPTIONS) == store(tmp_path, video, found, OPTIONS) == 2
    assert len(list(tmp_path.rglob("video.json"))) == 1
    assert not list(tmp_path.glob(".tmp-*"))
