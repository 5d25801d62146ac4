"""A cold `python -m deepfake.predict` of one clip over decoding the frames that it looks at.

The same reader decodes the same frames, into the pictures that a player shows, and does nothing
else: once in a process that runs already, once in one that starts for it. The ratio says how many
times that predict takes; smaller is better, and 2 is wanted.

    python -m benchmarks.floor CLIP 3,9,15...     decode these frames, numbered as they are shown
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.measure import REPETITIONS, Row, child, cpu_s
from preprocessing.video.index import index_frames
from preprocessing.video.read import read_frames


def run(clips: Sequence[Path]) -> list[Row]:
    """Return CPU time of predict for the first suitable clip, else the first, beside decoding."""
    from benchmarks.predict import suitable

    clip = next(filter(suitable, clips), clips[0])
    places = looked_at(clip)
    predict = [sys.executable, "-m", "deepfake.predict", str(clip)]
    cold = [sys.executable, "-m", "benchmarks.floor", str(clip), ",".join(map(str, places))]
    turns = [
        (child(predict).cpu_s, cpu_s(lambda: decode(clip, places)), child(cold).cpu_s)
        for _ in range(REPETITIONS + 1)  # in the first, Python writes its bytecode
    ][1:]
    return [
        times("decoding alone", [(turn[0], turn[1]) for turn in turns], clip),
        times("decoding, started for it", [(turn[0], turn[2]) for turn in turns], clip),
    ]


def looked_at(clip: Path) -> list[int]:
    """Return the frames that predict looks at with the default model's options."""
    from deepfake.checkpoints.loading import load_with
    from preprocessing.video.shots import grown, schedule

    index = index_frames(clip)
    default = Path(__file__).parents[1] / "deepfake" / "weights" / "default.onnx"
    count = grown(load_with(default, "auto").preprocess.frames, index.info.duration_s)
    return list(schedule(clip, index, count).positions)


def decode(clip: Path, places: Sequence[int]) -> int:
    """Return how many of these frames there are, decoded one after the other."""
    return sum(1 for _ in read_frames(clip, index_frames(clip), places))


def times(case: str, turns: Sequence[tuple[float, float]], clip: Path) -> Row:
    """Return the row of what predict and decoding took."""
    ratios = [ours / least for ours, least in turns]
    ours, least = (median(turn[k] for turn in turns) for k in (0, 1))
    spread = max(ratios) - min(ratios)
    return Row("floor", f"{clip.stem}: {case}", ours, least, median(ratios), spread, "CPU s")


if __name__ == "__main__":
    decode(Path(sys.argv[1]), [int(place) for place in sys.argv[2].split(",")])
