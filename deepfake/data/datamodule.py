"""From a folder of crops to batches: what `--data.…` of `python -m deepfake.train` sets."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np
import pyarrow as pa
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader, Dataset

from deepfake.data.dataset import (
    ChainedFaces,
    FaceCrops,
    FacePairs,
    FaceReader,
    Kind,
    Sample,
    collate,
)
from deepfake.data.landmarks import with_dense_landmarks
from deepfake.data.sampling import (
    EpochSampler,
    Rows,
    balanced_weights,
    clips,
    partners,
    spread_over_videos,
)
from deepfake.data.splits.assign import SplitPlan
from deepfake.data.splits.leaks import Leak, describe, split_folder
from deepfake.data.table import UNLABELLED, FaceTable
from deepfake.data.transforms import (
    Augmentation,
    AugmentationName,
    NoAugmentation,
    make_augmentation,
)
from deepfake.errors import DeepfakeError, LeakError
from deepfake.recipe import InputRecipe
from preprocessing.crops.manifest import MANIFEST, read_options, read_table
from preprocessing.types import PreprocessOptions, Split

logger = logging.getLogger(__name__)

Fakes = Literal["videos", "self_blended", "mixed"]
Sampling = Literal["all", "weighted", "paired"]
SHARES: Mapping[str, float] = {
    "self_blended": 0.65,
    "swapped": 0.2,
    "videos": 0.1,
    "unpaired": 0.05,
}
RECIPE = InputRecipe()
SMALL = 256  # items; below, starting worker processes takes longer than reading


class FaceDataModule(LightningDataModule):
    """Batches of faces from a folder that `python -m deepfake.preprocess` made.

    Args:
        root: The folder, with `manifest.parquet`.
        batch_size: Faces a batch; with clips, clips a batch.
        frames_per_video: Crops of each video, spread evenly over its time; or one number for real
            and one for fake videos, such as (30, 9).
        recipe: From crop to network input.
        augmentation: Of the training crops: "none", "paper" (Coccomini et al. 2022), "strong", or
            a class, such as `deepfake.data.transforms.SBIAugmentation` or one of your own.
        fakes: "videos" takes the fakes of the manifest; "self_blended" makes them from the real
            crops alone; "mixed" does both, and swaps faces of real people.
        sampling: "all" shows every item once an epoch; "weighted" draws classes and data sets
            evenly; "paired" gives batches of fakes, each with the real face it was made from.
            Made fakes are always paired.
        frames: Crops a clip, T; 1 gives single faces.
        shares: With "mixed", how often each kind is drawn: self_blended, swapped, videos (fakes
            paired with their originals), unpaired (any fake).
        num_workers: Processes that read; None chooses.
        seed: Of the split, the order and everything drawn. The number of workers changes nothing.
        allow_leaks: Train although people or videos are on two sides of the split.
        cues: Names of side tables that the batches bring along, see `FaceTable.with_cues`; a
            network with an argument of that name is given it.
    """

    def __init__(
        self,
        root: Path = Path("data/faces"),
        *,
        batch_size: int = 32,
        frames_per_video: int | tuple[int, int] = 32,
        recipe: InputRecipe = RECIPE,
        augmentation: AugmentationName | Augmentation = "strong",
        fakes: Fakes = "videos",
        sampling: Sampling = "all",
        frames: int = 1,
        shares: dict[str, float] | None = None,
        num_workers: int | None = None,
        seed: int = 0,
        allow_leaks: bool = False,
        cues: Sequence[str] = (),
    ) -> None:
        super().__init__()
        least = 2 if fakes != "videos" or sampling == "paired" else 1
        if batch_size < least or batch_size % least:
            raise ValueError(f"batch_size must be a multiple of {least}, got {batch_size}")
        if frames < 1:
            raise ValueError(f"frames must be at least 1, got {frames}")
        unknown = set(shares or {}) - set(get_args(Kind))
        if unknown:
            raise ValueError(f"shares are of {', '.join(get_args(Kind))}; got {sorted(unknown)}")
        self.root = Path(root)
        self.batch_size = batch_size
        self.frames_per_video = frames_per_video
        self.recipe = recipe
        self.augmentation = augmentation
        self.fakes = fakes
        self.sampling = sampling
        self.frames = frames
        self.shares: dict[str, float] = dict(SHARES) if shares is None else shares
        self.num_workers = num_workers
        self.seed = seed
        self.allow_leaks = allow_leaks
        self.cues = tuple(cues)
        self.sides: dict[Split, FaceTable] = {}
        self.plan = SplitPlan({})  # what `setup` made

    @property
    def preprocess(self) -> PreprocessOptions:
        """The options that made the crops; a checkpoint keeps them."""
        return read_options(self.root)

    @property
    def leaky(self) -> bool:
        """Whether the sides had to share people or videos, so that validation says nothing."""
        return self.plan.leaky

    @property
    def class_counts(self) -> tuple[int, int]:
        """Real and fake items an epoch of training shows, as for a positive weight."""
        self.setup()
        if self.fakes != "videos" or self.sampling != "all":
            return 1, 1
        table = self.sides["train"]
        label = table.label[self._items(table)[:, 0]]
        return int((label == 0).sum()), int((label == 1).sum())

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002
        """Read the manifest and split it."""
        if self.sides:
            return
        if not (self.root / MANIFEST).is_file():
            raise DeepfakeError(
                f"No manifest at {self.root / MANIFEST}. Make one with "
                f"`python -m deepfake.preprocess VIDEOS --out {self.root}`, or name the folder "
                "that has one with `--data.root`."
            )
        manifest = _labelled(read_table(self.root), self.root)
        table = FaceTable.from_manifest(self.root, manifest).with_cues(self.cues)
        table = with_dense_landmarks(table)
        plan, leaks = split_folder(manifest, self.root, seed=self.seed)
        self.plan = plan
        for note in plan.notes:
            logger.warning("%s", note)
        self._check_leaks(leaks)
        keys = table.videos.to_pylist()
        for side in get_args(Split):
            inside = plan.videos(side)
            chosen = np.array([key in inside for key in keys], dtype=bool)
            self.sides[side] = table.take(chosen[table.video])
        self._check_labels()

    def train_dataloader(self) -> DataLoader[list[Sample]]:
        """Return batches of augmented faces in random order."""
        self.setup()
        table = self.sides["train"]
        reader = FaceReader(table, self.recipe, make_augmentation(self.augmentation), self.seed)
        items = self._items(table)
        dataset: FaceCrops | FacePairs
        if self.fakes == "videos" and self.sampling != "paired":
            dataset = FaceCrops(reader, items)
            rows = items[:, 0]
        else:
            shares = self.shares if self.fakes == "mixed" else {self.fakes: 1.0}
            dataset = self._pairs(reader, items, shares)
            rows = dataset.rows
        weights = None
        if self.sampling == "weighted":
            weights = balanced_weights(table.label[rows], table.dataset[rows])
        return self._loader(dataset, shuffle=True, weights=weights)

    def val_dataloader(self) -> DataLoader[list[Sample]]:
        """Return batches of the validation side, in order, without augmentation."""
        return self._evaluation("val")

    def test_dataloader(self) -> DataLoader[list[Sample]]:
        """Return batches of the test side, in order, without augmentation."""
        return self._evaluation("test")

    def _evaluation(self, side: Split) -> DataLoader[list[Sample]]:
        """With made fakes: real faces, each with a self-blended twin; "mixed" adds the fakes."""
        self.setup()
        table = self.sides[side]
        reader = FaceReader(table, self.recipe, NoAugmentation(), self.seed)
        items = self._items(table)
        parts: list[FaceCrops | FacePairs] = []
        fake = bool((table.label == 1).any())
        if self.fakes == "videos" or (self.fakes == "mixed" and fake):
            parts.append(FaceCrops(reader, items))
        if self.fakes != "videos" and (table.label == 0).any():
            parts.append(self._pairs(reader, items, {"self_blended": 1.0}))
        return self._loader(ChainedFaces(parts), shuffle=False)

    def _items(self, table: FaceTable) -> Rows:
        return clips(table, spread_over_videos(table, self.frames_per_video), self.frames)

    def _pairs(self, reader: FaceReader, items: Rows, shares: Mapping[str, float]) -> FacePairs:
        table = reader.table
        label = table.label[items[:, 0]]
        reals, fakes = items[label == 0], items[label == 1]
        found = np.stack([partners(table, column) for column in fakes.T], axis=1)
        paired = (found >= 0).all(axis=1)
        pairs = np.stack([found[paired], fakes[paired]], axis=1)  # (P, 2, T)
        single = fakes[~paired]
        there = {"videos": len(pairs) > 0, "unpaired": len(single) > 0}
        kinds: tuple[Kind, ...] = get_args(Kind)
        available = {
            kind: shares[kind]
            for kind in kinds
            if shares.get(kind, 0) > 0 and there.get(kind, True)
        }
        if not available:
            raise DeepfakeError(
                f"No fake video in {self.root} names the real video it was made from, so there "
                "are no pairs. Take `--data.sampling weighted`, or `--data.fakes self_blended`."
            )
        if set(available) == {"videos"}:
            reals = reals[:0]
        return FacePairs(reader, reals, shares=available, pairs=pairs, unpaired=single)

    def _loader(
        self,
        dataset: Dataset[list[Sample]],
        *,
        shuffle: bool,
        weights: np.ndarray | None = None,
    ) -> DataLoader[list[Sample]]:
        size = len(dataset)  # type: ignore[arg-type]
        pairs = isinstance(dataset, FacePairs) or self.fakes != "videos"
        draws = self.batch_size // 2 if pairs else self.batch_size
        sampler = EpochSampler(
            size,
            seed=self.seed,
            shuffle=shuffle,
            weights=weights,
            num_replicas=self.trainer.world_size if self.trainer else 1,
            rank=self.trainer.global_rank if self.trainer else 0,
        )
        workers = self.num_workers
        if workers is None:
            workers = 0 if size < SMALL else min(8, len(os.sched_getaffinity(0)))
        return DataLoader(
            dataset,
            batch_size=draws,
            sampler=sampler,
            collate_fn=collate,
            num_workers=workers,
            persistent_workers=workers > 0,
            worker_init_fn=_one_thread,
            drop_last=shuffle and len(sampler) >= draws,
        )

    def _check_leaks(self, leaks: Sequence[Leak]) -> None:
        """Stop where people or videos are on two sides, unless that is allowed."""
        lines = describe(leaks)
        if not self.allow_leaks and leaks:
            raise LeakError(
                f"The split of {self.root} has {len(leaks)} leaks: {'; '.join(lines)}. See more "
                f"with `python -m deepfake.data check {self.root}`; to train nevertheless, "
                "`--data.allow_leaks true`."
            )
        for line in lines:
            logger.warning("leak: %s", line)

    def check_validation(self) -> None:
        """Stop where nothing could tell the best epoch.

        Raises:
            DeepfakeError: Validation has no real videos, or no fake ones and none are made.
        """
        self.setup()
        side = self.sides["val"]
        reals, fakes = (len(np.unique(side.video[side.label == k])) for k in (0, 1))
        if not reals or not (fakes or self.fakes != "videos"):
            raise DeepfakeError(
                f"The validation side of {self.root} has {reals} real and {fakes} fake videos; "
                "both are needed to tell the best epoch. Preprocess more of the missing kind, or "
                "name the side of each video in the column split of labels.csv."
            )

    def _check_labels(self) -> None:
        label = self.sides["train"].label
        if not (label == 0).any() and self.fakes != "videos":
            raise DeepfakeError(
                f"{self.root} has no real face to train on, and fakes are made from real faces. "
                "Preprocess real videos, or take `--data.fakes videos`."
            )
        if not (label == 1).any() and self.fakes == "videos":
            raise DeepfakeError(
                f"{self.root} has no fake face to train on, only {len(label)} real ones. "
                "Preprocess fakes too, or make them with `--data.fakes self_blended`."
            )


def _labelled(manifest: pa.Table, root: Path) -> pa.Table:
    label = manifest["label"].fill_null(UNLABELLED).to_numpy()
    known = label != UNLABELLED
    if not known.any():
        raise DeepfakeError(
            f"None of the {len(label)} faces in {root} has a label. Put the videos into folders "
            "named real/ and fake/ and run `python -m deepfake.preprocess` on the folder above."
        )
    if not known.all():
        logger.warning("%d of %d faces have no label and are left out", (~known).sum(), len(label))
    return manifest.filter(pa.array(known))


def _one_thread(worker: int) -> None:  # noqa: ARG001
    cv2.setNumThreads(0)
