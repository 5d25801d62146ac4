"""The same work as tasks of a Ray cluster, whose nodes share a file system."""

import faulthandler
import logging
import os
import re
import socket
from collections.abc import Callable, Iterable, Iterator
from functools import partial
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
    then: Callable[[Task, Any], Any] | None = None,
    actors: int = 1,
    address: str | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Iterator[Outcome[Task, Any]]:
    """Run `function` on every task in a Ray cluster; yield outcomes as they come.

    A task whose worker dies is tried again elsewhere; a video that kills its worker every time is
    reported like one that cannot be read.

    With `then` there are two stages: what `function` gave goes from node to node, not through this
    process, to processes that stay, one of which makes the outcome of it. Each takes a GPU where
    the cluster has one for all of them. While they are behind, no further tasks are begun.

    Args:
        function: Importable by name on every node; its `DeepfakeError`s become outcomes.
        tasks: Taken as processors become free.
        then: The second stage, called with a task and what the first made of it.
        actors: Processes of the second stage.
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
    first: Any = ray.remote(max_retries=RETRIES)(attempt_in_time)
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    limit = max(1, int(AHEAD * resources.get("CPU", 1)))
    crew = [] if then is None else _crew(actors, gpus=resources.get("GPU", 0))
    free = list(crew)
    pending = iter(tasks)
    begun: dict[Any, Task] = {}
    found: list[tuple[Task, Any]] = []  # the second stage will get them, as it gets free
    ending: dict[Any, tuple[Task, Any]] = {}
    try:
        while True:
            while free and found:
                (task, reference), actor = found.pop(0), free.pop()
                ending[actor.run.remote(then, task, reference, timeout_s)] = (task, actor)
            while len(begun) + len(found) < limit and (new := next(pending, None)) is not None:
                begun[first.remote(function, new, timeout_s)] = new
            if not begun and not ending:
                return
            (ready, *_), _ = ray.wait([*ending, *begun], fetch_local=then is None)
            if ready in ending:
                ended, actor = ending.pop(ready)
                free.append(actor)
                yield _outcome(ready, ended)
            elif then is None:
                yield _outcome(ready, begun.pop(ready))
            else:
                found.append((begun.pop(ready), ready))
    finally:
        for actor in crew:
            ray.kill(actor)


class Second:
    """A process of the second stage: what it loads stays loaded."""

    def run(
        self,
        function: Callable[[Task, Any], Result],
        task: Task,
        first: tuple[Any, str, str],
        timeout_s: float,
    ) -> tuple[Result | None, str, str]:
        """Go on with what the first stage made of a task, unless it failed."""
        made, stage, reason = first
        if made is None:
            return None, stage, reason
        return attempt_in_time(partial(function, task), made, timeout_s)


def _crew(actors: int, *, gpus: float) -> list[Any]:
    import ray

    remote: Any = ray.remote(
        num_cpus=0, num_gpus=int(gpus >= actors), max_restarts=-1, max_task_retries=RETRIES
    )(Second)
    return [remote.remote() for _ in range(actors)]


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
