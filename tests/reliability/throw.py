"""Throw a corpus at preprocess and predict, and count what comes back.

    python -m tests.reliability.throw [--count 2000] [--seed 0] [--workers 1]

Every file goes through the extraction that both commands share, in a worker process, then into a
folder of crops and to a verdict. What must not come back: a traceback, an unexpected error, more
than one line, a worker that had to be given up, a crop whose record is missing.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from deepfake.calibration import Calibration
from deepfake.checkpoints.loading import Checkpoint
from deepfake.checkpoints.scorers import Faces, Scores
from deepfake.inference import VideoPredictor
from deepfake.recipe import InputRecipe
from preprocessing.crops import store
from preprocessing.crops.manifest import crop_file, read_manifest
from preprocessing.errors import DeepfakeError
from preprocessing.pipeline import Extraction, detector_for, extract_faces
from preprocessing.types import PreprocessOptions, Video
from preprocessing.workers.local import run_local
from tests.reliability.corpus import write_corpus

OPTIONS = PreprocessOptions(frames=4)
TIMEOUT_S = 60.0


class Brightness:
    """A network of one number: brighter faces are more fake."""

    def score(self, faces: Faces) -> Scores:
        """Return the mean (B,) of normalised faces, squeezed into [0, 1]."""
        scores: Scores = np.clip(faces.mean((1, 2, 3), dtype=np.float64) / 4 + 0.5, 0, 1)
        return scores

    def warm_up(self) -> None:
        """Do nothing."""


def predictor() -> VideoPredictor:
    """Return a predictor that needs no network, and whose scores are taken at their word."""
    checkpoint = Checkpoint(
        InputRecipe(),
        OPTIONS,
        Calibration(low=0.5, high=0.5, reals=1, fakes=1),
        name="brightness",
        scorer=Brightness(),
        sha256="",
    )
    return VideoPredictor(checkpoint)


@dataclass(frozen=True)
class Throw:
    """A file, and the folder of crops it goes to."""

    path: Path
    folder: Path


@dataclass(frozen=True)
class Caught:
    """What a worker made of a file, how long it took, and the most memory it ever held."""

    extraction: Extraction | None
    reason: str
    seconds: float
    peak_bytes: int


def work(job: Throw) -> Caught:
    """Cut the faces out and store them, as preprocess does; runs in a worker."""
    start = time.monotonic()
    extraction, reason = None, ""
    try:
        extraction = extract_faces(job.path, OPTIONS, detector_for(OPTIONS))
        video = store.named(Video(job.path, job.path.name))
        store.store(job.folder, video, extraction, OPTIONS)
    except DeepfakeError as error:
        reason = str(error)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Caught(extraction, reason, time.monotonic() - start, peak)


@dataclass
class Tally:
    """The figures of a run; `wrong` lists what must not happen."""

    files: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    damaged_frames: int = 0
    cut_short: int = 0
    slowest: tuple[float, str] = (0.0, "")
    peak_bytes: int = 0
    crops: int = 0
    wrong: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """Yield the figures in words."""
        yield f"files {self.files}"
        for label, count in self.labels.most_common():
            yield f"  {label} {count}"
        yield f"crops {self.crops}, damaged frames {self.damaged_frames}"
        yield f"clips with less than their header promises {self.cut_short}"
        yield f"slowest {self.slowest[0]:.1f} s ({self.slowest[1]!r})"
        yield f"largest worker {self.peak_bytes / 2**20:.0f} MiB"
        yield f"wrong {len(self.wrong)}"


def throw(files: Sequence[Path], folder: Path, *, workers: int = 1) -> Tally:
    """Send files through extraction, storage and judgement."""
    tally, judge = Tally(), predictor()
    jobs = [Throw(path, folder) for path in files]
    for outcome in run_local(work, jobs, workers=workers, timeout_s=TIMEOUT_S):
        tally.files += 1
        name, caught = outcome.task.path.name, outcome.result
        if caught is None:
            tally.labels[f"{outcome.stage}: {outcome.reason}"] += 1
            tally.wrong.append(f"{name!r}: {outcome.stage}: {outcome.reason}")
            continue
        tally.slowest = max(tally.slowest, (caught.seconds, name))
        tally.peak_bytes = max(tally.peak_bytes, caught.peak_bytes)
        if caught.extraction is None:
            tally.labels["refused"] += 1
            tally.reasons[caught.reason.replace(name, "...")] += 1
            if "\n" in caught.reason.replace(name, "") or not caught.reason.strip():
                tally.wrong.append(f"{name!r}: not one line: {caught.reason!r}")
            continue
        report = caught.extraction.report
        tally.damaged_frames += report.corrupt + report.errors
        tally.cut_short += caught.extraction.info.complete < 1
        try:
            verdict = judge.judge(outcome.task.path, caught.extraction)
        except Exception as error:  # noqa: BLE001  this is what is looked for
            tally.wrong.append(f"{name!r}: verdict: {type(error).__name__}: {error}")
            continue
        tally.labels[verdict.label] += 1
        if verdict.label == "undecided":
            tally.reasons[verdict.reason] += 1
        if (verdict.score is None or not 0 <= verdict.score <= 1) and verdict.label != "undecided":
            tally.wrong.append(f"{name!r}: {verdict.label} with score {verdict.score}")
    _check_folder(folder, tally)
    return tally


def _check_folder(folder: Path, tally: Tally) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    store.finish(folder)
    rows = read_manifest(folder)
    tally.crops = len(rows)
    listed = {crop_file(folder, row.path) for row in rows}
    found = {p.resolve() for p in folder.rglob("crops/**/*.png")}
    tally.wrong += [f"crop without a row: {path}" for path in sorted(found - listed)]
    tally.wrong += [f"row without a crop: {path}" for path in sorted(listed - found)]
    tally.wrong += [f"left over: {path.name}" for path in sorted(folder.glob(".tmp-*"))]


def main() -> int:
    """Make a corpus, throw it, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = write_corpus(Path(folder) / "corpus", given.count, given.seed)
        tally = throw(files, Path(folder) / "faces", workers=given.workers)
    for reason, count in tally.reasons.most_common():
        print(f"{count:6} {reason!a}", file=sys.stderr)
    for line in tally.wrong:
        print(f"WRONG {line!a}", file=sys.stderr)
    print("\n".join(tally.lines()))
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
