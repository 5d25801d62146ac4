"""The published procedure, made of public packages, as a command of its own.

python -m benchmarks.published OUT CLIP... [--frames N] [--network]

Every frame is decoded by OpenCV and halved by Pillow; facenet-pytorch's MTCNN looks at batches of
32 with thresholds 0.85, 0.95 and 0.95; crops are written as PNG. With `--network`, 30 faces then go
through Efficient ViT on efficientnet-pytorch's B0, untrained, in float32 and NCHW, as packaged.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from torch import nn

BATCH = 32
FACES = 30
IMAGE_SIZE = 224


def read(clip: Path, count: int | None) -> list[Image.Image]:
    """Return all frames of a clip, or `count` evenly spaced ones, decoding through."""
    capture = cv2.VideoCapture(str(clip))
    total = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    wanted = None if count is None else set(np.linspace(0, total - 1, count).astype(int).tolist())
    frames = []
    for number in range(total):
        found, frame = capture.read()
        if found and (wanted is None or number in wanted):
            frames.append(Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)))
    capture.release()
    return frames


def crop(detector: Any, frames: list[Image.Image], folder: Path) -> list[Path]:  # noqa: ANN401
    """Write the faces of frames, found at half their size, and return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for start in range(0, len(frames), BATCH):
        batch = frames[start : start + BATCH]
        halves = [frame.resize([side // 2 for side in frame.size]) for frame in batch]
        for number, boxes in enumerate(detector.detect(halves, landmarks=False)[0], start):
            for face, box in enumerate([] if boxes is None else boxes):
                path = folder / f"{number}_{face}.png"
                x0, y0, x1, y1 = (int(side) for side in np.asarray(box, float).clip(0) * 2)
                frames[number].crop((x0, y0, x1, y1)).save(path)
                paths.append(path)
    return paths


def network() -> "nn.Module":
    """Return Efficient ViT of the published size on the packaged EfficientNet B0."""
    from efficientnet_pytorch import EfficientNet
    from torch import Tensor, nn

    from deepfake.models.efficient_vit import EfficientViT

    class Packaged(nn.Module):
        num_features = 1280

        def __init__(self) -> None:
            super().__init__()
            self.network = EfficientNet.from_name("efficientnet-b0")

        def forward(self, faces: Tensor) -> Tensor:
            features: Tensor = self.network.extract_features(faces)
            return features

    return EfficientViT(Packaged(), patch_size=7).eval()


def score(model: "nn.Module", paths: list[Path]) -> list[float]:
    """Return a score for each of 30 faces."""
    import torch

    chosen = paths[:: max(1, len(paths) // FACES)][:FACES]
    faces = [
        np.asarray(Image.open(path).resize((IMAGE_SIZE, IMAGE_SIZE)), np.float32).transpose(2, 0, 1)
        for path in chosen
    ]
    with torch.no_grad():
        scores: list[float] = model(torch.from_numpy(np.stack(faces))).sigmoid().tolist()
    return scores


def main() -> None:
    """Run the procedure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.published")
    parser.add_argument("out", type=Path)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--frames", type=int)
    parser.add_argument("--network", action="store_true")
    arguments = parser.parse_args()

    import facenet_pytorch
    import torch

    torch.set_num_threads(1)
    detector = facenet_pytorch.MTCNN(keep_all=True, thresholds=[0.85, 0.95, 0.95])
    for clip in arguments.clips:
        frames = read(clip, arguments.frames)
        paths = crop(detector, frames, arguments.out / clip.stem)
        if arguments.network and paths:
            print(clip, float(np.mean(score(network(), paths))))


if __name__ == "__main__":
    main()
