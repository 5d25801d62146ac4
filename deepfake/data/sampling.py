"""Which crops an epoch shows, and in which order."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DistributedSampler

from deepfake.data.table import FaceTable
from deepfake.inference.faces import cut, evenly

Rows = NDArray[np.int64]
Draw = tuple[int, int, int]  # epoch, position in the epoch, index of the item


def evenly_by_time(
    time_s: NDArray[np.float32], count: int, *, track: NDArray[np.int32] | None = None
) -> Rows:
    """Choose `count` entries spread evenly over the time that they span.

    The span is cut into `count` equal parts and the entry nearest to each part's middle is taken,
    no entry twice. Of entries equally near, the track shown least so far comes first.

    Args:
        time_s: Time of each entry, in seconds (N,).
        count: How many to choose; all are taken where there are no more than that.
        track: Track of each entry (N,).

    Returns:
        Positions in the arrays, ordered by time.
    """
    order = np.argsort(time_s, kind="stable")
    if len(order) <= count:
        return order.astype(np.int64)
    start, stop = float(time_s.min()), float(time_s.max())
    targets = start + (np.arange(count) + 0.5) * (stop - start) / count
    tracks = np.zeros(len(time_s), dtype=np.int64) if track is None else track.astype(np.int64)
    _, person = np.unique(tracks, return_inverse=True)
    shown = np.zeros(person.max() + 1, dtype=np.int64)
    free = np.ones(len(time_s), dtype=bool)
    chosen = np.empty(count, dtype=np.int64)
    for i, target in enumerate(targets):
        distance = np.where(free, np.abs(time_s - target), np.inf)
        near = np.flatnonzero(distance <= distance.min() + 1e-6)
        chosen[i] = near[np.argmin(shown[person[near]])]
        free[chosen[i]] = False
        shown[person[chosen[i]]] += 1
    return chosen[np.argsort(time_s[chosen], kind="stable")]


def spread_over_videos(table: FaceTable, frames_per_video: int | tuple[int, int]) -> Rows:
    """Choose crops evenly by time in every video.

    Args:
        table: Labelled crops.
        frames_per_video: Crops of each video, or one number for real and one for fake videos.

    Returns:
        Rows of the table, video by video, ordered by time.
    """
    counts = np.broadcast_to(frames_per_video, 2)
    chosen = []
    for rows in _groups(table.video):
        count = int(counts[int(table.label[rows[0]] == 1)])
        chosen.append(rows[evenly_by_time(table.time_s[rows], count, track=table.track[rows])])
    return np.concatenate(chosen) if chosen else np.empty(0, dtype=np.int64)


def clips(table: FaceTable, rows: Rows, frames: int) -> Rows:
    """Cut the chosen rows into clips of one track each, in time order.

    A track with fewer crops than a clip needs repeats some, evenly.

    Returns:
        Rows of the table (M, T).
    """
    if frames == 1:
        return rows[:, None]
    keys = table.video[rows] * (int(table.track.max(initial=0)) + 1) + table.track[rows]
    found = []
    for group in _groups(keys):
        track = rows[group][np.argsort(table.time_s[rows[group]], kind="stable")]
        parts = [np.array(part) for part in cut(range(len(track)), frames)]
        found += [track[part[evenly(len(part), frames)]] for part in parts]
    return np.stack(found) if found else np.empty((0, frames), dtype=np.int64)


def partners(table: FaceTable, fakes: Rows) -> Rows:
    """Return for each fake row the real row it was made from: same source video, nearest in time.

    Of several people at that time, the nearest in the frame is taken. -1 where there is none.
    """
    real = {int(table.video[rows[0]]): rows for rows in _groups(table.video)}
    found = np.full(len(fakes), -1, dtype=np.int64)
    for i, row in enumerate(fakes):
        rows = real.get(int(table.source[row]))
        if rows is None or table.label[rows[0]] != 0:
            continue
        late = np.abs(table.time_s[rows] - table.time_s[row])
        near = rows[late <= late.min() + 1e-4]
        far = np.linalg.norm(table.centre[near] - table.centre[row], axis=1)
        found[i] = near[far.argmin()]
    return found


def balanced_weights(label: NDArray[np.int8], dataset: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return the chance of each item (M,) when classes and data sets are balanced.

    Real and fake get half each. Inside a class a data set of n items gets a share in proportion to
    the square root of n, so a small one is seen without being learnt by heart.
    """
    weights = np.zeros(len(label), dtype=np.float64)
    classes = np.unique(label)
    for value in classes:
        counts = np.bincount(dataset[label == value])
        shares = np.sqrt(counts) / np.sqrt(counts).sum()
        each = np.divide(shares, counts, out=np.zeros_like(shares), where=counts > 0)
        mine = label == value
        weights[mine] = each[dataset[mine]] / len(classes)
    return weights


class EpochSampler(DistributedSampler[Draw]):
    """Draw an epoch's items, the same ones under a seed for any number of processes or workers.

    Each draw carries its epoch and position, so that everything random about a sample follows from
    (seed, epoch, position) wherever it is made.

    Args:
        size: Number of items, M.
        seed: Of the order.
        shuffle: In random order; else in order.
        weights: Chance of each item (M,); items are then drawn with replacement.
        num_replicas: Processes that share the epoch.
        rank: Which of them this is.
    """

    def __init__(
        self,
        size: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        weights: NDArray[np.float64] | None = None,
        num_replicas: int = 1,
        rank: int = 0,
    ) -> None:
        items: Any = range(size)
        super().__init__(items, num_replicas, rank, shuffle, seed)
        self.size = size
        self.weights = weights

    def order(self, epoch: int) -> Rows:
        """Return the items of an epoch, before processes share them."""
        rng = np.random.default_rng([self.seed, epoch])
        if not self.shuffle:
            return np.arange(self.size, dtype=np.int64)
        if self.weights is None:
            return rng.permutation(self.size).astype(np.int64)
        chances = self.weights / self.weights.sum()
        return rng.choice(self.size, size=self.size, p=chances).astype(np.int64)

    def __iter__(self) -> Iterator[Draw]:
        epoch = self.epoch if self.shuffle else 0  # what validates is the same in every epoch
        order = self.order(epoch)
        for position in range(self.rank, self.num_samples * self.num_replicas, self.num_replicas):
            # The last round wraps around, so that every process has as many steps.
            yield epoch, position, int(order[position % self.size])


def _groups(keys: NDArray[np.int64]) -> list[Rows]:
    """Return the positions of equal keys, group by group, in order of first appearance."""
    if not len(keys):
        return []
    order = np.argsort(keys, kind="stable")
    edges = np.flatnonzero(np.diff(keys[order])) + 1
    return sorted(np.split(order.astype(np.int64), edges), key=lambda rows: int(rows[0]))
