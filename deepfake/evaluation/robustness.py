"""Scores of damaged videos: the damage is done to whole frames, before faces are cut out.

Each video is damaged in at most eight of the frames that preprocess chose, and its faces are cut
where they were found in the undamaged video, so that what is measured is the classifier and not
the face detector. The undamaged scores that a drop is measured from are of the same frames.
"""

import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from deepfake.checkpoints.loading import Checkpoint
from deepfake.evaluation.damage import LEVELS, damage
from deepfake.evaluation.faces import score_crops
from deepfake.evaluation.scores import UNDAMAGED, score_table
from preprocessing.crops.cropping import crop_face
from preprocessing.crops.manifest import VideoRecord, read_options, to_table
from preprocessing.types import Detection, FaceCrop, Image, PreprocessOptions
from preprocessing.video import index_frames, read_frames

FRAMES = 8  # per video
STRETCH = 12  # frames that are encoded up to the one looked at, so that it has real references


def score_damaged(
    checkpoint: Checkpoint,
    name: str,
    record: VideoRecord,
    crops: Sequence[FaceCrop],
    group: str,
    folder: Path,
) -> pa.Table:
    """Return rows of a video's faces undamaged and under every damage and level.

    The video must still lie where preprocess found it; faces are cut by the options of the folder
    of its crops. `name` is the checkpoint's, `group` as in `deepfake.evaluation.scores.SCHEMA`.

    Raises:
        VideoError: The video is not there any more or cannot be read.
    """
    options = read_options(folder)
    chosen = _some(sorted({crop.frame for crop in crops}))
    some = sorted((c for c in crops if c.frame in chosen), key=lambda c: (c.track, c.frame))
    conditions = [(kind, k + 1) for kind in LEVELS for k in range(len(LEVELS[kind]))]
    images: dict[tuple[str, int], dict[FaceCrop, Image]]
    images = {condition: {} for condition in [(UNDAMAGED, 0), *conditions]}
    for frame, stretch in _stretches(record.video.path, chosen):
        for (kind, level), seen in images.items():
            seed = zlib.crc32(f"{record.key}/{kind}/{level}/{frame}".encode())
            generator = np.random.default_rng(seed)
            image = stretch[-1] if kind == UNDAMAGED else damage(stretch, kind, level, generator)
            for crop in (crop for crop in some if crop.frame == frame):
                seen[crop] = checkpoint.recipe.resized(_cut(image, crop, options))
    tables = []
    for (kind, level), seen in images.items():
        there = [crop for crop in some if crop in seen]
        scored = list(score_crops(checkpoint, there, seen.__getitem__))
        faces, looks = to_table(crop for crop, _ in scored), [found for _, found in scored]
        of = partial(score_table, checkpoint=name, groups={record.key: group})
        tables.append(of(faces, looks, damage=kind, level=level))
    return pa.concat_tables(tables)


def _some(frames: Sequence[int]) -> list[int]:
    """Return at most `FRAMES` of some frames, evenly spaced."""
    if len(frames) <= FRAMES:
        return list(frames)
    return [frames[int((k + 0.5) * len(frames) / FRAMES)] for k in range(FRAMES)]


def _stretches(path: Path, chosen: Sequence[int]) -> Iterator[tuple[int, list[Image]]]:
    """Yield each chosen frame's number with the frames up to it, itself last."""
    index = index_frames(path)
    needed = {p for frame in chosen for p in range(max(0, frame - STRETCH + 1), frame + 1)}
    wanted = set(chosen)
    held: deque[tuple[int, Image]] = deque(maxlen=STRETCH)
    for frame in read_frames(path, index, sorted(p for p in needed if p < len(index.times_s))):
        held.append((frame.index, frame.image))
        if frame.index in wanted:
            yield frame.index, [image for p, image in held if p > frame.index - STRETCH]


def _cut(image: Image, crop: FaceCrop, options: PreprocessOptions) -> Image:
    detection = Detection(crop.frame, crop.time_s, crop.box, crop.score, crop.landmarks)
    face, _ = crop_face(
        image, detection, margin=options.margin, shape=options.crop, max_size=options.crop_size
    )
    return face
