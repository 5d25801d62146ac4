"""What the default model is shown: a real face and a fake one of the same place, damaged alike."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from deepfake.data.fakes.face_swap import FaceSwapBlend, shape_features
from deepfake.data.fakes.self_blend import SelfBlend
from preprocessing.types import Image
from recipes.default_model.balance import balanced
from recipes.default_model.damage import STRONG, damaged, to_input
from recipes.default_model.store import FaceStore, Points
from recipes.default_model.tool_blend import RESYNTHESES, ToolBlend, resynthesise

Kind = Literal["self", "swap", "tool", "tool_swap", "dfdc", "deepfacelive", "decoded"]
SHARES: Mapping[Kind, float] = {
    "self": 0.33,
    "swap": 0.08,
    "tool": 0.22,
    "tool_swap": 0.05,
    "dfdc": 0.26,
    "deepfacelive": 0.06,
    "decoded": 0.0,
}
MARGIN = (0.0, 0.28)  # around the box's longer side, on each side
WORK = (200, 288)  # longest side at which crops are blended, in pixels
MAP = 14  # side of the map of where the face was changed
ALIKE = 0.9  # of the pairs are damaged with the same draws
SOFT_REALS = 0.5  # of the tools' pairs: the real picture is resynthesised too, as a whole
WHOLE = 0.5  # of the decoded faces are left in their decoded picture
TRIES = 10


@dataclass(frozen=True, eq=False)
class Pair:
    """A real face and a fake one (H, W, 3), of one size, and where they differ (H, W)."""

    real: Image
    fake: Image
    mask: NDArray[np.float32]


def framed(
    image: Image,
    box: NDArray[np.float32],
    points: Points,
    margin: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[tuple[int, int, int], Points]:
    """Choose a square inside the picture around a face.

    Returns:
        Left, top and side, in pixels of the region, and the landmarks in pixels of the square.
    """
    height, width = image.shape[:2]
    longer = float(max(box[2] - box[0], box[3] - box[1]))
    side = int(min(longer * (1 + 2 * rng.uniform(*margin)), height, width))
    shift = rng.uniform(-0.05, 0.05, 2) * longer
    centre = ((box[0] + box[2]) / 2 + shift[0], (box[1] + box[3]) / 2 + shift[1])
    left = int(np.clip(centre[0] - side / 2, 0, width - side))
    top = int(np.clip(centre[1] - side / 2, 0, height - side))
    return (left, top, side), points - np.array([left, top], np.float32)


def at_work(
    image: Image, square: tuple[int, int, int], points: Points, work: int
) -> tuple[Image, Points]:
    """Cut a square, shrunk to the size at which faces are blended."""
    left, top, side = square
    crop = image[top : top + side, left : left + side]
    if side <= work:
        return np.ascontiguousarray(crop), points
    small = cv2.resize(crop, (work, work), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8), points * np.float32(work / side)


@dataclass(eq=False)
class Material:
    """The faces of one side of the split, and who goes with whom.

    Args:
        stores: The stores of `recipes.default_model.prepare`, by part.
        dfdc: Folder of DFDC's crops, whose fakes are read as they are drawn.
        fakes: Names of DFDC's fakes of each real crop.
        split: "train" or "val".
    """

    stores: Mapping[str, FaceStore]
    dfdc: Path
    fakes: Mapping[str, Sequence[str]]
    split: str

    def __post_init__(self) -> None:
        rows: list[tuple[str, int]] = []
        domains: list[str] = []
        for part, store in self.stores.items():
            if part == "decoded":  # the same faces again
                continue
            usable = np.flatnonzero((store.split == self.split) & (store.label == 0))
            rows += [(part, int(row)) for row in usable]
            domains += [str(store.domain[row]) for row in usable]
        self.rows = rows
        names, place = np.unique(np.array(domains, dtype=object).astype(str), return_inverse=True)
        counts = np.bincount(place)
        share = np.sqrt(counts) / np.sqrt(counts).sum()
        self.chances = (share / counts)[place]
        self.domains = dict(zip(names.tolist(), counts.tolist(), strict=True))
        points = np.stack([self.stores[p].points[r] for p, r in rows])
        self.shapes = shape_features(points)
        self.tones = np.stack(
            [_tone(self.stores[p].image(r), self.stores[p].points[r]) for p, r in rows]
        )
        self.groups = np.array([str(self.stores[p].group[r]) for p, r in rows])
        self.with_fakes = [
            i
            for i, (p, r) in enumerate(rows)
            if p == "dfdc" and self.fakes.get(str(self.stores[p].name[r]))
        ]
        self.twins, self.decoded = self._twins("pairs"), self._twins("decoded")

    def _twins(self, part: str) -> list[tuple[int, int]]:
        store = self.stores.get(part)
        if store is None:
            return []
        place = {str(name): i for i, name in enumerate(store.name)}
        return [
            (place[str(store.original[row])], int(row))
            for row in np.flatnonzero((store.label == 1) & (store.split == self.split))
        ]

    def donor(self, index: int, rng: np.random.Generator) -> int:
        """Choose another person of like pose and tone among a random part of the faces."""
        among = rng.integers(len(self.rows), size=384)
        far = np.linalg.norm(self.shapes[among] - self.shapes[index], axis=1) * 4
        far += np.linalg.norm(self.tones[among] - self.tones[index], axis=1) / 20
        far[self.groups[among] == self.groups[index]] = np.inf
        return int(among[np.argsort(far)[rng.integers(3)]])


def _tone(image: Image, points: Points) -> NDArray[np.float32]:
    low = np.clip(points[17:].min(axis=0), 0, None).astype(int)
    high = points[17:].max(axis=0).astype(int) + 1
    part = image[low[1] : high[1], low[0] : high[0]]
    if not part.size:
        return np.full(3, 128, np.float32)
    return np.asarray(part[::4, ::4].reshape(-1, 3).mean(axis=0), np.float32)


class Draws(Dataset[dict[str, Tensor]]):
    """Pairs, each decided by (seed, number) alone, so that any worker makes the same.

    Args:
        material: The faces.
        size: Side of the network's input.
        shares: How often each kind of fake is drawn.
        margin: Least and largest, around the box's longer side, on each side.
        seed: Of everything.
        damage: Whether pairs are damaged.
        balance: Share of the pairs whose sharpness is balanced: `recipes.default_model.balance`.
        alike: Share of the pairs that are damaged with the same draws.
        strong: Share of the damaged that are compressed as hard as FaceForensics++'s c40.
    """

    def __init__(
        self,
        material: Material,
        *,
        size: int,
        shares: Mapping[Kind, float] = SHARES,
        margin: tuple[float, float] = MARGIN,
        seed: int = 0,
        damage: bool = True,
        balance: float = 0.0,
        alike: float = ALIKE,
        strong: float = STRONG,
    ) -> None:
        self.material = material
        self.size = size
        self.margin = margin
        self.seed = seed
        self.damage = damage
        self.balance = balance
        self.alike, self.strong = alike, strong
        absent = {
            "dfdc": not material.with_fakes,
            "deepfacelive": not material.twins,
            "decoded": not material.decoded,
        }
        self.kinds = [k for k, share in shares.items() if share > 0 and not absent.get(k)]
        total = sum(shares[kind] for kind in self.kinds)
        self.chances = [shares[kind] / total for kind in self.kinds]
        self.cumulative = np.cumsum(material.chances)
        self.self_blend, self.swap, self.tool = SelfBlend(), FaceSwapBlend(), ToolBlend()

    def __len__(self) -> int:
        return 2**40

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self.seed, number])
        pair = self.pair(rng)
        return self.sample(pair, rng)

    def pair(self, rng: np.random.Generator, kind: Kind | None = None) -> Pair:
        """Return a pair before damage; tries other faces where nothing visible can be made."""
        for _ in range(TRIES):
            drawn = kind or self.kinds[rng.choice(len(self.kinds), p=self.chances)]
            made = self._pair(drawn, rng)
            if made is None:
                continue
            if self.balance and rng.random() < self.balance:
                return Pair(*balanced(made.real, made.fake, rng), made.mask)
            return made
        raise RuntimeError(f"no visible fake in {TRIES} tries")

    def sample(self, pair: Pair, rng: np.random.Generator) -> dict[str, Tensor]:
        """Damage, flip and resize a pair: faces (2, S, S, 3) uint8, labels (2,), maps (2, M, M)."""
        seeds = rng.integers(2**31, size=2)
        if rng.random() < self.alike:
            seeds[1] = seeds[0]
        way, flip = int(rng.integers(2**31)), rng.random() < 0.5
        faces = []
        for image, seed in zip((pair.real, pair.fake), seeds, strict=True):
            if self.damage:
                image = damaged(image, np.random.default_rng(seed), strong=self.strong)
            faces.append(to_input(image, self.size, np.random.default_rng(way)))
        changed = cv2.resize(pair.mask, (MAP, MAP), interpolation=cv2.INTER_AREA)
        maps = np.stack([np.zeros_like(changed), changed])
        stack = np.stack(faces)
        if flip:
            stack, maps = stack[:, :, ::-1], maps[:, :, ::-1]
        return {
            "face": torch.from_numpy(np.ascontiguousarray(stack)),
            "label": torch.tensor([0.0, 1.0]),
            "map": torch.from_numpy(np.ascontiguousarray(maps)),
        }

    def _pair(self, kind: Kind, rng: np.random.Generator) -> Pair | None:
        material = self.material
        if kind == "deepfacelive":
            ours, theirs = material.twins[rng.integers(len(material.twins))]
            return self._aligned("pairs", ours, material.stores["pairs"].image(theirs), rng)
        if kind == "decoded":
            return self._decoded(rng)
        if kind == "dfdc":
            part, row = material.rows[material.with_fakes[rng.integers(len(material.with_fakes))]]
            names = material.fakes[str(material.stores[part].name[row])]
            path = material.dfdc / f"{names[int(rng.integers(len(names)))]}.jpg"
            return self._aligned(part, row, _fake(path), rng)
        index = int(np.searchsorted(self.cumulative, rng.random() * self.cumulative[-1]))
        index = min(index, len(material.rows) - 1)
        work = int(rng.integers(*WORK))
        part, row = material.rows[index]
        image, points = self._read(part, row, work, rng)
        donor = None
        if kind in ("swap", "tool_swap"):
            donor = self._read(*material.rows[material.donor(index, rng)], work, rng)
        if kind == "swap":
            assert donor is not None
            blended = self.swap(image, points, *donor, rng)
        elif kind == "self":
            blended = self.self_blend(image, points, rng)
        else:
            blended = self.tool(image, points, rng, donor=donor)
        if blended is None:
            return None
        real = blended.real
        if kind in ("tool", "tool_swap") and rng.random() < SOFT_REALS:
            # Else softness itself would tell: what tells is that a face is unlike its surroundings.
            real = resynthesise(real, RESYNTHESES[rng.integers(len(RESYNTHESES))], rng)
        return Pair(real, blended.fake, blended.mask)

    def _decoded(self, rng: np.random.Generator) -> Pair:
        """Return a face and what a decoder drew of it: the whole picture, or the face alone."""
        ours, theirs = self.material.decoded[rng.integers(len(self.material.decoded))]
        store = self.material.stores["decoded"]
        square, points = framed(
            store.image(ours), store.box[ours], store.points[ours], self.margin, rng
        )
        work = int(rng.integers(*WORK))
        real, placed = at_work(store.image(ours), square, points, work)
        fake, _ = at_work(store.image(theirs), square, points, work)
        if rng.random() < WHOLE:
            return Pair(real, fake, np.ones(real.shape[:2], np.float32))
        blended = self.tool.put_back(real, fake, placed, rng)
        return Pair(blended.real, blended.fake, blended.mask)

    def _read(
        self, part: str, row: int, work: int, rng: np.random.Generator
    ) -> tuple[Image, Points]:
        store = self.material.stores[part]
        image = store.image(row)
        square, points = framed(image, store.box[row], store.points[row], self.margin, rng)
        return at_work(image, square, points, work)

    def _aligned(
        self, part: str, row: int, fake: Image | None, rng: np.random.Generator
    ) -> Pair | None:
        store = self.material.stores[part]
        real = store.image(row)
        if fake is None or fake.shape != real.shape:
            return None
        square, points = framed(real, store.box[row], store.points[row], self.margin, rng)
        work = int(rng.integers(*WORK))
        ours, theirs = (at_work(image, square, points, work)[0] for image in (real, fake))
        return Pair(ours, theirs, changed_places(ours, theirs))


def _fake(path: Path) -> Image | None:
    """Read a crop of DFDC's, stored whole as its original is; None where it is damaged."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        return None
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def changed_places(real: Image, fake: Image) -> NDArray[np.float32]:
    """Return where an aligned fake differs from its original (H, W): 1 from 12 levels on."""
    change = np.abs(real.astype(np.int16) - fake).max(axis=2).astype(np.float32)
    soft = cv2.blur(change, (9, 9))
    return np.asarray(np.clip((soft - 4) / 8, 0, 1), dtype=np.float32)


def collate(samples: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Join pairs to a batch: faces (2P, S, S, 3), labels (2P,), maps (2P, M, M)."""
    return {key: torch.cat([sample[key] for sample in samples]) for key in samples[0]}


class Numbers(Sampler[int]):
    """Numbers of the draws of an epoch, going on from epoch to epoch.

    Args:
        count: Draws an epoch.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes; Lightning calls it."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.epoch * self.count, (self.epoch + 1) * self.count))
