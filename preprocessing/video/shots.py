"""Where scenes start, found without decoding more than key frames, and which frames to look at.

An encoder answers a new scene with a key frame, or with a picture that is as large as one. So the
sizes of the packets and the look of the key frames tell the shots of an hour for the price of a few
hundred frames. They may be too many, never an answer by themselves: each only gets its share of the
frames that are looked at, lest a short one is missed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from preprocessing.limits import DEFAULT, Limits
from preprocessing.people.appearance import SCENE_CUT, is_cut, scene_of
from preprocessing.types import FrameIndex
from preprocessing.video.index import evenly_spaced, spacing
from preprocessing.video.read import read_frames

MOST_KEYS = 256  # key frames that are looked at for scenes; those whose sizes tell most
KEYS_PER_S = 2.0  # and of shorter videos no more than this
LARGE = 0.5  # of the key frame before it: a picture between key frames that may start a scene
SPIKE = 2.0  # times the third largest of the pictures around it
AROUND = 12  # pictures on either side
PER_SHOT = 4  # frames that a shot gets at least, while they last
EXTRA = 1  # times the frames of a clip that shots may get beside these
GROW_S, GROWTH = 60.0, 0.1  # longer videos get frames in proportion to duration ** 0.1
SPARSE_S = 5.0  # from this spacing on a frame may give way to one near it that is cheaper to decode
NEAR = 1 / 3  # of the spacing

Positions = list[int]


@dataclass(frozen=True)
class Schedule:
    """Which frames are looked at.

    Args:
        positions: In the index, increasing.
        starts_s: When a scene may start, but for the first, in seconds.
        keys_s: Times of the key frames; None where scenes were not searched for.
        seen: Shots of which a frame is looked at.
    """

    positions: Sequence[int]
    starts_s: Sequence[float] = ()
    keys_s: Sequence[float] | None = None
    seen: int = 1


def grown(count: int, duration_s: float) -> int:
    """Return how many frames a video of that duration gets where a minute gets `count`.

    >>> grown(32, 10), grown(32, 600), grown(32, 3600)
    (32, 40, 48)
    """
    longer: float = max(1.0, duration_s / GROW_S) ** GROWTH
    return round(count * longer)


def schedule(
    path: Path,
    index: FrameIndex,
    count: int,
    *,
    start_s: float = 0.0,
    end_s: float | None = None,
    shots: bool = True,
    limits: Limits = DEFAULT,
    device: str = "cpu",
) -> Schedule:
    """Choose `count` frames evenly, and some more so that each shot has `PER_SHOT`.

    The number of frames beside the even ones is bounded: shots without a frame come first, of those
    the ones that look like no shot that has one, and of those the longest.

    Args:
        path: The video.
        index: What `index_frames` gave for it.
        count: Frames chosen evenly.
        start_s: Begin of the span, in seconds.
        end_s: End of the span, in seconds; None for the end of the video.
        shots: Look for shots; else the even frames are all.
        limits: What the video may cost.
        device: Decodes key frames, as in `read_frames`.
    """
    times = index.times_s
    low = int(np.searchsorted(times, start_s))
    high = len(times) if end_s is None else int(np.searchsorted(times, end_s, side="right"))
    even = evenly_spaced(times, count, start_s=start_s, end_s=end_s)
    keys = index.keys
    keys_s = times[keys].tolist()
    if not shots or index.is_picture or len(even) < 2 or high - low <= count:
        return Schedule(even, keys_s=keys_s if shots else None)
    starts, looks = find_shots(path, index, low, high, limits, device)
    edges = np.array([low, *starts, high])
    chosen = np.array(even)
    far = spacing(times[chosen]) >= SPARSE_S and len(keys) > 0
    if far:
        chosen = np.array(sorted(set(_at_keys(times, keys, chosen, edges).tolist())))
    have = np.histogram(chosen, edges)[0]
    lengths = np.diff(edges)
    left = EXTRA * count
    for wanted in range(1, PER_SHOT + 1):
        lacking = np.flatnonzero((have < wanted) & (lengths >= wanted))
        order = np.lexsort((-lengths[lacking], _known(looks, edges, have)[lacking]))
        granted = lacking[order][: max(0, left)]
        have[granted] += 1
        left -= len(granted)
    more: Positions = []
    for shot in np.flatnonzero(have > np.histogram(chosen, edges)[0]):
        span = int(edges[shot]), int(edges[shot + 1])
        more += _beside(times, chosen, *span, int(have[shot]), keys if far else None)
    positions = sorted({*chosen.tolist(), *more})
    return Schedule(
        positions,
        times[starts].tolist(),
        keys_s,
        int((have > 0).sum()),
    )


def find_shots(
    path: Path, index: FrameIndex, low: int, high: int, limits: Limits, device: str = "cpu"
) -> tuple[Positions, dict[int, NDArray[np.float32]]]:
    """Return the positions in (low, high) at which a scene may start, and how key frames look.

    Args:
        path: The video.
        index: What `index_frames` gave for it.
        low: First position of interest.
        high: The one after the last.
        limits: What the video may cost.
        device: Decodes key frames, as in `read_frames`.
    """
    sizes = index.sizes[index.packets[low:high]].astype(np.float64)
    keys = np.zeros(high - low, dtype=bool)
    keys[[k - low for k in index.keys if low <= k < high]] = True
    keys[0] = True
    spikes = _spikes(sizes, keys)
    span_s = float(index.times_s[high - 1] - index.times_s[low])
    most = min(MOST_KEYS, math.ceil(KEYS_PER_S * span_s))
    looked = _telling(np.flatnonzero(keys), sizes, max(2, most))
    starts: list[int] = []
    looks: dict[int, NDArray[np.float32]] = {}
    before: tuple[int, NDArray[np.float32]] | None = None
    for frame in read_frames(path, index, (low + looked).tolist(), limits=limits, device=device):
        place, scene = frame.index - low, scene_of(frame.image)
        if before is not None:
            odd = int(((spikes > before[0]) & (spikes < place)).sum()) % 2 == 1
            if is_cut(before[1], scene) != odd:  # or a scene came and went between the two
                starts.append(place)
        before = (place, scene)
        looks[frame.index] = scene
    return [low + place for place in sorted({*starts, *spikes.tolist()}) if place > 0], looks


def _known(
    looks: dict[int, NDArray[np.float32]], edges: NDArray[np.int64], have: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return of each shot (N,) whether it looks like one that has a frame, as cuts back do."""
    known = np.zeros(len(have), dtype=bool)
    shots = np.searchsorted(edges, list(looks), side="right") - 1
    scenes = np.array(list(looks.values()))
    seen = scenes[have[shots] > 0]
    for shot, scene in zip(shots, scenes, strict=True):
        known[shot] |= bool((np.minimum(seen, scene).sum(axis=1) >= SCENE_CUT).any())
    return known


def _spikes(sizes: NDArray[np.float64], keys: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return where a picture between key frames is as large as those."""
    places = np.flatnonzero(~keys)
    if len(places) < 2 * AROUND:
        return places[:0]
    between = sizes[places]
    last_key = sizes[np.maximum.accumulate(np.where(keys, np.arange(len(keys)), 0))][places]
    large = np.flatnonzero(between > LARGE * last_key)
    found = []
    for place in large.tolist():
        around = between[max(0, place - AROUND) : place + AROUND + 1]
        if between[place] > SPIKE * np.sort(around)[-3]:  # another may be this scene's end
            found.append(place)
    # Of several in a row, as where a picture is coded in two, the first starts the scene.
    kept = [k for n, k in enumerate(found) if n == 0 or k > found[n - 1] + 2]
    return places[np.array(kept, dtype=np.int64)]


def _telling(keys: NDArray[np.int64], sizes: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """Return at most so many key frames: those that differ in size, or come sooner than usual."""
    if len(keys) <= most:
        return keys
    change = np.abs(np.diff(np.log(sizes[keys] + 1), prepend=0.0))
    gaps = np.diff(keys).astype(np.float64)
    change[1:] += np.log(np.maximum(spacing(keys) / gaps, 1.0))
    change = np.maximum(change, np.append(change[1:], 0.0))  # and those before such a one
    change[0] = np.inf
    best = np.argsort(-change, kind="stable")[:most]
    return np.sort(keys[best])


def _beside(
    times: NDArray[np.float64],
    chosen: NDArray[np.int64],
    low: int,
    high: int,
    wanted: int,
    keys: NDArray[np.int64] | None,
) -> Positions:
    """Return positions of a shot [low, high) that make those chosen in it as many as wanted.

    The shot is cut in equal parts, and those without a chosen frame get one: the middle one, or,
    if key frames are given, the one of the middle half that is nearest behind one.
    """
    middles = low + np.array(evenly_spaced(times[low:high], wanted))
    parts = np.concatenate([[low], (middles[:-1] + middles[1:] + 1) // 2, [high]])
    missing = wanted - int(((chosen >= low) & (chosen < high)).sum())
    found = []
    for part in np.flatnonzero(np.histogram(chosen, parts)[0] == 0)[:missing].tolist():
        best = int(middles[part])
        if keys is not None:
            reach = int(parts[part + 1] - parts[part]) // 4
            near = np.arange(max(best - reach, parts[part]), min(best + reach + 1, parts[part + 1]))
            since = near - np.append(0, keys)[np.searchsorted(keys, near, side="right")]
            nearest = near[since == since.min()]
            best = int(nearest[np.argmin(np.abs(nearest - best))])
        found.append(best)
    return found


def _at_keys(
    times: NDArray[np.float64],
    keys: NDArray[np.int64],
    chosen: NDArray[np.int64],
    edges: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return positions, at key frames that lie near in the same shot: cheap to decode."""
    after = np.clip(np.searchsorted(times[keys], times[chosen]), 1, len(keys) - 1)
    before = after - 1
    nearer = times[chosen] - times[keys[before]] <= times[keys[after]] - times[chosen]
    nearest = keys[np.where(nearer, before, after)]
    same = np.searchsorted(edges, nearest, "right") == np.searchsorted(edges, chosen, "right")
    close = np.abs(times[nearest] - times[chosen]) <= NEAR * spacing(times[chosen])
    return np.where(same & close, nearest, chosen)
