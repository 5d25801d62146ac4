"""Measuring in processes of their own, which take turns: none inherits the other's settings."""

from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection

from benchmarks.measure import REPETITIONS

Worker = Callable[..., None]  # (connection, *arguments): sends a figure for each that it receives


def in_turns(
    workers: Sequence[tuple[Worker, tuple[object, ...]]],
    *,
    repetitions: int = REPETITIONS,
    warm_up: int = 1,
) -> list[list[float]]:
    """Return each worker's figures, measured A B A B, so that a busy machine slows all.

    Args:
        workers: Functions of a module, with arguments that can be pickled. Each gets a connection
            first, and for every None that it receives there sends one figure.
        repetitions: Turns that count.
        warm_up: Turns before them.
    """
    context = get_context("spawn")
    ends, processes = [], []
    try:
        for function, arguments in workers:
            here, there = context.Pipe()
            process = context.Process(target=function, args=(there, *arguments), daemon=True)
            process.start()
            there.close()  # so that a worker's death ends recv()
            ends.append(here)
            processes.append(process)
        turns = [[_ask(end) for end in ends] for _ in range(warm_up + repetitions)][warm_up:]
        return [list(figures) for figures in zip(*turns, strict=True)]
    finally:
        for process in processes:
            process.kill()
            process.join()


def _ask(end: Connection) -> float:
    end.send(None)
    figure = end.recv()
    assert isinstance(figure, float)
    return figure


def answer(end: Connection, work: Callable[[], float]) -> None:
    """Send a figure for every question, until the process is killed."""
    while True:
        end.recv()
        end.send(work())
