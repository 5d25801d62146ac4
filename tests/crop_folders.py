"""The one builder of small crop folders: drawn faces, their manifest and options."""

import json
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np

from preprocessing.crops.manifest import write_manifest
from preprocessing.types import FaceCrop, Image, Label, PreprocessOptions, Split

POINTS = np.array([[36, 45], [64, 45], [50, 60], [40, 75], [60, 75]], dtype=np.float32)


def draw_face(seed: int, size: int = 100) -> Image:
    """Return a face of sorts, (size, size, 3), with `POINTS` as its landmarks at 100 pixels."""
    rng = np.random.default_rng(seed)
    wall = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)  # a plain one would make videos alike
    image = cv2.resize(wall, (100, 100), interpolation=cv2.INTER_CUBIC)
    skin = tuple(int(v) for v in rng.integers(90, 220, 3))
    cv2.ellipse(image, (50, 56), (30, 40), 0, 0, 360, skin, -1)
    for x, y in POINTS[:2]:
        cv2.circle(image, (int(x), int(y)), 5, (20, 20, 20), -1)
    cv2.line(image, (50, 46), (50, 62), (120, 80, 70), 2)
    cv2.line(image, (40, 75), (60, 75), (160, 40, 40), 3)
    noisy = image + rng.normal(0, 12, image.shape)
    image = np.clip(noisy, 0, 255).astype(np.uint8)
    return np.asarray(cv2.resize(image, (size, size)), dtype=np.uint8)


def make_row(
    video: str,
    number: int,
    *,
    label: Label | None,
    time_s: float = 0.0,
    track: int = 0,
    source: str | None = None,
    split: Split | None = None,
    dataset: str = "drawn",
    size: int = 100,
) -> FaceCrop:
    """Return the manifest's row of a drawn face that fills a frame."""
    return FaceCrop(
        path=f"crops/{video}/{track}_{number}.png",
        video=video,
        track=track,
        frame=number,
        time_s=time_s,
        box=(0.2 * size, 0.1 * size, 0.8 * size, 0.9 * size),
        score=0.99,
        landmarks=POINTS * np.float32(size / 100),
        crop_box=(0.0, 0.0, float(size), float(size)),
        label=label,
        identities=(video.split("/")[-1],),
        source=source,
        method="swap" if label == 1 else "real",
        dataset=dataset,
        split=split,
    )


def write_folder(folder: Path, rows: list[FaceCrop]) -> Path:
    """Draw a face for each row; write the manifest and the options."""
    for seed, row in enumerate(rows):
        file = folder / row.path
        file.parent.mkdir(parents=True, exist_ok=True)
        size = int(row.crop_box[2] - row.crop_box[0])
        assert cv2.imwrite(str(file), draw_face(seed, size))
    write_manifest(folder, rows)
    (folder / "options.json").write_text(json.dumps(asdict(PreprocessOptions())))
    return folder
