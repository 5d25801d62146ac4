"""The same work as tasks of a Ray cluster, whose nodes share a file system."""

import faulthandler
import logging
import os
import re
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from preprocessing.errors import DeepfakeError, require
from preprocessing.workers.local import TIMEOUT_S, Outcome, Result, Task, attempt

if TYPE_CHECKING:
    from preprocessing.batch import Engine

RAY = ("ray", "ray", "--engine ray")  # as `require` takes it
RETRIES = 3  # after a worker or node died
KNOCK_S = 10.0
AHEAD = 4  # tasks submitted per processor, so that none waits and few are held


def ray_engine(address: str | None = None, timeout_s: float = TIMEOUT_S) -> "Engine":
    """Return the engine of a Ray cluster for `preprocess_videos`; see `run_ray`.

    Nothing is stored twice, as a video's folder appears by one rename.

    Raises:
        DeepfakeError: Ray is not installed.
    """
    require(*RAY)

    return lambda function, jobs: run_ray(function, jobs, address=address, timeout_s=timeout_s)


def run_ray(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    *,
    address: str | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Iterator[Outcome[Task, Result]]:
    """Run `function` on every task in a Ray cluster; yield outcomes as they come.

    A task whose worker dies is tried again elsewhere; a video that kills its worker every time is
    reported like one that cannot be read.

    Args:
        function: Importable by name on every node; its `DeepfakeError`s become outcomes.
        tasks: Taken as processors become free.
        address: Of the cluster's head, such as "10.0.0.1:6379"; "auto" for a running one on this
            machine; None starts one here.
        timeout_s: A try that takes longer ends with its worker, in seconds.

    Raises:
        DeepfakeError: Ray is not installed, or the cluster does not answer.
    """
    require(*RAY)
    import ray

    _knock(address)
    try:
        ray.init(
            address=address,
            include_dashboard=None if address else False,
            log_to_driver=False,
            ignore_reinit_error=True,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise DeepfakeError(f"no Ray cluster answers at {address}: {reason}") from error
    remote: Any = ray.remote(max_retries=RETRIES)(attempt_in_time)
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    limit = max(1, int(AHEAD * resources.get("CPU", 1)))
    pending = iter(tasks)
    running: dict[Any, Task] = {}
    while True:
        while len(running) < limit and (task := next(pending, None)) is not None:
            running[remote.remote(function, task, timeout_s)] = task
        if not running:
            return
        (ready, *_), _ = ray.wait(list(running))
        yield _outcome(ready, running.pop(ready))


def _knock(address: str | None) -> None:
    """See that somebody listens at a "host:port", since Ray would go on asking for minutes."""
    parts = re.fullmatch(r"([^:/]+):(\d{1,5})", address or "")
    if parts is None:
        return
    try:
        socket.create_connection((parts[1], int(parts[2])), timeout=KNOCK_S).close()
    except (OSError, OverflowError) as error:
        raise DeepfakeError(f"no Ray cluster answers at {address}: {error}") from error


def attempt_in_time(
    function: Callable[[Task], Result], task: Task, timeout_s: float
) -> tuple[Result | None, str, str]:
    """Do as `attempt`, but end this process when it takes longer than so many seconds."""
    # A decoder that hangs holds up signals and threads of Python; this thread is none of them.
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123
        faulthandler.dump_traceback_later(timeout_s, exit=True, file=nowhere)
        try:
            return attempt(function, task)
        finally:
            faulthandler.cancel_dump_traceback_later()


def _outcome(reference: Any, task: Task) -> Outcome[Task, Any]:  # noqa: ANN401
    import ray

    try:
        result, stage, reason = ray.get(reference)
    except ray.exceptions.RayError as error:
        words = str(error).splitlines()[0]
        return Outcome(
            task, None, "worker", f"its worker died or took too long {RETRIES + 1} times: {words}"
        )
    return Outcome(task, result, stage, reason)
