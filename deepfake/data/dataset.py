"""Crops from disk as samples: single faces or clips, and pairs of a real and a fake one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from deepfake.data.fakes.blending import Blend
from deepfake.data.fakes.face_swap import FaceSwapBlend, shape_features
from deepfake.data.fakes.self_blend import SelfBlend
from deepfake.data.sampling import Draw, Rows
from deepfake.data.table import FaceTable
from deepfake.data.transforms import Augmentation, NoAugmentation, Points
from deepfake.errors import DeepfakeError
from deepfake.recipe import InputRecipe
from preprocessing.types import Image

Kind = Literal["videos", "self_blended", "swapped", "unpaired"]
Sample = dict[str, Any]
Clip = tuple[list[Image], list[Points], Rows]
ENLARGE = 1.5  # crops are blended and degraded at up to this many times the network's input size
TRIES = 8


@dataclass(frozen=True)
class FaceReader:
    """Reads items of a table and turns frames into what a network takes.

    Args:
        table: All crops.
        recipe: From crop to tensor.
        augmentation: Applied to the crops.
        seed: With epoch and position, decides all that is random in a sample.
    """

    table: FaceTable
    recipe: InputRecipe = field(default_factory=InputRecipe)
    augmentation: Augmentation = field(default_factory=NoAugmentation)
    seed: int = 0

    def rng(self, epoch: int, position: int) -> np.random.Generator:
        """Return the generator of one sample, the same in any worker."""
        return np.random.default_rng([self.seed, epoch, position])

    def read(self, item: Rows, *, shrink: bool) -> tuple[list[Image], list[Points]]:
        """Return the T frames of an item and their landmarks, in pixels of the frames.

        Args:
            item: Rows of the table (T,).
            shrink: Limit the size, so that what follows is fast; the frames of a clip get one size.
        """
        frames = [self.table.image(int(row)) for row in item]
        height, width = frames[0].shape[:2]
        limit = self.recipe.image_size * ENLARGE / max(height, width) if shrink else 1.0
        scale = min(1.0, limit)
        frames = [_resized(frame, round(width * scale), round(height * scale)) for frame in frames]
        pairs = zip(item, frames, strict=True)
        return frames, [self.table.points(int(row), frame) for row, frame in pairs]

    def tensor(self, frames: Sequence[Image]) -> Tensor:
        """Return frames as (3, S, S), or (T, 3, S, S) where T > 1."""
        faces = torch.from_numpy(np.stack([self.recipe.prepare(frame) for frame in frames]))
        return faces[0] if len(frames) == 1 else faces

    def sample(self, frames: Sequence[Image], *, item: Rows, label: int, index: int) -> Sample:
        """Return a sample; a blended fake counts as another video than its real face."""
        row = int(item[0])
        video = int(self.table.video[row])
        if label == 1 and self.table.label[row] == 0:
            video += len(self.table.videos)
        return {
            "face": self.tensor(frames),
            "label": torch.tensor(float(label)),
            "video": video,
            "track": int(self.table.track[row]),
            "index": index,
            "cues": {
                name: torch.from_numpy(cue[row] if len(item) == 1 else cue[item])
                for name, cue in self.table.cues.items()
            },
        }


class FaceCrops(Dataset[list[Sample]]):
    """Faces, or clips of T faces of one track, with the labels of their videos.

    Args:
        reader: Reads and augments.
        items: Rows of the table for each item (M, T).
    """

    def __init__(self, reader: FaceReader, items: Rows) -> None:
        self.reader = reader
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, draw: Draw) -> list[Sample]:
        epoch, position, index = draw
        item, reader = self.items[index], self.reader
        plain = isinstance(reader.augmentation, NoAugmentation)
        frames, points = reader.read(item, shrink=not plain)
        frames = reader.augmentation(frames, points, reader.rng(epoch, position))
        label = int(reader.table.label[item[0]])
        return [reader.sample(frames, item=item, label=label, index=index)]


class FacePairs(Dataset[list[Sample]]):
    """A real face and a fake one a draw, so that batches hold as many of both.

    The fake is, by kind: "videos" a fake made from the real one's video, at the same time;
    "self_blended" made from the real face alone; "swapped" the real face with that of the nearest
    other person; "unpaired" any fake, such as a generated portrait.

    Both faces are degraded alike. In half of the draws they get the very same parameters, in the
    other half independent ones from the same distribution, so quality tells nothing.

    Args:
        reader: Reads and augments.
        reals: Rows of the real items (M, T).
        shares: How often each kind is drawn; need not add up to 1.
        pairs: Rows of paired real and fake items (P, 2, T), for "videos".
        unpaired: Rows of fake items (U, T), for "unpaired".
    """

    def __init__(
        self,
        reader: FaceReader,
        reals: Rows,
        *,
        shares: Mapping[Kind, float],
        pairs: Rows | None = None,
        unpaired: Rows | None = None,
    ) -> None:
        self.reader = reader
        self.reals = reals
        self.pairs = np.empty((0, 2, 1), np.int64) if pairs is None else pairs
        self.unpaired = np.empty((0, 1), np.int64) if unpaired is None else unpaired
        self.kinds: list[Kind] = [kind for kind, share in shares.items() if share > 0]
        total = sum(shares[kind] for kind in self.kinds)
        self.chances = [shares[kind] / total for kind in self.kinds]
        self.self_blend = SelfBlend()
        self.swap = FaceSwapBlend()
        table = reader.table
        self.shapes: NDArray[np.float32] | None = None
        if "swapped" in self.kinds:
            self.shapes = shape_features(table.landmarks[reals[:, 0]])

    def __len__(self) -> int:
        """Number of real items, each drawn with a fake; of pairs where there is nothing else."""
        return len(self.rows)

    @property
    def rows(self) -> Rows:
        """First row of every item (M,)."""
        return self.reals[:, 0] if len(self.reals) else self.pairs[:, 1, 0]

    def __getitem__(self, draw: Draw) -> list[Sample]:
        epoch, position, index = draw
        rng = self.reader.rng(epoch, position)
        kind = self.kinds[rng.choice(len(self.kinds), p=self.chances)]
        if kind == "videos":
            index = int(rng.integers(len(self.pairs))) if len(self.reals) else index
            real, fake = self.pairs[index]
            return self._read_pair(real, fake, index, rng)
        if kind == "unpaired":
            fake = self.unpaired[rng.integers(len(self.unpaired))]
            return self._read_pair(self.reals[index], fake, index, rng)
        for _ in range(TRIES):
            found = self.blends(kind, index, rng)
            if found is not None:
                item = self.reals[index]
                real = [made.real for made in found]
                rows = zip(item, real, strict=True)
                points = [self.reader.table.points(int(row), frame) for row, frame in rows]
                fake = [made.fake for made in found]
                return self._degraded((real, points, item), (fake, points, item), index, rng)
            index = int(rng.integers(len(self.reals)))  # a face without contrast: take another
        raise DeepfakeError(
            f"No visible fake could be made from {TRIES} real faces in {self.reader.table.folder}. "
            "Look at the crops: they may be blank, or their landmarks wrong."
        )

    def blends(self, kind: Kind, index: int, rng: np.random.Generator) -> list[Blend] | None:
        """Return each frame of a real item with the fake made from it, all blended alike.

        None where nothing visible could be made of it.
        """
        frames, points = self.reader.read(self.reals[index], shrink=True)
        seed = int(rng.integers(2**31))
        donor = self.reals[self._donor(index, rng)] if kind == "swapped" else None
        others = self.reader.read(donor, shrink=True) if donor is not None else None
        found = []
        for t, frame in enumerate(frames):
            same = np.random.default_rng(seed)
            if others is None:
                made = self.self_blend(frame, points[t], same)
            else:
                made = self.swap(frame, points[t], others[0][t], others[1][t], same)
            if made is None:
                return None
            found.append(made)
        return found

    def _donor(self, index: int, rng: np.random.Generator) -> int:
        """Choose among the nearest faces of other people in a random part of the reals."""
        assert self.shapes is not None
        table = self.reader.table
        among = rng.integers(len(self.reals), size=256)
        rows, row = self.reals[among, 0], self.reals[index, 0]
        other = table.video[rows] != table.video[row]
        other &= (table.person[rows] != table.person[row]) | (table.person[rows] == -1)
        far = np.linalg.norm(self.shapes[among] - self.shapes[index], axis=1)
        far[~other] = np.inf
        nearest = np.argsort(far)[:3]
        return int(among[nearest[rng.integers(len(nearest))]])

    def _read_pair(
        self, real: Rows, fake: Rows, index: int, rng: np.random.Generator
    ) -> list[Sample]:
        ours, theirs = self.reader.read(real, shrink=True), self.reader.read(fake, shrink=True)
        side = min(max(ours[0][0].shape[:2]), max(theirs[0][0].shape[:2]))
        ours, theirs = _no_larger(*ours, side), _no_larger(*theirs, side)  # size tells nothing
        return self._degraded((*ours, real), (*theirs, fake), index, rng)

    def _degraded(
        self, real: Clip, fake: Clip, index: int, rng: np.random.Generator
    ) -> list[Sample]:
        seeds = rng.integers(2**31, size=2)
        if rng.random() < 0.5:
            seeds[1] = seeds[0]
        samples = []
        for label, (frames, points, item) in enumerate((real, fake)):
            changed = self.reader.augmentation(frames, points, np.random.default_rng(seeds[label]))
            samples.append(
                self.reader.sample(changed, item=item, label=label, index=2 * index + label)
            )
        return samples


class ChainedFaces(Dataset[list[Sample]]):
    """Several data sets one after the other.

    Args:
        parts: The data sets; at most two samples a draw each.
    """

    def __init__(self, parts: Sequence[FaceCrops | FacePairs]) -> None:
        self.parts = list(parts)
        self.starts = np.cumsum([0, *(len(part) for part in parts)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, draw: Draw) -> list[Sample]:
        epoch, position, index = draw
        part = int(np.searchsorted(self.starts, index, side="right")) - 1
        samples = self.parts[part][epoch, position, index - int(self.starts[part])]
        for sample in samples:
            sample["index"] += 2 * int(self.starts[part])
        return samples


def _no_larger(
    frames: list[Image], points: list[Points], side: int
) -> tuple[list[Image], list[Points]]:
    """Shrink the frames of a clip, and their landmarks, to a longest side, in pixels."""
    height, width = frames[0].shape[:2]
    scale = min(1.0, side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = [_resized(frame, *size) for frame in frames]
    return small, [landmarks * np.float32(scale) for landmarks in points]


def _resized(frame: Image, width: int, height: int) -> Image:
    if frame.shape[:2] == (height, width):
        return frame
    size = (width, height)
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def collate(draws: Sequence[list[Sample]]) -> dict[str, Any]:
    """Return the samples of all draws as one batch, a `FaceBatch` with `index` (B,)."""
    batch: dict[str, Any] = default_collate([sample for draw in draws for sample in draw])
    if not batch["cues"]:
        del batch["cues"]
    return batch
