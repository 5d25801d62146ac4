"""A cold `python -m deepfake.predict` of one clip beside the published procedure."""

import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import av

from benchmarks.measure import Row, Usage, child, compare, row
from preprocessing.pipeline import detector_for, extract_faces
from preprocessing.types import PreprocessOptions

OUT = "{out}"  # in a command, stands for a new folder
LENGTH_S = (8, 15)  # of the clips that stand for "10 s of 1080p"


def run(clips: Sequence[Path]) -> list[Row]:
    """Return CPU time and peak memory for the first suitable clip, else the first."""
    clip = next(filter(suitable, clips), clips[0])
    ours = [sys.executable, "-m", "deepfake.predict", str(clip)]
    published = [sys.executable, "-m", "benchmarks.published", OUT, str(clip), "--network"]
    return usage_rows("predict", clip.stem, ours, published)


def suitable(clip: Path) -> bool:
    """Tell whether a clip is about 10 s of 1080p and shows a person."""
    with av.open(str(clip)) as container:
        seconds = (container.duration or 0) / av.time_base
        if container.streams.video[0].height != 1080 or not LENGTH_S[0] < seconds < LENGTH_S[1]:
            return False
    options = PreprocessOptions(frames=3)
    return bool(extract_faces(clip, options, detector_for(options)).faces)


def usage_rows(name: str, case: str, ours: Sequence[str], reference: Sequence[str]) -> list[Row]:
    """Return CPU time and peak memory of two commands, run cold and in turns."""
    used: tuple[list[Usage], list[Usage]] = [], []

    def measure(command: Sequence[str], turns: list[Usage]) -> float:
        with tempfile.TemporaryDirectory() as folder:
            turns.append(child([part.replace(OUT, folder) for part in command]))
        return turns[-1].cpu_s

    figures = compare(
        partial(measure, ours, used[0]), partial(measure, reference, used[1]), warm_up=False
    )
    peaks = [[turn.peak_mb for turn in turns] for turns in used]
    return [
        row(name, case, figures, "CPU s", 1),
        row(name, f"{case}: peak memory", (peaks[0], peaks[1]), "MB, largest process", 1),
    ]
