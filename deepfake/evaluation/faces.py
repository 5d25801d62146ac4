"""From a folder of crops and a checkpoint to rows of scores."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, cast

import cv2
import numpy as np
import pyarrow as pa

from deepfake.checkpoints.loading import Checkpoint
from deepfake.data.protocols import Protocol
from deepfake.data.shards.read import crop_reader, read_records
from deepfake.data.splits.groups import groups, one_per_video
from deepfake.errors import DeepfakeError
from deepfake.evaluation.scores import Looks
from deepfake.inference.faces import batches
from preprocessing.crops.manifest import read_options, read_table, rows_of, to_table
from preprocessing.errors import VideoError
from preprocessing.types import FaceCrop, Image, Label, PreprocessOptions, Split, Video
from preprocessing.video.images import decode_image

logger = logging.getLogger(__name__)

BATCH = 8  # faces scored at once: torch's calls cost more than with 4, memory is no concern here
LOOK_SIZE = 128  # pixels; sharpness is compared at one size, whatever the crop's


class Folder(NamedTuple):
    """Rows of a manifest, as columns, and a stand-in for each video in which no face was found."""

    path: Path
    crops: pa.Table
    empty: pa.Table

    def each(self, change: Callable[[FaceCrop], FaceCrop | None]) -> "Folder":
        """Return the folder with label, split and data set of every video as its first row's.

        Args:
            change: Takes a video's first row; without the videos of which it makes None.
        """
        return Folder(self.path, *(_each(rows, change) for rows in self[1:]))

    def firsts(self) -> Iterator[FaceCrop]:
        """Yield the first row of every video; stand-ins last."""
        for rows in self[1:]:
            yield from rows_of(rows.take(_videos(rows)[1]))


def _videos(rows: pa.Table) -> tuple[pa.Array, pa.Array]:
    """Return the number of each row's video (N,), and the first row of each video (V,)."""
    numbers = rows["video"].combine_chunks().dictionary_encode().indices
    return numbers, pa.array(np.unique(numbers, return_index=True)[1])


def _each(rows: pa.Table, change: Callable[[FaceCrop], FaceCrop | None]) -> pa.Table:
    numbers, firsts = _videos(rows)
    old = list(rows_of(rows.take(firsts)))
    new = [change(crop) for crop in old]
    for name in ("label", "split", "dataset"):
        place = rows.schema.get_field_index(name)
        known = [getattr(b or a, name) for a, b in zip(old, new, strict=True)]
        values = pa.array(known, rows.schema.field(name).type).take(numbers)
        rows = rows.set_column(place, rows.schema.field(name), values)
    return rows.filter(pa.array([crop is not None for crop in new], pa.bool_()).take(numbers))


def appearance(image: Image) -> tuple[float, float]:
    """Return the sharpness and the brightness of a crop (H, W, 3).

    Sharpness is the variance of the Laplacian of the grey crop at 128 x 128 pixels (Pech-Pacheco et
    al., ICPR 2000); brightness is its mean, in [0, 1].
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    grey = cv2.resize(grey, (LOOK_SIZE, LOOK_SIZE), interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(grey, cv2.CV_64F).var()), float(grey.mean()) / 255


def image_reader(folder: Path, paths: Sequence[str]) -> Callable[[FaceCrop], Image]:
    """Return what reads the crops of these paths from their folder, of files or of shards.

    It raises DeepfakeError where a crop is missing or no image.
    """
    file = crop_reader(folder, paths)

    def read(crop: FaceCrop) -> Image:
        try:
            return decode_image(file(crop.path))
        except (OSError, VideoError) as error:
            raise DeepfakeError(
                f"{folder / crop.path} cannot be read. Run preprocess again."
            ) from error

    return read


def read_folders(folders: Sequence[Path]) -> list[Folder]:
    """Read folders of crops; a data set without a name is called by its folder.

    Raises:
        ManifestError: A folder has no manifest, or a damaged one.
    """
    found = []
    for path in folders:
        crops, name = read_table(path), path.resolve().name
        seen = set(crops["video"].unique().to_pylist())
        empty = [_stand_in(r.key, r.video) for r in read_records(path) if r.key not in seen]
        found.append(Folder(path, crops, to_table(empty)).each(partial(_named, name)))
    return found


def _named(name: str, crop: FaceCrop) -> FaceCrop:
    return crop if crop.dataset else replace(crop, dataset=name)


def _stand_in(key: str, about: Video) -> FaceCrop:
    """Return a row for a video in which no face was found."""
    nowhere, points = (0.0, 0.0, 0.0, 0.0), np.zeros((5, 2), dtype=np.float32)
    known = (about.label, about.identities, about.source, about.method, about.compression)
    return FaceCrop(
        "", key, 0, 0, 0.0, nowhere, 0.0, points, nowhere, *known, about.dataset, about.split
    )


def of_protocol(folders: Sequence[Folder], protocol: Protocol, split: Split | None) -> list[Folder]:
    """Return what of the folders is on one side of a protocol, with its labels.

    A video of it that no folder has stands among those without a face. The data set's name is
    followed by the protocol's.

    Raises:
        DeepfakeError: No folder has any of its videos.
    """
    wanted = protocol.of(split)

    def listed(crop: FaceCrop) -> FaceCrop | None:
        if crop.video not in wanted:
            return None
        label, side = wanted[crop.video]
        name = f"{crop.dataset}, {protocol}"
        return replace(crop, label=cast(Label, label), split=cast(Split, side), dataset=name)

    found = [folder.each(listed) for folder in folders]
    seen = {crop.video: crop for folder in found for crop in folder.firsts()}
    if not seen:
        raise DeepfakeError(
            f"None of the {len(wanted)} videos of {protocol} is in the folders given. "
            "`python -m deepfake.data verify` says what they have."
        )
    usual = Counter(crop.dataset for crop in seen.values()).most_common(1)[0][0]
    absent = []
    for key in (key for key in wanted if key not in seen):
        label, side = cast(tuple[Label, Split], wanted[key])
        video = Video(Path(key), key, dataset=usual, label=label, split=side)
        absent.append(_stand_in(key, video))
    if absent:
        logger.warning("%d of the %d videos of %s are missing.", len(absent), len(wanted), protocol)
    first = found[0]._replace(empty=pa.concat_tables([found[0].empty, to_table(absent)]))
    return [first, *found[1:]]


def group_names(crops: Iterable[FaceCrop]) -> dict[str, str]:
    """Return for each video's key the name of its group of linked people and sources."""
    return {key: members[0] for members in groups(one_per_video(crops)) for key in members}


def check_options(folder: Path, wanted: PreprocessOptions, checkpoint: str) -> None:
    """Warn where a folder's crops were not cut as the checkpoint expects."""
    found = read_options(folder)
    differ = [
        f"{name} {getattr(found, name)} instead of {getattr(wanted, name)}"
        for name in ("crop", "margin")
        if getattr(found, name) != getattr(wanted, name)
    ]
    if differ:
        logger.warning(
            "%s has crops with %s, which %s was made for; its scores will suffer. Run preprocess "
            "with that setting into another folder.",
            folder,
            " and ".join(differ),
            checkpoint,
        )


def score_crops(
    checkpoint: Checkpoint, crops: Iterable[FaceCrop], read: Callable[[FaceCrop], Image]
) -> Iterator[tuple[FaceCrop, Looks]]:
    """Yield each crop with its score, sharpness and brightness.

    Args:
        checkpoint: What judges. Of one that takes several crops at once, each crop of a clip has
            the clip's score.
        crops: Sorted by video, track and frame.
        read: Returns a crop's pixels.
    """
    for batch in batches(tracks_of(crops), read, checkpoint.recipe, checkpoint.frames, BATCH):
        scores = checkpoint.scorer.score(batch.inputs)
        for clip, row, score in zip(batch.clips, batch.images, scores, strict=True):
            for crop, image in zip(clip, row, strict=True):
                yield crop, (float(score), *appearance(image))


def tracks_of(crops: Iterable[FaceCrop]) -> Iterator[list[FaceCrop]]:
    """Yield the crops of each track; they are sorted by video, track and frame."""
    return (list(track) for _, track in groupby(crops, lambda c: (c.video, c.track)))
