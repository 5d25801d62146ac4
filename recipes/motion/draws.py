"""Windows of landmark tracks: what the network sees, and the fakes that are made for it."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recipes.motion.fakes import Track, change
from recipes.motion.sources import Clip

FRAMES = 25  # of a window
RATES = (10.0, 12.5, 15.0)  # frames per second that tracks are brought to, as near as may be
MADE = 6  # wrong tracks made of each real stretch
FINDER = 0.004  # most noise added to any track, in sizes of the face

Windows = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Tracked:
    """A clip and its landmarks: a track (T, 68, 2) of each stretch, at `fps`."""

    clip: Clip
    tracks: tuple[Track, ...]
    fps: float
    bit_rate: float

    @property
    def face_px(self) -> float:
        """Median height of the face, in pixels."""
        heights = [np.ptp(t[..., 1], axis=1) for t in self.tracks]
        return float(np.median(np.concatenate(heights)))


def read(folder: Path, tracks: str = "tracks") -> Iterator[Tracked]:
    """Yield the clips of `recipes.motion.prepare` in which a face was followed for a window."""
    with (folder / "clips.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    for row in rows:
        file = folder / tracks / f"{row.pop('name')}.npz"
        if not file.is_file():
            continue
        found = np.load(file)
        parts = [found["stretch"] == s for s in np.unique(found["stretch"])]
        whole = [found["points"][part].astype(np.float64) for part in parts if part.sum() >= FRAMES]
        if not whole:
            continue
        steps = np.diff(found["time_s"][parts[0]])
        clip = Clip(**{**row, "path": Path(row["path"])})
        yield Tracked(clip, tuple(whole), 1 / float(np.median(steps)), float(found["bit_rate"]))


def windows(track: Track, fps: float, hop: int = 8) -> list[Windows]:
    """Return windows (25, 68, 2) at about each of `RATES`, by leaving out whole frames."""
    found = []
    for step in sorted({max(1, round(fps / rate)) for rate in RATES}):
        for first in range(step):
            thin = track[first::step]
            found += [thin[a : a + FRAMES] for a in range(0, len(thin) - FRAMES + 1, hop)]
    return [w.astype(np.float32) for w in found]


def made(reals: Sequence[Tracked], rng: np.random.Generator) -> Iterator[tuple[int, str, Track]]:
    """Yield wrong tracks: number of the clip they are made of, what was done, the track."""
    for number, real in enumerate(reals):
        for track in real.tracks:
            for turn in range(MADE):
                near = reals[int(rng.integers(len(reals)))] if rng.random() < 0.5 else real
                other = near.tracks[int(rng.integers(len(near.tracks)))]
                yield number, *change(turn + number, track, other, rng)


def noisy(window: Windows, rng: np.random.Generator) -> Windows:
    """Add noise as of a landmark finder on a worse picture, whatever the label."""
    size = float(np.ptp(window[..., 1], axis=1).mean())
    amount = rng.uniform(0, FINDER) * size
    return window + (amount * rng.standard_normal(window.shape)).astype(np.float32)
