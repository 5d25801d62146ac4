"""CPU time to load an image, by augmentation and kind of fakes, beside that of training on it.

The loader keeps up where the ratio is above 1: with as many cores for both, training waits less
than it computes.
"""

import json
import logging
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import torch

from benchmarks.measure import Row, compare, cpu_s, row
from deepfake.data.datamodule import FaceDataModule
from deepfake.models.efficient_vit import EfficientViT
from deepfake.recipe import InputRecipe
from preprocessing.images import encode_image
from preprocessing.manifest import OPTIONS, write_manifest
from preprocessing.pipeline import extract_faces, make_detector
from preprocessing.types import Face, FaceCrop, PreprocessOptions

CLIPS = 4
FRAMES = 8
BATCH = 8
SIDE = 224  # pixels, as in configs/default.yaml
CASES: dict[str, dict[str, Any]] = {
    "none": {"augmentation": "none"},
    "paper": {"augmentation": "paper"},
    "strong": {"augmentation": "strong"},
    "strong, self-blended": {"augmentation": "strong", "fakes": "self_blended"},
}


def run(clips: Sequence[Path]) -> list[Row]:
    """Return a row for each way to load."""
    threads, cv_threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    logging.getLogger("deepfake.data.datamodule").setLevel(logging.ERROR)
    try:
        with tempfile.TemporaryDirectory() as folder:
            _write_crops(Path(folder), clips[:CLIPS])
            training = _training()
            return [
                row(
                    "load",
                    f"{name}, {SIDE} px",
                    compare(_loading(Path(folder), settings), training),
                    "CPU ms per image",
                    1000,
                )
                for name, settings in CASES.items()
            ]
    finally:
        torch.set_num_threads(threads)
        cv2.setNumThreads(cv_threads)


def _write_crops(folder: Path, clips: Sequence[Path]) -> None:
    """Write a folder of crops with every second video labelled fake."""
    options = PreprocessOptions(frames=FRAMES)
    detector = make_detector(options)
    rows: list[FaceCrop] = []
    for number, clip in enumerate(clips):
        for face in extract_faces(clip, options, detector).faces:
            name = f"crops/{number}/{len(rows)}.png"
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(encode_image(face.image, "png"))
            rows.append(_crop(face, name, number))
    write_manifest(folder, rows)
    (folder / OPTIONS).write_text(json.dumps(asdict(options)), encoding="utf-8")


def _crop(face: Face, path: str, number: int) -> FaceCrop:
    found = face.detection
    return FaceCrop(
        path=path,
        video=f"clip{number}",
        track=face.track,
        frame=found.frame,
        time_s=found.time_s,
        box=found.box,
        score=found.score,
        landmarks=found.landmarks,
        crop_box=face.crop_box,
        label=1 if number % 2 else 0,
        split="train",
    )


def _loading(folder: Path, settings: dict[str, Any]) -> Callable[[], float]:
    data = FaceDataModule(
        folder,
        batch_size=BATCH,
        recipe=InputRecipe(image_size=SIDE),
        num_workers=0,
        allow_leaks=True,
        **settings,
    )
    loader = data.train_dataloader()

    def once() -> float:
        images = 0

        def read() -> None:
            nonlocal images
            for batch in loader:
                images += len(batch["label"])

        return cpu_s(read) / images

    return once


def _training() -> Callable[[], float]:
    network = EfficientViT(
        "tf_efficientnet_lite0", stage=-1, image_size=SIDE, dim=192, depth=2, heads=3, mlp_dim=384
    ).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters())
    faces = torch.randn(BATCH, 3, SIDE, SIDE).contiguous(memory_format=torch.channels_last)

    def step() -> None:
        optimizer.zero_grad()
        loss: torch.Tensor = network(faces).square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return lambda: cpu_s(step) / BATCH
