"""CPU time to load a face, by augmentation and kind of fakes, beside that of training on it.

Training is the step of configs/default.yaml as `python -m deepfake.train` takes it. The loader
keeps up where the ratio is above 1: with as many cores for both, training never waits.
"""

import json
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import torch

from benchmarks.measure import Row, cpu_s, row
from benchmarks.train import train
from benchmarks.turns import answer, in_turns
from deepfake.data.datamodule import FaceDataModule
from deepfake.recipe import InputRecipe
from preprocessing.crops.manifest import OPTIONS, write_manifest
from preprocessing.pipeline import extract_faces, make_detector
from preprocessing.types import Face, FaceCrop, PreprocessOptions
from preprocessing.video.images import encode_image

CLIPS = 4
FRAMES = 8
BATCH = 32  # as in configs/default.yaml
WANTED = 100.0  # pairs a CPU second, 10 ms each, so that a few cores feed a GPU
SIDE = 224  # pixels, as in configs/default.yaml
CASES: dict[str, dict[str, Any]] = {
    "none": {"augmentation": "none"},
    "paper": {"augmentation": "paper"},
    "strong": {"augmentation": "strong"},
    "strong, self-blended": {"augmentation": "strong", "fakes": "self_blended"},
}


def run(clips: Sequence[Path]) -> list[Row]:
    """Return a row for each way to load."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            write_crops(Path(folder), clips[:CLIPS])
            loading = [(load_faces, (folder, settings)) for settings in CASES.values()]
            *loaded, steps = in_turns([*loading, (train, ("default", BATCH))])
    finally:
        cv2.setNumThreads(threads)
    training = [step / BATCH for step in steps]
    rows = [
        row("load", f"{name}, {SIDE} px", (figures, training), "CPU ms per face", 1000)
        for name, figures in zip(CASES, loaded, strict=True)
    ]
    return [*rows, pairs(loaded[list(CASES).index("strong, self-blended")])]


def pairs(figures: Sequence[float]) -> Row:
    """Return the row of pairs a CPU second, a face and its twin, beside what a GPU asks for."""
    rates = [1 / (2 * figure) for figure in figures]
    ratios = [rate / WANTED for rate in rates]
    case, spread = f"self-blended pairs, {SIDE} px", max(ratios) - min(ratios)
    return Row("load", case, median(rates), WANTED, median(ratios), spread, "pairs a CPU second")


def write_crops(folder: Path, clips: Sequence[Path]) -> None:
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


def load_faces(end: Connection, folder: str, settings: dict[str, Any]) -> None:
    """Load all faces of a folder, again and again."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    logging.getLogger("deepfake.data.datamodule").setLevel(logging.ERROR)
    data = FaceDataModule(
        Path(folder),
        batch_size=BATCH,
        recipe=InputRecipe(image_size=SIDE),
        num_workers=0,
        allow_leaks=True,
        **settings,
    )
    loader = data.train_dataloader()

    def once() -> float:
        faces = 0

        def read() -> None:
            nonlocal faces
            for batch in loader:
                faces += len(batch["label"])

        return cpu_s(read) / faces

    answer(end, once)
