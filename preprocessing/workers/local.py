"""Where videos are worked on: processes that share nothing and may die.

A decoder that crashes, hangs or eats memory ends its worker, not the run: the video is reported
and a new worker goes on with the next one.
"""

import ctypes
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from typing import Any, Generic, TypeVar

from preprocessing.errors import DeepfakeError
from preprocessing.workers import messages
from preprocessing.workers import sandbox as sandboxes

Task = TypeVar("Task")
Result = TypeVar("Result")

TIMEOUT_S = 900.0  # for one video
MEMORY_BYTES = 6 * 2**30  # of address space for a worker's libraries and its video
NO_MEMORY = "needs more memory than a worker may take"
_OUT_OF_MEMORY = ("Insufficient memory", "bad_alloc", "Failed to allocate")  # OpenCV, ONNX Runtime
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Outcome(Generic[Task, Result]):
    """What came of a task: a result, or the stage and reason of its failure."""

    task: Task
    result: Result | None = None
    stage: str = ""
    reason: str = ""


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    sandbox: bool = False
    task: Any = None
    since: float = 0.0


def run_local(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    *,
    workers: int,
    timeout_s: float = TIMEOUT_S,
    memory_bytes: int | None = MEMORY_BYTES,
    meanwhile: Callable[[], None] | None = None,
    sandbox: bool = False,
) -> Generator[Outcome[Task, Result], None, None]:
    """Run `function` on every task in worker processes; yield outcomes as they come.

    Args:
        function: Importable by name; its `DeepfakeError`s become outcomes.
        tasks: Taken one at a time, when a worker is free.
        workers: Number of processes.
        timeout_s: A task that takes longer is given up and its worker killed, in seconds.
        memory_bytes: Address space that a worker may take, its libraries included; None for any.
        meanwhile: Called once in this process while the first tasks are worked on.
        sandbox: Take from workers what `preprocessing.workers.sandbox` says.

    Raises:
        DeepfakeError: A sandbox is asked for where there is none.
    """
    context = _context()
    terms = _Terms(os.getpid(), memory_bytes, timeout_s * (os.cpu_count() or 1), sandbox)
    pending = iter(tasks)
    crew: list[_Worker] = []
    try:
        for task in islice(pending, workers):
            crew.append(_start(context, function, terms))
            _give(crew[-1], task)
        if meanwhile is not None:
            meanwhile()
        while busy := [worker for worker in crew if worker.task is not None]:
            patience = min(worker.since + timeout_s for worker in busy) - time.monotonic()
            ready = set(wait([worker.pipe for worker in busy], max(0.0, patience)))
            for worker in busy:
                outcome = _outcome(worker, worker.pipe in ready, timeout_s)
                if outcome is None:
                    continue
                following = next(pending, None)
                if not worker.process.is_alive() or outcome.stage == "worker":
                    crew.remove(worker)
                    _stop(worker)
                    if following is not None:
                        crew.append(_start(context, function, terms))
                        _give(crew[-1], following)
                elif following is not None:
                    _give(worker, following)
                else:
                    worker.task = None
                yield outcome
    finally:
        for worker in crew:
            _stop(worker)


def _context() -> BaseContext:
    """Fork where that is safe (no other thread, nothing heavy loaded yet), else start afresh."""
    light = threading.active_count() == 1 and not {"torch", "onnxruntime"} & set(sys.modules)
    linux = sys.platform == "linux"
    return multiprocessing.get_context("fork" if light and linux else "spawn")


@dataclass(frozen=True)
class _Terms:
    """Whose a worker is, its memory, the processor time of a task in a sandbox, and if in one."""

    parent: int
    memory_bytes: int | None
    cpu_s: float
    sandbox: bool

    def __post_init__(self) -> None:
        if self.sandbox:
            sandboxes.check_supported()


def _start(context: BaseContext, function: Callable[[Any], Any], terms: _Terms) -> _Worker:
    ours, theirs = context.Pipe()
    process = context.Process(  # type: ignore[attr-defined]
        target=_serve, args=(theirs, function, terms), daemon=True
    )
    process.start()
    theirs.close()
    return _Worker(process, ours, terms.sandbox)


def _give(worker: _Worker, task: object) -> None:
    worker.task, worker.since = task, time.monotonic()
    with suppress(BrokenPipeError, ConnectionResetError):  # it died; its outcome says so
        worker.pipe.send(task)


def _outcome(worker: _Worker, ready: bool, timeout_s: float) -> Outcome[Any, Any] | None:
    if ready:
        try:
            pipe = worker.pipe
            result, stage, reason = (sandboxes if worker.sandbox else messages).receive(pipe)
        except DeepfakeError as error:
            return Outcome(worker.task, None, "worker", str(error))
        except (EOFError, ConnectionResetError, OSError):
            worker.process.join(5)
            return Outcome(worker.task, None, "worker", _cause(worker.process.exitcode))
        return Outcome(worker.task, result, stage, reason)
    if time.monotonic() - worker.since > timeout_s:
        return Outcome(worker.task, None, "worker", f"took longer than {timeout_s:g} s")
    return None


def _cause(code: int | None) -> str:
    if code is not None and code < 0:
        return f"the worker process was ended by {signal.Signals(-code).name}"
    return f"the worker process ended with exit status {code}"


def _stop(worker: _Worker) -> None:
    worker.pipe.close()
    worker.process.kill()
    worker.process.join()
    worker.process.close()


def _serve(pipe: Connection, function: Callable[[Any], Any], terms: _Terms) -> None:
    """Work on tasks until the other side closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != terms.parent:  # it was killed before it could be said
            return
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), 2)  # libtiff and others write there; what counts is sent back
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash leaves no faces on the disk
    if terms.memory_bytes is not None:
        _limit_memory(terms.memory_bytes)
    refusal = _confine() if terms.sandbox else ""
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        if refusal:
            messages.send(pipe, (None, "worker", refusal))
            continue
        if terms.sandbox:
            sandboxes.allow_cpu(terms.cpu_s)
        answer = attempt(function, task)
        try:
            messages.send(pipe, answer)
        except MemoryError:
            messages.send(pipe, (None, "worker", NO_MEMORY))


def _confine() -> str:
    try:
        sandboxes.enter()
    except DeepfakeError as error:
        return str(error)
    return ""


def attempt(function: Callable[[Task], Result], task: Task) -> tuple[Result | None, str, str]:
    """Return a task's result, or the stage and reason of its failure."""
    try:
        return function(task), "", ""
    except DeepfakeError as error:
        return None, "decode", str(error)
    except MemoryError:
        return None, "worker", NO_MEMORY
    except OSError as error:
        return None, "write", f"{error.strerror or error}"
    except Exception as error:  # noqa: BLE001  a bug on one video must not stop a run of days
        words = " ".join(str(error).split())
        if any(sign in words for sign in _OUT_OF_MEMORY):
            return None, "worker", NO_MEMORY
        return None, "worker", f"unexpected {type(error).__name__}: {words}"


def _limit_memory(memory_bytes: int) -> None:
    if sys.platform != "linux":
        return
    with open("/proc/self/statm") as file:  # noqa: PTH123
        pages = int(file.read().split()[0])
    soft = pages * os.sysconf("SC_PAGE_SIZE") + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (soft, resource.RLIM_INFINITY))
