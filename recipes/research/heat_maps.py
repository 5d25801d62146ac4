"""What heat maps are worth: do they lie on the manipulated places, and is it those that count?

    python -m recipes.research.heat_maps --data data/faces --masks masks/ --checkpoint best.ckpt

Every fake crop whose video has a mask is explained as `predict` explains it, and the map is set
beside the mask cut at the crop's place. A mask is a video of the fake's name and size, white where
it was changed: those of FaceForensics++ (`manipulated_sequences/*/masks/videos`), or any other.
With `--originals`, videos of what the fakes were made from, masks are where both differ; the
original of `000_003` is called so too, or `000`. The last line is of a map without any knowledge.
"""

import argparse
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from deepfake.checkpoints.loading import Checkpoint, load
from deepfake.checkpoints.scorers import Faces, Scores
from deepfake.evaluation.faces import image_reader
from deepfake.evaluation.intervals import Interval, bootstrap
from deepfake.explain.maps import explain_crops
from deepfake.explain.occlusion import blurred
from preprocessing.crops.cropping import crop_face
from preprocessing.crops.manifest import read_manifest, read_options
from preprocessing.types import Detection, FaceCrop, Image, PreprocessOptions
from preprocessing.video import index_frames, read_frames

STEPS = 16  # of the curves
HOT = 0.5  # of a map's highest value: what is called manipulated
DIFFERENT = 16  # grey levels by which a place differs from its original
FACES = 4  # of a video that are explained, the first of them
VIDEOS = (".mp4", ".avi", ".mkv", ".mov", ".webm")

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Place:
    """How a heat map lies on a mask; each is in [0, 1], and NaN where the mask is empty.

    Args:
        iou: Hot and masked pixels over hot or masked ones.
        f1: Harmonic mean of the share of the hot pixels that are masked, and of the masked ones
            that are hot.
        pointing: Whether the hottest pixel is masked; of several equal ones, their share.
        area: Share of the pixels that are masked: what pointing anywhere would reach.
    """

    iou: float
    f1: float
    pointing: float
    area: float


def place(heat: NDArray[np.floating], mask: Mask, *, hot: float = HOT) -> Place:
    """Set a heat map (H, W) beside a mask (H, W).

    The pointing game is that of Zhang et al., IJCV 2018, without its margin of 15 pixels.

    Args:
        heat: Not negative, the more the hotter. A map of zeros points nowhere: all are 0.
        mask: What was manipulated.
        hot: Pixels from this share of the highest value up are called manipulated, in (0, 1].
    """
    if heat.shape != mask.shape:
        raise ValueError(f"map and mask must be of one size, got {heat.shape} and {mask.shape}")
    if not mask.any():
        return Place(math.nan, math.nan, math.nan, 0.0)
    highest = float(heat.max())
    called = heat >= hot * highest if highest > 0 else np.zeros_like(mask)
    both, either = int((called & mask).sum()), int((called | mask).sum())
    pointing = float(mask[heat == highest].mean()) if highest > 0 else 0.0
    f1 = 2 * both / int(called.sum() + mask.sum())
    return Place(both / either, f1, pointing, float(mask.mean()))


def difference(fake: Image, original: Image) -> Mask:
    """Return where a fake (H, W, 3) differs from its original, without specks of the encoder."""
    grey = np.abs(fake.astype(np.int16) - original.astype(np.int16)).max(axis=2)
    mask = (grey >= DIFFERENT).astype(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    opened = cv2.morphologyEx(mask, cv2.MORPH_OPEN, kernel)
    return np.asarray(cv2.morphologyEx(opened, cv2.MORPH_CLOSE, kernel), dtype=np.bool_)


@dataclass(frozen=True, eq=False)
class Curves:
    """Scores of a face while its hottest places go, or come (Petsiuk et al., BMVC 2018).

    Args:
        deletion: P(fake) (STEPS + 1,) with ever more of the hottest pixels blurred; a good map
            makes it fall early.
        insertion: The same with ever more of them shown in a blurred face; it should rise early.
    """

    deletion: Floats
    insertion: Floats

    @property
    def gain(self) -> float:
        """Area under insertion minus area under deletion, in [-1, 1]; 0 for a map of noise."""
        return float(_area(self.insertion) - _area(self.deletion))


def curves(score: Callable[[Faces], Scores], face: Faces, heat: NDArray[np.floating]) -> Curves:
    """Return the two curves of a face under a heat map.

    Args:
        score: Gives P(fake) (N,) of prepared faces (N, 3, S, S).
        face: A prepared face (3, S, S).
        heat: Its map (S, S).
    """
    soft = blurred(face)
    order = np.argsort(-heat, axis=None, kind="stable")
    ranks = np.empty(order.size, dtype=np.int64)
    ranks[order] = np.arange(order.size)
    rank = ranks.reshape(heat.shape)
    hot = [rank < round(k * order.size / STEPS) for k in range(STEPS + 1)]
    deleted = np.stack([np.where(place, soft, face) for place in hot])
    inserted = np.stack([np.where(place, face, soft) for place in hot])
    return Curves(score(deleted), score(inserted))


def _area(curve: Floats) -> float:
    return float((curve[1:] + curve[:-1]).mean() / 2)


def measure(
    checkpoint: Checkpoint, data: Path, masks: Path, *, originals: bool = False
) -> tuple[dict[str, list[Place]], dict[str, list[Place]]]:
    """Return the places of each video's maps, and of maps that are hot in the middle.

    Args:
        checkpoint: What is explained.
        data: Folder of crops.
        masks: Folder of videos by name.
        originals: They are not masks but what the fakes were made from.
    """
    options = read_options(data)
    size = checkpoint.recipe.image_size
    middle = _middle(size)
    found: defaultdict[str, list[Place]] = defaultdict(list)
    blind: defaultdict[str, list[Place]] = defaultdict(list)
    files = {path.stem: path for path in masks.rglob("*") if path.suffix.lower() in VIDEOS}
    for video, crops in _fakes(read_manifest(data)).items():
        stem = Path(video).name
        file = files.get(stem) or (files.get(stem.split("_")[0]) if originals else None)
        if file is None:
            continue
        read = image_reader(data, [crop.path for crop in crops])
        images = [read(crop) for crop in crops]
        heats = explain_crops(checkpoint, images)[0]
        frames = _frames(file, crops)
        for crop, image, heat in zip(crops, images, heats, strict=True):
            if crop.frame in frames:
                cut = _cut(frames[crop.frame], crop, options, image.shape)
                changed = difference(image, cut) if originals else cut.max(axis=2) > 127
                white = np.repeat(changed[..., None], 3, axis=2) * np.uint8(255)
                mask = checkpoint.recipe.resized(white)[..., 0] > 127
                found[video].append(place(heat, mask))
                blind[video].append(place(middle, mask))
    return dict(found), dict(blind)


def summary(found: Mapping[str, Sequence[Place]]) -> dict[str, tuple[float, Interval]]:
    """Return the mean of each measure over faces, with a 95 % interval by video."""
    rows = [(video, one) for video, some in found.items() for one in some if one.area > 0]
    videos = [video for video, _ in rows]
    figures: dict[str, tuple[float, Interval]] = {}
    for name in ("iou", "f1", "pointing", "area"):
        values = np.array([getattr(one, name) for _, one in rows])
        if values.size:
            labels = np.zeros(values.size, dtype=np.int64)
            (span,) = bootstrap(lambda _, x: [float(x.mean())], labels, values, groups=videos)
            figures[name] = float(values.mean()), span
    return figures


def _fakes(crops: Sequence[FaceCrop]) -> dict[str, list[FaceCrop]]:
    found: defaultdict[str, list[FaceCrop]] = defaultdict(list)
    for crop in crops:
        if crop.label == 1 and len(found[crop.video]) < FACES:
            found[crop.video].append(crop)
    return dict(found)


def _frames(file: Path, crops: Sequence[FaceCrop]) -> dict[int, Image]:
    index = index_frames(file)
    wanted = sorted({crop.frame for crop in crops if crop.frame < len(index.times_s)})
    return {frame.index: frame.image for frame in read_frames(file, index, wanted)}


def _cut(frame: Image, crop: FaceCrop, options: PreprocessOptions, shape: tuple[int, ...]) -> Image:
    """Return a frame where a crop was cut, of the crop's size."""
    seen = Detection(crop.frame, crop.time_s, crop.box, crop.score, crop.landmarks)
    cut, _ = crop_face(
        frame, seen, margin=options.margin, shape=options.crop, max_size=options.crop_size
    )
    height, width = shape[:2]
    return np.asarray(cv2.resize(cut, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _middle(size: int) -> Floats:
    """Return a map (S, S) that is hottest in the middle, where faces are."""
    y, x = np.mgrid[:size, :size] / size - 0.5
    return np.asarray(np.exp(-(x**2 + y**2) / (2 * 0.15**2)), dtype=np.float64)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m recipes.research.heat_maps")
    parser.add_argument("--data", type=Path, required=True, help="folder of crops")
    parser.add_argument("--masks", type=Path, required=True, help="folder of videos")
    parser.add_argument("--originals", action="store_true", help="they are originals, not masks")
    parser.add_argument("--checkpoint", type=Path)
    given = parser.parse_args(argv)
    both = measure(load(given.checkpoint), given.data, given.masks, originals=given.originals)
    for name, found in zip(("maps", "hot in the middle"), both, strict=True):
        print(f"{name}: {sum(map(len, found.values()))} faces of {len(found)} videos")
        for measured, (value, span) in summary(found).items():
            print(f"  {measured:9} {value:.3f} [{span.low:.3f}, {span.high:.3f}]")


if __name__ == "__main__":
    main()
