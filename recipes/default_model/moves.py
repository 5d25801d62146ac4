"""How far clips' scores move under harmless damage: `python -m recipes.default_model.moves CKPT`.

Whole frames are damaged; the faces are cut where they were found in the clip as it is, so only the
network's part of a change is seen.
"""

import argparse
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from deepfake.cli.console import DONE, run
from preprocessing.types import Image

if TYPE_CHECKING:
    from preprocessing.crops.manifest import VideoRecord
    from preprocessing.types import FaceCrop

logger = logging.getLogger(__name__)

FRAMES, STRETCH, MOST_PEOPLE = 4, 8, 2
CRFS = (23, 28, 34, 40)
AS_IT_IS, HALF, TIGHTER = "as it is", "half size", "cropped 10 % tighter"


def conditions() -> Mapping[str, Callable[[Sequence[Image]], Image]]:
    """Return each damage: from frames (H, W, 3) that lead up to one to that one, damaged."""
    from deepfake.evaluation.damage import h264

    def bright(frames: Sequence[Image], factor: float) -> Image:
        return np.asarray(cv2.convertScaleAbs(frames[-1], alpha=factor), dtype=np.uint8)

    def half(frames: Sequence[Image]) -> Image:
        small = cv2.resize(frames[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        return np.asarray(small, dtype=np.uint8)

    return {
        AS_IT_IS: lambda frames: frames[-1],
        **{f"CRF {crf}": lambda frames, crf=crf: h264(frames, crf=crf)[-1] for crf in CRFS},  # type: ignore[misc]
        HALF: half,
        TIGHTER: lambda frames: frames[-1],
        "brighter 1.3": lambda frames: bright(frames, 1.3),
        "darker 0.7": lambda frames: bright(frames, 0.7),
        "mirrored": lambda frames: np.ascontiguousarray(frames[-1][:, ::-1]),
    }


def faces(folder: Path, size: int, number: int) -> dict[str, NDArray[np.generic]]:
    """Return faces (N, S, S, 3), with clip, label and condition of each (N,).

    Args:
        folder: Preprocessed clips, which still lie where they were.
        size: Of the network's input.
        number: Clips at most; those of more than two people are left out.
    """
    from preprocessing.crops.manifest import read_manifest, read_video_records
    from preprocessing.video.read import is_image

    crops: dict[str, list[FaceCrop]] = {}
    for crop in read_manifest(folder):
        crops.setdefault(crop.video, []).append(crop)
    rows: list[tuple[Image, str, int, str]] = []
    clips = 0
    for record in read_video_records(folder):
        mine = crops.get(record.key, [])
        few = 0 < len({crop.track for crop in mine}) <= MOST_PEOPLE
        if not few or is_image(record.video.path) or clips >= number:
            continue
        clips += 1
        label = int(record.video.label or 0)
        for name, crop, image in _damaged(record, mine):
            face = cv2.resize(_cut(image, crop, name), (size, size), interpolation=cv2.INTER_AREA)
            rows.append((np.asarray(face, dtype=np.uint8), record.key, label, name))
    columns = list(zip(*rows, strict=True))
    return dict(
        zip(("face", "clip", "label", "condition"), (np.array(c) for c in columns), strict=True)
    )


def _damaged(
    record: "VideoRecord", crops: "Sequence[FaceCrop]"
) -> "Iterator[tuple[str, FaceCrop, Image]]":
    from preprocessing.video.read import index_frames, read_frames

    numbers = sorted({crop.frame for crop in crops})
    chosen = {numbers[int((k + 0.5) * len(numbers) / FRAMES)] for k in range(FRAMES)}
    index = index_frames(record.video.path)
    for wanted in sorted(chosen):
        span = range(max(0, wanted - STRETCH + 1), wanted + 1)
        frames = [frame.image for frame in read_frames(record.video.path, index, list(span))]
        for name, change in conditions().items():
            image = change(frames)
            yield from ((name, crop, image) for crop in crops if crop.frame == wanted)


def _cut(image: Image, crop: "FaceCrop", condition: str) -> Image:
    from preprocessing.crops.cropping import cut

    x0, y0, x1, y1 = crop.crop_box
    if condition == HALF:
        x0, y0, x1, y1 = (round(edge / 2) for edge in (x0, y0, x1, y1))
    elif condition == "mirrored":
        x0, x1 = image.shape[1] - x1, image.shape[1] - x0
    elif condition == TIGHTER:
        off = round(0.05 * (x1 - x0))
        x0, y0, x1, y1 = x0 + off, y0 + off, x1 - off, y1 - off
    return cut(image, (x0, y0, x1, y1))


def clip_scores(
    found: Mapping[str, NDArray[np.generic]], scores: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Return for each condition the score of every clip, in one order: the mean logit's."""
    from deepfake.aggregation import mean_logit

    clips = np.unique(found["clip"])
    return {
        name: np.array(
            [
                mean_logit(scores[(found["clip"] == clip) & (found["condition"] == name)])
                for clip in clips
            ]
        )
        for name in dict.fromkeys(found["condition"].tolist())
    }


def main() -> int:
    """Print how far scores move, and draw it; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.default_model.moves", description=__doc__
    )
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--clips", type=Path, default=Path("data/clips"), help="preprocessed clips")
    parser.add_argument("--cache", type=Path, default=Path("data/default_model/damaged.npz"))
    parser.add_argument("--number", type=int, default=12, help="clips at most")
    parser.add_argument("--figure", type=Path, help="PNG to draw")
    given = parser.parse_args()
    from deepfake.checkpoints.loading import load

    checkpoint = load(given.checkpoint)
    if not given.cache.is_file():
        given.cache.parent.mkdir(parents=True, exist_ok=True)
        np.savez(given.cache, **faces(given.clips, checkpoint.recipe.image_size, given.number))  # type: ignore[arg-type]
    with np.load(given.cache) as stored:
        found = {name: stored[name] for name in stored.files}
    inputs = np.stack([checkpoint.recipe.normalised(face) for face in found["face"]])
    parts = [inputs[k : k + 64] for k in range(0, len(inputs), 64)]
    scores = np.concatenate([checkpoint.scorer.score(part) for part in parts])
    by_condition = clip_scores(found, scores)
    as_it_is = checkpoint.calibration.apply_all(by_condition[AS_IT_IS])
    write = sys.stdout.write
    write("| damage | median move | largest move | crossed the threshold |\n|---|---|---|---|\n")
    moves = {}
    for name, raw in by_condition.items():
        if name == AS_IT_IS:
            continue
        score = checkpoint.calibration.apply_all(raw)
        threshold = checkpoint.calibration.threshold
        crossed = int(((score >= threshold) != (as_it_is >= threshold)).sum())
        moves[name] = score - as_it_is
        size = np.abs(moves[name])
        cells = f"{np.median(size):.3f} | {size.max():.3f} | {crossed} of {len(score)}"
        write(f"| {name} | {cells} |\n")
    if given.figure is not None:
        _draw(moves, given.figure)
    return DONE


def _draw(moves: Mapping[str, NDArray[np.float64]], out: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.subplots()
    for place, values in enumerate(moves.values()):
        axes.plot([place] * len(values), values, "o", alpha=0.5, color="tab:blue")
    axes.axhline(0, color="0.6", linewidth=1)
    axes.set_xticks(range(len(moves)), list(moves), rotation=30, ha="right")
    axes.set_ylabel("change of P(fake)")
    axes.set_ylim(-1, 1)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=120, metadata={"Software": None})


if __name__ == "__main__":
    run(main)
