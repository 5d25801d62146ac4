"""The same work as tasks of a Ray cluster, whose nodes share a file system."""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from preprocessing.batch import Engine, Job
from preprocessing.engines import Outcome, attempt
from preprocessing.errors import DeepfakeError

RETRIES = 3  # after a worker or node died
AHEAD = 4  # tasks submitted per processor, so that none waits and few are held


def ray_engine(address: str | None = None) -> Engine:
    """Return the engine of a Ray cluster.

    A task whose worker dies is tried again elsewhere; a video that kills its worker every time is
    reported like one that cannot be read. Nothing is stored twice, as a video's folder appears by
    one rename.

    Args:
        address: Of the cluster's head, such as "10.0.0.1:6379"; "auto" for a running one on this
            machine; None starts one here.

    Raises:
        DeepfakeError: Ray is not installed, or the cluster does not answer.
    """
    try:
        import ray
    except ImportError as error:
        raise DeepfakeError(
            "--engine ray needs Ray, which is not installed: pip install 'deepfake[ray]'"
        ) from error

    def run(function: Callable[[Job], int], jobs: Sequence[Job]) -> Iterator[Outcome[Job, int]]:
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
        remote: Any = ray.remote(max_retries=RETRIES)(attempt)
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        limit = max(1, int(AHEAD * resources.get("CPU", 1)))
        pending = iter(jobs)
        running: dict[Any, Job] = {}
        while True:
            while len(running) < limit and (job := next(pending, None)) is not None:
                running[remote.remote(function, job)] = job
            if not running:
                return
            (ready, *_), _ = ray.wait(list(running))
            yield _outcome(ready, running.pop(ready))

    return run


def _outcome(reference: Any, job: Job) -> Outcome[Job, int]:  # noqa: ANN401
    import ray

    try:
        result, stage, reason = ray.get(reference)
    except ray.exceptions.RayError as error:
        words = str(error).splitlines()[0]
        return Outcome(job, None, "worker", f"its worker died {RETRIES + 1} times: {words}")
    return Outcome(job, result, stage, reason)
