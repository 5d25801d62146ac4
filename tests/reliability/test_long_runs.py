import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from preprocessing.workers.local import run_local
from tests.reliability.soak import soak_batch, soak_clips, soak_kills

LEAK = 8 * 2**20  # bytes; a leaked frame of 96x96 of each clip would be 4 MiB in 160 clips


@pytest.mark.slow
def test_memory_and_files_stay_the_same_over_many_clips(tmp_path: Path) -> None:
    first, *_, settled, _, last = soak_clips(tmp_path, 480, every=80)  # workers need 300 to settle
    assert (settled.clips, last.clips) == (320, 480)
    assert last.parent_bytes - first.parent_bytes < LEAK
    assert last.worker_bytes - settled.worker_bytes < LEAK
    assert (last.files, last.zombies) == (first.files, 0)


@pytest.mark.slow
def test_kills_at_random_moments_lose_nothing(tmp_path: Path) -> None:
    hits, lost = soak_kills(tmp_path, 5, seed=1)
    assert (hits, lost) == (5, 0)


def sleep(task: str) -> None:
    """Tell the process's id and wait; runs in a worker."""
    Path(task).write_text(str(os.getpid()))
    time.sleep(60)


def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from preprocessing.workers.local import run_local\n"
        "from tests.reliability.test_long_runs import sleep\n"
        "list(run_local(sleep, [sys.argv[1]], workers=1))\n"
    )
    told = tmp_path / "pid"
    root = Path(__file__).parents[2]
    parent = subprocess.Popen([sys.executable, "-c", script, str(told)], cwd=root)
    end = time.monotonic() + 60
    while not (told.exists() and told.read_text()) and time.monotonic() < end:
        time.sleep(0.05)
    worker = int(told.read_text())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    while Path(f"/proc/{worker}").exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not Path(f"/proc/{worker}").exists()


def nothing(task: int) -> int:
    """Return the task; runs in a worker."""
    return task


def test_a_worker_whose_parent_is_gone_already_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 1)  # as if the parent had been another process
    (outcome,) = run_local(nothing, [3], workers=1)
    assert outcome.stage == "worker"
    assert "ended with exit status 0" in outcome.reason


@pytest.mark.slow
def test_a_batch_killed_twice_judges_every_clip_once(tmp_path: Path) -> None:
    labels = soak_batch(tmp_path, 40)
    assert labels["error"] == 2
    assert labels.total() == 40
