"""Faces as a small generator makes them: `python -m recipes.default_model.autoencoder`.

An autoencoder is trained on the real faces of the training side, aligned as swappers align them,
and every face is written as it comes back, for `ToolBlend`'s "network". Its bottleneck is narrow in
half of the batches, so that one network gives two qualities.
"""

import argparse
import logging
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepfake.data.degrade import five_points
from recipes.default_model.gather import PARTS
from recipes.default_model.store import INDEX, FaceStore
from recipes.default_model.tool_blend import FRAMINGS, aligning

logger = logging.getLogger(__name__)

SIDE, BATCH = 128, 32
NARROW, WIDE = 8, 32  # channels of the 16 x 16 bottleneck
WIDTHS = (32, 64, 128)


class Autoencoder(nn.Module):
    """Squeeze a face (B, 3, 128, 128) to a map of 16 x 16 and make it again.

    Half of its steps upwards are transposed convolutions, which leave a checkerboard, half are
    enlargements before a convolution, as in the generators that it stands for.
    """

    def __init__(self) -> None:
        super().__init__()
        down: list[nn.Module] = []
        for before, after in zip((3, *WIDTHS[:-1]), WIDTHS, strict=True):
            down += [nn.Conv2d(before, after, 4, 2, 1), nn.BatchNorm2d(after), nn.LeakyReLU(0.1)]
        self.down = nn.Sequential(*down, nn.Conv2d(WIDTHS[-1], WIDE, 1))
        up: list[nn.Module] = [nn.Conv2d(WIDE, WIDTHS[-1], 1)]
        widths = WIDTHS[::-1]
        for step, (before, after) in enumerate(zip(widths, (*widths[1:], 24), strict=True)):
            if step % 2:
                up += [nn.ConvTranspose2d(before, after, 4, 2, 1)]
            else:
                up += [nn.Upsample(scale_factor=2), nn.Conv2d(before, after, 3, 1, 1)]
            up += [nn.BatchNorm2d(after), nn.LeakyReLU(0.1)]
        self.up = nn.Sequential(*up, nn.Conv2d(24, 3, 3, 1, 1))

    def forward(self, faces: Tensor, *, narrow: bool) -> Tensor:
        """Return the faces made again (B, 3, 128, 128)."""
        code = self.down(faces)
        if narrow:
            code = torch.cat([code[:, :NARROW], torch.zeros_like(code[:, NARROW:])], dim=1)
        made: Tensor = self.up(code)
        return made


def aligned(store: FaceStore, row: int) -> NDArray[np.uint8]:
    """Return a face aligned with the margin that `ToolBlend` expects (S, S, 3)."""
    matrix = aligning(five_points(store.points[row]), FRAMINGS[1]) * SIDE
    square = cv2.warpAffine(store.image(row), matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(square, dtype=np.uint8)


def tensor(faces: list[NDArray[np.uint8]]) -> Tensor:
    """Return faces as (B, 3, S, S) in [-1, 1]."""
    batch = torch.from_numpy(np.stack(faces)).permute(0, 3, 1, 2).float()
    return (batch / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def train(stores: dict[str, FaceStore], minutes: float) -> Autoencoder:
    """Train for so many minutes of the clock."""
    torch.manual_seed(0)
    network = Autoencoder().to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    rows = [
        (part, int(row))
        for part, store in stores.items()
        for row in np.flatnonzero((store.split == "train") & (store.label == 0))
    ]
    rng, end, step = np.random.default_rng(0), time.monotonic() + 60 * minutes, 0
    while time.monotonic() < end:
        faces = tensor(
            [
                aligned(stores[p], r)
                for p, r in (rows[i] for i in rng.integers(len(rows), size=BATCH))
            ]
        )
        with torch.autocast("cpu", dtype=torch.bfloat16):
            made = network(faces, narrow=bool(step % 2))
        made = made.float()
        loss = (made - faces).abs().mean() + (_edges(made) - _edges(faces)).abs().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if step % 100 == 0:
            logger.info("step %d: %.4f", step, loss.item())
        step += 1
    return network.eval()


def _edges(faces: Tensor) -> Tensor:
    across, down = faces[..., :, 1:] - faces[..., :, :-1], faces[..., 1:, :] - faces[..., :-1, :]
    return torch.cat([across.flatten(1), down.flatten(1)], dim=1)


@torch.inference_mode()
def write(network: Autoencoder, store: FaceStore, file: Path) -> None:
    """Write every face of a store as the network makes it (N, S, S, 3)."""
    made = np.lib.format.open_memmap(
        file, mode="w+", dtype=np.uint8, shape=(len(store), SIDE, SIDE, 3)
    )
    for start in range(0, len(store), BATCH):
        rows = range(start, min(start + BATCH, len(store)))
        faces = tensor([aligned(store, row) for row in rows])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            back = network(faces, narrow=bool(start // BATCH % 2)).float()
        made[start : start + len(rows)] = (
            ((back + 1) * 127.5).clamp(0, 255).round().byte().permute(0, 2, 3, 1).numpy()
        )
    made.flush()


def main() -> None:
    """Train the autoencoder and write what it makes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--material", type=Path, default=Path("data/default_model"))
    parser.add_argument("--minutes", type=float, default=6)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folders = {part: given.material / part for part in PARTS}
    stores = {p: FaceStore(folder) for p, folder in folders.items() if (folder / INDEX).is_file()}
    network = train(stores, given.minutes)
    for part, store in stores.items():
        write(network, store, given.material / part / "made.npy")
        logger.info("%s: %d faces made", part, len(store))


if __name__ == "__main__":
    main()
