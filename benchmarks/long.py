"""Long videos, reports and many clips: what grows, and what must not.

An hour is a minute's packets, one copy behind the other. The reference is the smaller piece of
work, except for workers, where it is the same clips with one; the ratio says how many times ours
takes, or how many times faster two workers are.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import av

from benchmarks.measure import Row, Usage, child

LENGTH_S = (50, 70)  # of the clip that stands for a minute
COPIES = 60  # of it, for an hour
MANY = 6  # clips
TURNS = 3
PREDICT = [sys.executable, "-m", "deepfake.predict"]


def run(clips: Sequence[Path]) -> list[Row]:
    """Return rows for an hour, frames a second, a report, and many clips with two workers."""
    minute = next(filter(is_minute, clips), min(clips, key=lambda clip: clip.stat().st_size))
    with tempfile.TemporaryDirectory() as folder:
        hour, ten = Path(folder) / "hour.mp4", Path(folder) / "ten.mp4"
        copied(minute, COPIES, hour)
        copied(minute, COPIES // 6, ten)
        many = [Path(folder) / f"{number}.mp4" for number in range(MANY)]
        for clip in many:
            clip.symlink_to(minute.resolve())
        names = [str(clip) for clip in many]
        report = ["--report", f"{folder}/report"]
        cases = {
            "60 copies against one": ([str(hour)], [str(minute)]),
            "10 copies against one, --fps 1": (
                [str(ten), "--fps", "1"],
                [str(minute), "--fps", "1"],
            ),
            "with --report against without": ([str(minute), *report], [str(minute)]),
        }
        rows = []
        for case, (ours, reference) in cases.items():
            turns = [(child(PREDICT + ours), child(PREDICT + reference)) for _ in range(TURNS)]
            rows.append(times(case, [(a.cpu_s, b.cpu_s) for a, b in turns], "CPU s"))
            rows.append(peak(case, turns))
        turns = [
            (child([*PREDICT, *names, "--workers", "2"]), child([*PREDICT, *names]))
            for _ in range(TURNS)
        ]
        rates = [(MANY / two.wall_s, MANY / one.wall_s) for two, one in turns]
        rows.append(times(f"{MANY} clips: 2 workers against 1", rates, "clips a second"))
        few = [(one, child([*PREDICT, *names[: MANY // 3]])) for _, one in turns]
        return [*rows, peak(f"{MANY} clips against {MANY // 3}", few)]


def is_minute(clip: Path) -> bool:
    """Tell whether a clip lasts about a minute."""
    with av.open(str(clip)) as container:
        return LENGTH_S[0] < (container.duration or 0) / av.time_base < LENGTH_S[1]


def copied(clip: Path, count: int, out: Path) -> None:
    """Write the packets of a clip's pictures several times, one copy behind the other."""
    with av.open(str(out), "w") as written:
        stream, start = None, 0
        for _ in range(count):
            with av.open(str(clip)) as container:
                source = container.streams.video[0]
                stream = stream or written.add_stream_from_template(source)
                packets = [packet for packet in container.demux(source) if packet.size]
                first = min(packet.dts or 0 for packet in packets)
                last = max((packet.dts or 0) + (packet.duration or 1) for packet in packets)
                for packet in packets:
                    packet.stream = stream
                    packet.pts = (packet.pts or 0) - first + start
                    packet.dts = (packet.dts or 0) - first + start
                    written.mux(packet)
                start += last - first


def times(case: str, turns: Sequence[tuple[float, float]], unit: str) -> Row:
    """Return the row of ours over the reference."""
    ratios = [ours / reference for ours, reference in turns]
    ours, reference = (median(turn[k] for turn in turns) for k in (0, 1))
    return Row("long", case, ours, reference, median(ratios), max(ratios) - min(ratios), unit)


def peak(case: str, turns: Sequence[tuple[Usage, Usage]]) -> Row:
    """Return the row of peak memory."""
    peaks = [(ours.peak_mb, reference.peak_mb) for ours, reference in turns]
    return times(f"{case}: peak memory", peaks, "MB, largest process")
