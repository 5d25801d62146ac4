"""The unlike sources that the default model is chosen on: faces, small, with what tells them apart.

Held-out people of the training material, whole and blended, and two folders of other people's
clips and crops, which no training sees.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from deepfake.aggregation import Aggregator
from deepfake.data.dataset import FacePairs, FaceReader, Kind
from deepfake.data.sampling import Rows, spread_over_videos
from deepfake.data.table import FaceTable
from deepfake.data.transforms import StrongAugmentation
from deepfake.evaluation.faces import appearance, read_crop
from deepfake.recipe import InputRecipe
from deepfake.types import FaceScore
from preprocessing.crops.cropping import alignment
from preprocessing.crops.manifest import read_manifest, read_table
from preprocessing.types import FaceCrop, Image, PreprocessOptions

STORED_MARGIN = 0.3  # of the crops that weights.material makes
FRAMES = 8  # faces of a person that are scored
BLENDED: tuple[Kind, ...] = ("self_blended", "swapped")
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Source:
    """Faces of labelled videos, of one kind and origin.

    Args:
        name: Its row in tables.
        faces: Crops as the network takes them, before normalisation (N, S, S, 3), RGB.
        label: 0 real, 1 fake (N,).
        video: Name of the video; a blended fake counts as another one (N,).
        track: Person in the video (N,).
        group: What an interval draws together, such as a real face and the fake made of it (N,).
        size: Longer side of the face's box, in pixels of the frame (N,).
        sharpness: See `deepfake.evaluation.faces.appearance` (N,).
    """

    name: str
    faces: NDArray[np.uint8]
    label: NDArray[np.int64]
    video: NDArray[np.str_]
    track: NDArray[np.int64]
    group: NDArray[np.str_]
    size: Floats
    sharpness: Floats


@dataclass(frozen=True, eq=False)
class Videos:
    """A source with one row a video: label, raw score, medians of size and sharpness, group."""

    label: NDArray[np.int64]
    score: Floats
    size: Floats
    sharpness: Floats
    group: NDArray[np.str_]
    name: NDArray[np.str_]


@dataclass(frozen=True)
class _Row:
    image: Image
    label: int
    video: str
    track: int
    group: str
    size: float


def per_video(source: Source, scores: Floats, rule: Aggregator) -> Videos:
    """Join the scores of faces (N,) by a checkpoint's rule."""
    names = np.unique(source.video)
    rows = []
    for name in names:
        mine = np.flatnonzero(source.video == name)
        faces = [FaceScore(float(scores[i]), int(source.track[i]), frame=int(i)) for i in mine]
        rows.append(
            (
                source.label[mine[0]],
                rule(faces),
                np.median(source.size[mine]),
                np.median(source.sharpness[mine]),
                source.group[mine[0]],
            )
        )
    label, score, size, sharpness, group = (np.array(column) for column in zip(*rows, strict=True))
    return Videos(label, score, size, sharpness, group, names)


def sources(
    train: Path,
    clips: Path,
    crops: Path,
    *,
    recipe: InputRecipe,
    options: PreprocessOptions,
    cache: Path,
) -> list[Source]:
    """Return the sources, from a file where they have been made before.

    Blends, whose landmarks move with the damage, are left out for networks that want aligned faces.

    Args:
        train: Crops of the training material; its validation side is taken.
        clips: Crops of labelled clips of unlike origin.
        crops: Crops of labelled stills of unlike origin.
        recipe: The network's input.
        options: How the network wants its crops.
        cache: Folder of the files that are kept, one a source and input.
    """
    cache.mkdir(parents=True, exist_ok=True)
    blended = () if options.crop == "aligned" else BLENDED
    kind = "aligned_" if options.crop == "aligned" else ""
    found = []
    for name in ("pairs", *blended, "generated", "real videos", "clips", "DFDC crops", "Celeb-DF"):
        file = cache / f"{name.replace(' ', '_')}_{kind}{recipe.image_size}.npz"
        if not file.is_file():
            rows = list(_rows(name, train, clips, crops, recipe, options))
            np.savez(file, **_columns(rows, recipe))  # type: ignore[arg-type]
        with np.load(file) as stored:
            found.append(Source(name, **{key: stored[key] for key in stored.files}))
    return found


def _rows(
    name: str,
    train: Path,
    clips: Path,
    crops: Path,
    recipe: InputRecipe,
    options: PreprocessOptions,
) -> Iterator[_Row]:
    if name == "self_blended":
        yield from _blended(train, "self_blended", recipe)
    elif name == "swapped":
        yield from _blended(train, "swapped", recipe)
    elif name == "pairs":
        pairs = ("deepfacelive_pairs",)
        yield from _videos(train, {"split": ("val",), "dataset": pairs}, options)
    elif name == "real videos":
        yield from _videos(train, {"split": ("val",), "dataset": ("real_videos",)}, options)
    elif name == "generated":
        kept = ("generated", "deepfacelive_photos", "london_faces", "3dsk_faces")
        yield from _videos(train, {"split": ("val",), "dataset": kept}, options)
    elif name == "clips":
        yield from _videos(clips, {}, options)
    elif name == "DFDC crops":
        yield from _videos(crops, {"dataset": ("DFDC",)}, options)
    else:
        parts = ("Celeb-real", "YouTube-real", "Celeb-synthesis")
        celeb = tuple(f"Celeb-DF v2 {part}" for part in parts)
        yield from _videos(crops, {"dataset": celeb}, options)


def _videos(
    folder: Path, only: Mapping[str, Sequence[str]], options: PreprocessOptions
) -> Iterator[_Row]:
    """Yield up to FRAMES faces of each person of the labelled videos chosen."""
    people: dict[tuple[str, int], list[FaceCrop]] = {}
    for crop in read_manifest(folder):
        chosen = all(getattr(crop, key) in values for key, values in only.items())
        if chosen and crop.label is not None:
            people.setdefault((crop.video, crop.track), []).append(crop)
    for (video, track), faces in people.items():
        spread = np.linspace(0, len(faces) - 1, min(FRAMES, len(faces))).round().astype(int)
        for crop in (faces[i] for i in spread):
            assert crop.label is not None
            x0, y0, x1, y1 = crop.box
            group = crop.source or video
            image = _recut(read_crop(folder, crop), crop, options)
            yield _Row(image, crop.label, video, track, group, float(max(x1 - x0, y1 - y0)))


def _recut(image: Image, crop: FaceCrop, options: PreprocessOptions) -> Image:
    """Return the face as `options` cut it, out of the wider square that is stored."""
    if options.crop != "aligned":
        return image
    x0, y0, x1, y1 = crop.crop_box
    size = round(image.shape[1] * (1 + 2 * options.margin) / (1 + 2 * STORED_MARGIN))
    scale = np.array([image.shape[1] / (x1 - x0), image.shape[0] / (y1 - y0)])
    points = ((crop.landmarks - np.array([x0, y0])) * scale).astype(np.float32)
    matrix = alignment(points, size, options.margin)
    return np.asarray(cv2.warpAffine(image, matrix, (size, size)), dtype=np.uint8)


def _blended(
    folder: Path, kind: Literal["self_blended", "swapped"], recipe: InputRecipe
) -> Iterator[_Row]:
    """Yield degraded real faces of unseen people, each with a fake made of it, degraded alike.

    The degradations of the two are drawn independently: worse quality on one side tells nothing.
    """
    manifest = read_table(folder)
    table = FaceTable.from_manifest(folder, manifest)
    table = table.take(np.array([s == "val" for s in manifest["split"].to_pylist()], dtype=bool))
    boxes = {crop.path: crop.box for crop in read_manifest(folder)}
    rows: Rows = spread_over_videos(table, 4)
    reals = rows[table.label[rows] == 0][:, None]
    pairs = FacePairs(FaceReader(table, recipe), reals, shares={kind: 1.0})
    damage = StrongAugmentation()
    for index, row in enumerate(reals[:, 0]):
        rng = np.random.default_rng([7, index])
        found = pairs.blends(kind, index, rng)
        if found is None:
            continue
        x0, y0, x1, y1 = boxes[table.path[row].as_py()]
        points = [table.points(int(row), found[0].real)]
        video = table.videos[int(table.video[row])].as_py()
        for label, image in enumerate((found[0].real, found[0].fake)):
            degraded = damage([image], points, np.random.default_rng(rng.integers(2**31)))[0]
            size = float(max(x1 - x0, y1 - y0))
            yield _Row(degraded, label, f"{video}#{label}", 0, video, size)


def _columns(rows: Sequence[_Row], recipe: InputRecipe) -> dict[str, NDArray[np.generic]]:
    return {
        "faces": np.stack([recipe.resized(row.image) for row in rows]),
        "label": np.array([row.label for row in rows], dtype=np.int64),
        "video": np.array([row.video for row in rows]),
        "track": np.array([row.track for row in rows], dtype=np.int64),
        "group": np.array([row.group for row in rows]),
        "size": np.array([row.size for row in rows], dtype=np.float64),
        "sharpness": np.array([appearance(row.image)[0] for row in rows], dtype=np.float64),
    }
