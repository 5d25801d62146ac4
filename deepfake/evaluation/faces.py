"""From a folder of crops and a checkpoint to rows of scores."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Protocol as Interface
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from deepfake.data.protocols import Protocol
from deepfake.data.shards.read import crop_reader, read_records
from deepfake.data.splits.groups import groups
from deepfake.errors import DeepfakeError
from deepfake.evaluation.scores import ScoreRow
from deepfake.inference.faces import batches
from deepfake.recipe import InputRecipe
from preprocessing.crops.manifest import read_manifest, read_options
from preprocessing.errors import VideoError
from preprocessing.types import FaceCrop, Image, Label, PreprocessOptions, Split, Video
from preprocessing.video.images import decode_image

logger = logging.getLogger(__name__)

LOOK_SIZE = 128  # pixels; sharpness is compared at one size, whatever the crop's

Scores = NDArray[np.float64]


class FaceScorer(Interface):
    """What scores prepared faces, as `deepfake.checkpoints.scorers.Scorer`."""

    def score(self, faces: NDArray[np.float32]) -> Scores:
        """Return P(fake) of faces (B, 3, S, S), or of clips of T faces (B, T, 3, S, S)."""
        ...


def appearance(image: Image) -> tuple[float, float]:
    """Return the sharpness and the brightness of a crop (H, W, 3).

    Sharpness is the variance of the Laplacian of the grey crop at 128 x 128 pixels (Pech-Pacheco et
    al., ICPR 2000); brightness is its mean, in [0, 1].
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    grey = cv2.resize(grey, (LOOK_SIZE, LOOK_SIZE), interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(grey, cv2.CV_64F).var()), float(grey.mean()) / 255


def read_crop(folder: Path, crop: FaceCrop) -> Image:
    """Read a crop from its folder.

    Raises:
        DeepfakeError: The file is missing or no image.
    """
    return image_reader(folder, [crop])(crop)


def image_reader(folder: Path, crops: Sequence[FaceCrop]) -> Callable[[FaceCrop], Image]:
    """Return what reads these crops from their folder, of files or of shards.

    It raises DeepfakeError where a crop is missing or no image.
    """
    file = crop_reader(folder, [crop.path for crop in crops])

    def read(crop: FaceCrop) -> Image:
        try:
            return decode_image(file(crop.path))
        except (OSError, VideoError) as error:
            raise DeepfakeError(
                f"{folder / crop.path} cannot be read. Run preprocess again."
            ) from error

    return read


def read_folders(folders: Sequence[Path]) -> list[tuple[Path, list[FaceCrop], list[FaceCrop]]]:
    """Return of each folder its crops, and a stand-in of each video in which no face was found.

    A data set without a name is called by its folder.

    Raises:
        ManifestError: A folder has no manifest, or a damaged one.
    """
    found = []
    for folder in folders:
        crops = read_manifest(folder)
        seen = {crop.video for crop in crops}
        empty = [
            _stand_in(record.key, record.video)
            for record in read_records(folder)
            if record.key not in seen
        ]
        name = folder.resolve().name
        found.append((folder, _named(crops, name), _named(empty, name)))
    return found


def _stand_in(key: str, video: Video) -> FaceCrop:
    """Return a row for a video in which no face was found."""
    nowhere = (0.0, 0.0, 0.0, 0.0)
    return FaceCrop(
        path="",
        video=key,
        track=0,
        frame=0,
        time_s=0.0,
        box=nowhere,
        score=0.0,
        landmarks=np.zeros((5, 2), dtype=np.float32),
        crop_box=nowhere,
        label=video.label,
        identities=video.identities,
        source=video.source,
        method=video.method,
        compression=video.compression,
        dataset=video.dataset,
        split=video.split,
    )


def of_protocol(
    folders: Sequence[tuple[Path, list[FaceCrop], list[FaceCrop]]],
    protocol: Protocol,
    split: Split | None,
) -> list[tuple[Path, list[FaceCrop], list[FaceCrop]]]:
    """Return what of the folders is on one side of a protocol, with its labels.

    A video of it that no folder has stands among those without a face. The data set's name is
    followed by the protocol's.

    Raises:
        DeepfakeError: No folder has any of its videos.
    """
    wanted = protocol.of(split)

    def listed(crops: Sequence[FaceCrop]) -> list[FaceCrop]:
        return [
            replace(
                crop,
                label=cast(Label, wanted[crop.video][0]),
                split=cast(Split, wanted[crop.video][1]),
                dataset=f"{crop.dataset}, {protocol}",
            )
            for crop in crops
            if crop.video in wanted
        ]

    found = [(folder, listed(crops), listed(empty)) for folder, crops, empty in folders]
    seen = {crop.video: crop for _, crops, empty in found for crop in [*crops, *empty]}
    if not seen:
        raise DeepfakeError(
            f"None of the {len(wanted)} videos of {protocol} is in the folders given. "
            "`python -m deepfake.data verify` says what they have."
        )
    usual = Counter(crop.dataset for crop in seen.values()).most_common(1)[0][0]
    absent = [
        replace(
            _stand_in(key, Video(Path(key), key, label=cast(Label, label))),
            dataset=usual,
            split=cast(Split, side),
        )
        for key, (label, side) in wanted.items()
        if key not in seen
    ]
    if absent:
        logger.warning("%d of the %d videos of %s are missing.", len(absent), len(wanted), protocol)
    folder, crops, empty = found[0]
    return [(folder, crops, [*empty, *absent]), *found[1:]]


def _named(crops: Sequence[FaceCrop], name: str) -> list[FaceCrop]:
    return [crop if crop.dataset else replace(crop, dataset=name) for crop in crops]


def group_names(crops: Iterable[FaceCrop]) -> dict[str, str]:
    """Return for each video's key the name of its group of linked people and sources."""
    videos: dict[str, FaceCrop] = {}
    for crop in crops:
        videos.setdefault(crop.video, crop)
    return {key: members[0] for members in groups(videos) for key in members}


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
    scorer: FaceScorer,
    recipe: InputRecipe,
    crops: Sequence[FaceCrop],
    read: Callable[[FaceCrop], Image],
    *,
    frames: int = 1,
) -> Iterator[tuple[FaceCrop, float, float, float]]:
    """Yield each crop with its score, sharpness and brightness.

    Args:
        scorer: Gives P(fake) of prepared faces.
        recipe: Prepares them.
        crops: Sorted by video, track and frame.
        read: Returns a crop's pixels.
        frames: Crops that the network takes at once, T. With more than one, each crop of a clip
            has the clip's score.
    """
    for batch in batches(tracks_of(crops), read, recipe, frames):
        scores = scorer.score(batch.inputs)
        for clip, row, score in zip(batch.clips, batch.images, scores, strict=True):
            for crop, image in zip(clip, row, strict=True):
                yield crop, float(score), *appearance(image)


def tracks_of(crops: Iterable[FaceCrop]) -> Iterator[list[FaceCrop]]:
    """Yield the crops of each track; they are sorted by video, track and frame."""
    return (list(track) for _, track in groupby(crops, lambda c: (c.video, c.track)))


def to_row(
    crop: FaceCrop,
    checkpoint: str,
    group: str,
    looks: tuple[float, float, float] | None = None,
    *,
    damage: str = "",
    level: int = 0,
) -> ScoreRow:
    """Return a row of `scores.parquet`.

    Args:
        crop: Which face, or a stand-in for a video without one.
        checkpoint: What judged.
        group: See `ScoreRow`.
        looks: Score, sharpness and brightness; None for a video without a face.
        damage: See `ScoreRow`.
        level: See `ScoreRow`.
    """
    row = ScoreRow(
        checkpoint=checkpoint,
        damage=damage,
        level=level,
        dataset=crop.dataset,
        method=crop.method,
        compression=crop.compression,
        video=crop.video,
        identities=crop.identities,
        group=group,
        label=crop.label,
        split=crop.split,
    )
    if looks is None:
        return row
    x0, y0, x1, y1 = crop.box
    return replace(
        row,
        crop=crop.path,
        track=crop.track,
        frame=crop.frame,
        time_s=crop.time_s,
        face_size=max(x1 - x0, y1 - y0),
        score=looks[0],
        sharpness=looks[1],
        brightness=looks[2],
    )
