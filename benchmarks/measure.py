"""Measuring on noisy machines: CPU time, interleaved repetitions, medians and their spread."""

import json
import os
import platform
import resource
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
REPETITIONS = 5


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Args:
        name: What was measured, such as "detect".
        case: On what, such as "1080p".
        ours: Our figure, the median of the repetitions.
        reference: The reference procedure's.
        ratio: How many times better ours is: the median over the repetitions' ratios.
        spread: Largest less smallest of these ratios.
        unit: Of both figures, such as "CPU ms per frame".
    """

    name: str
    case: str
    ours: float
    reference: float
    ratio: float
    spread: float
    unit: str


@dataclass(frozen=True)
class Usage:
    """What a child process used: CPU and wall time in seconds, peak memory in megabytes."""

    cpu_s: float
    wall_s: float
    peak_mb: float


def cpu_s(work: Callable[[], object]) -> float:
    """Return the CPU seconds, of all threads of this process, that the work takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def compare(
    ours: Callable[[], float],
    reference: Callable[[], float],
    *,
    repetitions: int = REPETITIONS,
    warm_up: bool = True,
) -> tuple[list[float], list[float]]:
    """Measure both in turns, A B A B, so that a busy machine slows both.

    Args:
        ours: Runs our code once and returns its figure.
        reference: Runs the reference once and returns its figure.
        repetitions: Turns that count.
        warm_up: Begin with a turn that does not count.
    """
    turns = [(ours(), reference()) for _ in range(repetitions + warm_up)][warm_up:]
    return [turn[0] for turn in turns], [turn[1] for turn in turns]


def row(
    name: str, case: str, figures: tuple[Sequence[float], Sequence[float]], unit: str, scale: float
) -> Row:
    """Return a line of the table for figures where less is better, times scale."""
    ours, reference = figures
    ratios = [b / a for a, b in zip(ours, reference, strict=True)]
    return Row(
        name=name,
        case=case,
        ours=median(ours) * scale,
        reference=median(reference) * scale,
        ratio=median(ratios),
        spread=max(ratios) - min(ratios),
        unit=unit,
    )


def child(command: Sequence[str], *, threads: int = 1) -> Usage:
    """Run a command as a cold process in the project's root and return what it used.

    Raises:
        RuntimeError: The command failed; the message ends with its last line.
    """
    threading = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    environment = os.environ | threading | {"OMP_WAIT_POLICY": "passive"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed has its bytecode
    start = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output = process.stdout.read() if process.stdout else b""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        last = output.decode(errors="replace").strip().splitlines()[-1:]
        raise RuntimeError(f"{' '.join(command)} exited with {process.returncode}: {last}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # the counters of this process's children include grandchildren, such as our own workers
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    cpu = max(cpu, used.ru_utime + used.ru_stime)
    return Usage(cpu, time.perf_counter() - start, used.ru_maxrss / 1024)


def default_clips() -> list[Path]:
    """Return the clips to measure on where none is named: the shared ones, else the samples."""
    shared = ROOT.parent / "shared" / "data" / "clips"
    return sorted(shared.rglob("*.mp4")) or sorted((ROOT / "samples").glob("*.mp4"))


def processor() -> str:
    """Return the name of the processor, as far as the system tells."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def write(name: str, rows: Sequence[Row]) -> Path:
    """Write rows with hardware and commit to benchmarks/results/<name>.json; return the file."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    content = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "commit": commit or "unknown",
        "rows": [asdict(each) for each in rows],
    }
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path
