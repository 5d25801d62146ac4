"""Training on self-blended images: the default recipe, and a plain loop of the published procedure.

Shiohara and Yamasaki, CVPR 2022, https://arxiv.org/abs/2204.08376, written from the paper with
albumentations and OpenCV: of each real face, a twin changed in colour and frequency is scaled and
shifted a little, its landmarks' hull is bent and blurred twice, and both are blended; face and
fake are then changed alike, compressed, mirrored and resized; a step of SAM takes two passes. The
network is that of configs/default.yaml at the same size, in float32, NCHW, as Python starts it.
A second row leaves SAM's second pass out, which the default recipe does not take.
"""

import random
import tempfile
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import albumentations as A
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from benchmarks.load import BATCH, CASES, CLIPS, SIDE, load_faces, write_crops
from benchmarks.measure import Row, cpu_s, row
from benchmarks.train import train
from benchmarks.turns import answer, in_turns
from deepfake.data.fakes.hulls import dense_from_five
from deepfake.models.efficient_vit import EfficientViT
from deepfake.optimizers import SAM
from preprocessing.crops.manifest import read_manifest

DEFAULT = "strong, self-blended"
Pixels = NDArray[Any]
COLOURS = A.Compose(
    [
        A.RGBShift((-20, 20), (-20, 20), (-20, 20), p=0.3),
        A.HueSaturationValue((-0.3, 0.3), (-0.3, 0.3), (-0.3, 0.3), p=1),
        A.RandomBrightnessContrast((-0.1, 0.1), (-0.1, 0.1), p=1),
    ]
)
SHARPEN = A.Sharpen(alpha=(0.2, 0.5), lightness=(0.5, 1.0), p=1)
DAMAGE = A.Compose(
    [
        A.RGBShift((-20, 20), (-20, 20), (-20, 20), p=0.3),
        A.HueSaturationValue((-0.3, 0.3), (-0.3, 0.3), (-0.3, 0.3), p=0.3),
        A.RandomBrightnessContrast((-0.3, 0.3), (-0.3, 0.3), p=0.3),
        A.ImageCompression(quality_range=(40, 100), p=0.5),
    ],
    additional_targets={"fake": "image"},
)


def run(clips: Sequence[Path]) -> list[Row]:
    """Return CPU time of an image, from its file to the step, beside each published loop."""
    with tempfile.TemporaryDirectory() as folder:
        write_crops(Path(folder), clips[:CLIPS])
        loaded, stepped, *published = in_turns(
            [
                (load_faces, (folder, CASES[DEFAULT])),
                (train, ("default", BATCH)),
                (train_published, (folder, True)),
                (train_published, (folder, False)),
            ]
        )
    ours = [load + step / BATCH for load, step in zip(loaded, stepped, strict=True)]
    names = ("against the published loop", "against it without SAM's second pass")
    return [
        row("self_blending", f"{name}, {SIDE} px", (ours, figures), "CPU ms per image", 1000)
        for name, figures in zip(names, published, strict=True)
    ]


def train_published(end: Connection, folder: str, twice: bool) -> None:
    """Make batches of faces and self-blended fakes and train on them, as published."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    reals = [
        (np.asarray(Image.open(Path(folder) / crop.path).convert("RGB")), in_crop(crop))
        for crop in read_manifest(Path(folder))
        if crop.label == 0
    ]
    network = EfficientViT(
        "tf_efficientnet_lite0", stage=-1, dim=192, depth=2, heads=3, mlp_dim=384
    ).train()
    sgd = {"lr": 1e-3, "momentum": 0.9}
    optimizer = SAM(network.parameters()) if twice else torch.optim.SGD(network.parameters(), **sgd)
    criterion = torch.nn.BCEWithLogitsLoss()
    labels = torch.tensor([0.0, 1.0] * (BATCH // 2))

    def step() -> None:
        pairs = [pair(*random.choice(reals)) for _ in range(BATCH // 2)]
        faces = torch.stack([face for both in pairs for face in both])

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss: Tensor = criterion(network(faces), labels)
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        optimizer.step(closure)

    answer(end, lambda: cpu_s(step) / BATCH)


def in_crop(crop: Any) -> Pixels:  # noqa: ANN401
    """Return the 68 landmarks of a crop, in its pixels."""
    return dense_from_five(crop.landmarks - np.array(crop.crop_box[:2], np.float32))


def pair(face: Pixels, points: Pixels) -> tuple[Tensor, Tensor]:
    """Return a face and its self-blended twin, (3, S, S) in [0, 1]."""
    height, width = face.shape[:2]
    changed = COLOURS(image=face)["image"]
    if random.random() < 0.5:
        ratio = random.choice((2, 4))
        small = cv2.resize(changed, (width // ratio, height // ratio))
        changed = cv2.resize(small, (width, height))
    else:
        changed = SHARPEN(image=changed)["image"]
    source, target = (changed, face) if random.random() < 0.5 else (face, changed)

    hull = cv2.convexHull(points[:27].astype(np.int32))
    mask = cv2.fillConvexPoly(np.zeros((height, width), np.float32), hull, 1.0)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    bends = (cv2.GaussianBlur(noise(height, width), (0, 0), 7) * 50 for _ in range(2))
    mask = cv2.remap(mask, x + next(bends), y + next(bends), cv2.INTER_LINEAR)
    scale = random.uniform(0.95, 1.05)
    placed = cv2.getRotationMatrix2D((width / 2, height / 2), 0, scale)
    placed[:, 2] += [random.uniform(-0.03, 0.03) * side for side in (width, height)]
    source, mask = (cv2.warpAffine(part, placed, (width, height)) for part in (source, mask))
    for _ in range(2):
        mask = cv2.GaussianBlur(mask, [2 * random.randint(2, 10) + 1] * 2, 0)
    mask = mask / max(float(mask.max()), 1e-3) * random.choice((0.25, 0.5, 0.75, 1, 1, 1))
    weight = mask[:, :, None]
    fake = (source * weight + target * (1 - weight)).astype(np.uint8)

    both = DAMAGE(image=target, fake=fake)  # alike
    if random.random() < 0.5:
        both = {name: image[:, ::-1] for name, image in both.items()}
    resized = (cv2.resize(both[name], (SIDE, SIDE)) for name in ("image", "fake"))
    found = [
        torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32) / 255) for image in resized
    ]
    return found[0], found[1]


def noise(height: int, width: int) -> Pixels:
    """Return noise in [-1, 1]."""
    return np.random.default_rng().uniform(-1, 1, (height, width)).astype(np.float32)
