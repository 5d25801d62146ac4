"""A cold `python -m deepfake.preprocess` of a folder beside the published procedure."""

import sys
import tempfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from benchmarks.measure import Row
from benchmarks.predict import OUT, suitable, usage_rows

CLIPS = 2  # the published procedure takes about a minute for each
FRAMES = 32


def run(clips: Sequence[Path]) -> list[Row]:
    """Return CPU time and peak memory against all frames, and against the same number of them."""
    chosen = list(islice(filter(suitable, clips), CLIPS)) or list(clips[:CLIPS])
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        videos = Path(folder) / "videos"
        videos.mkdir()
        for clip in chosen:
            (videos / clip.name).symlink_to(clip.resolve())
        ours = [sys.executable, "-m", "deepfake.preprocess", str(videos), "--out", OUT]
        ours += ["--frames", str(FRAMES)]
        published = [sys.executable, "-m", "benchmarks.published", OUT]
        published += [str(clip) for clip in chosen]
        case = f"{len(chosen)} videos"
        rows += usage_rows("preprocess", f"{case}, all frames", ours, published)
        naive = [*published, "--frames", str(FRAMES)]
        rows += usage_rows("preprocess", f"{case}, the same {FRAMES} frames", ours, naive)
    return rows
