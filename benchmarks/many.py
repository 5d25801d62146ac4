"""Many short clips in one run of predict, with one worker and with two: rate and memory.

Memory is what the largest process holds when a tenth, half and all of the clips are judged. It must
not grow, so its ratio should be 1; the first row's says how many times faster two workers are.

    python -m benchmarks.many 10000 [CLIP]     as many clips as wanted, instead of 20
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import av

from benchmarks.measure import ROOT, Row, default_clips, write

COUNT = 20
PICTURES = 4  # of each clip
PARTS = (0.1, 0.5, 1.0)


def run(clips: Sequence[Path], count: int = COUNT) -> list[Row]:
    """Return clips a second and memory, of the first pictures of the clip that has the smallest."""
    with tempfile.TemporaryDirectory() as folder:
        short = Path(folder) / "short.mp4"
        shortened(min(clips, key=pixels), short)
        many = Path(folder) / "many"
        many.mkdir()
        for number in range(count):
            (many / f"{number:06d}.mp4").symlink_to(short)
        one, two = (judged(many, count, workers) for workers in (1, 2))
    case = f"{count} clips"
    rows = [row(f"{case}: 2 workers against 1", two[0], one[0], "clips a second")]
    for workers, (_, held) in enumerate((one, two), 1):
        for part, mb in zip(PARTS[1:], held[1:], strict=True):
            what = f"{case}, workers {workers}: memory at {part:.0%} against {PARTS[0]:.0%}"
            rows.append(row(what, mb, held[0], "MB, largest process"))
    return rows


def pixels(clip: Path) -> int:
    """Return how many pixels a picture of a clip has."""
    with av.open(str(clip)) as container:
        return container.streams.video[0].width * container.streams.video[0].height


def shortened(clip: Path, out: Path) -> None:
    """Write the packets of a clip's first pictures."""
    with av.open(str(clip)) as container, av.open(str(out), "w") as written:
        source = container.streams.video[0]
        stream = written.add_stream_from_template(source)
        for _, packet in zip(range(PICTURES), container.demux(source), strict=False):
            packet.stream = stream
            written.mux(packet)


def judged(folder: Path, count: int, workers: int) -> tuple[float, list[float]]:
    """Return clips a second and MB at the parts of a run of predict."""
    command = [sys.executable, "-m", "deepfake.predict", str(folder), "--workers", str(workers)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    start, seen, held = time.perf_counter(), set[str](), list[float]()
    marks = [max(1, round(part * count)) for part in PARTS]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout or ():
            name = line.partition(": ")[0]
            if name.startswith(f"{folder}/") and name not in seen:
                seen.add(name)
                held += [largest_mb(process.pid)] * marks.count(len(seen))
    if len(seen) != count:
        raise RuntimeError(f"{len(seen)} of {count} clips were judged")
    return count / (time.perf_counter() - start), held


def largest_mb(process: int) -> float:
    """Return what the largest of a process and its children holds, in MB."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    pages = []
    for pid in (process, *children):
        with suppress(OSError):  # its work is done
            pages.append(int(Path(f"/proc/{pid}/statm").read_text().split()[1]))
    return max(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20


def row(case: str, ours: float, reference: float, unit: str) -> Row:
    """Return the row of one turn, which has no spread."""
    return Row("many", case, ours, reference, ours / reference, 0.0, unit)


if __name__ == "__main__":
    from benchmarks.__main__ import table

    found = run([Path(name) for name in sys.argv[2:]] or default_clips(), int(sys.argv[1]))
    write("many", found)
    sys.stdout.write(table(found) + "\n")
