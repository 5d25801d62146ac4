import faulthandler
import os
import signal
import time

import pytest

from preprocessing.errors import VideoError
from preprocessing.workers.local import run_local


def behave(task: str) -> str:
    """Do what the task says; runs in a worker."""
    if task == "die":
        faulthandler.disable()
        os.kill(os.getpid(), signal.SIGSEGV)
    if task == "hang":
        time.sleep(60)
    if task == "refuse":
        raise VideoError("not a video")
    if task == "full":
        raise OSError(28, "No space left on device")
    if task == "bug":
        raise ZeroDivisionError("oops")
    if task == "eat":
        return str(len(bytearray(2**33)))
    return task.upper()


@pytest.mark.parametrize("workers", [1, 3])
def test_bad_tasks_are_reported_and_the_others_done(workers: int) -> None:
    tasks = ["a", "die", "b", "refuse", "full", "bug", "c", "eat", "d"]
    outcomes = {o.task: o for o in run_local(behave, tasks, workers=workers)}
    assert {task: outcomes[task].result for task in "abcd"} == {
        "a": "A",
        "b": "B",
        "c": "C",
        "d": "D",
    }
    assert "SIGSEGV" in outcomes["die"].reason
    assert (outcomes["refuse"].stage, outcomes["refuse"].reason) == ("decode", "not a video")
    assert outcomes["full"].stage == "write"
    assert "ZeroDivisionError" in outcomes["bug"].reason
    assert "memory" in outcomes["eat"].reason


def test_a_hanging_task_is_given_up() -> None:
    start = time.monotonic()
    outcomes = {o.task: o for o in run_local(behave, ["hang", "a"], workers=1, timeout_s=5)}
    assert outcomes["hang"].reason == "took longer than 5 s"
    assert outcomes["a"].result == "A"
    assert time.monotonic() - start < 55


def test_leaving_early_ends_the_workers() -> None:
    outcomes = run_local(behave, ["a", "hang"], workers=2)
    assert next(outcomes).result == "A"
    outcomes.close()
    # A child of this process that still runs would be listed.
    import multiprocessing

    assert multiprocessing.active_children() == []


def test_meanwhile_runs_once() -> None:
    calls: list[int] = []
    list(run_local(behave, ["a", "b"], workers=1, meanwhile=lambda: calls.append(1)))
    assert calls == [1]
