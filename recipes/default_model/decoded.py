"""Faces as a diffusion model's decoder draws them: `python -m recipes.default_model.decoded`.

Diffusion swaps and talking heads end in the decoder of an autoencoder, whose traces stand in every
pixel that they draw. Here real faces go through such an autoencoder and back, at times with noise
on their code: the picture stays, the traces come. Networks trained on real pictures against their
own reconstructions find generated ones (Rajan et al., ICLR 2025, https://arxiv.org/abs/2410.11835).

The autoencoder is the small one of https://github.com/madebyollin/taesd (MIT), for FLUX.2: put its
`taef2_encoder.pth` and `taef2_decoder.pth` into one folder.
"""

import argparse
import logging
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from recipes.default_model.draws import framed
from recipes.default_model.gather import PARTS
from recipes.default_model.store import INDEX, FaceStore, StoredFace, StoreWriter

logger = logging.getLogger(__name__)

CHANNELS, WIDTH = 32, 64
SIDES = (160, 192, 224)  # of the squares that are drawn again
LEAST = 110  # pixels of a face
MARGIN = (0.28, 0.28)
NOISE = 0.3  # standard deviation at most, of the code's own
FAR = 3.0  # where the code is squashed


class Residual(nn.Module):
    """Three convolutions beside an identity; in the deep levels the whole picture is seen first."""

    def __init__(self, *, whole: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(3):
            layers += [nn.Conv2d(WIDTH, WIDTH, 3, padding=1), nn.ReLU()]
        self.conv = nn.Sequential(*layers[:-1])
        self.pool = None
        if whole:
            wide = 4 * WIDTH
            self.pool = nn.Sequential(
                nn.Conv2d(WIDTH, wide, 1, bias=False),
                nn.GroupNorm(4, wide),
                nn.ReLU(),
                nn.Conv2d(wide, WIDTH, 1, bias=False),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return features of the same shape (B, C, H, W)."""
        if self.pool is not None:
            x = x + self.pool(x)
        return F.relu(self.conv(x) + x)


class Squash(nn.Module):
    """Keep a code within bounds."""

    def forward(self, code: Tensor) -> Tensor:
        """Return the code (B, C, H, W), squashed."""
        return torch.tanh(code / FAR) * FAR


def encoder() -> nn.Sequential:
    """Return what makes a code (B, 32, H/8, W/8) of pictures (B, 3, H, W) in [0, 1]."""
    layers: list[nn.Module] = [nn.Conv2d(3, WIDTH, 3, padding=1), Residual(whole=False)]
    for level in range(3):
        layers.append(nn.Conv2d(WIDTH, WIDTH, 3, stride=2, padding=1, bias=False))
        layers += [Residual(whole=level == 2) for _ in range(3)]
    return nn.Sequential(*layers, nn.Conv2d(WIDTH, CHANNELS, 3, padding=1))


def decoder() -> nn.Sequential:
    """Return what makes pictures (B, 3, H, W) in about [0, 1] of a code."""
    layers: list[nn.Module] = [Squash(), nn.Conv2d(CHANNELS, WIDTH, 3, padding=1), nn.ReLU()]
    for level in range(3):
        layers += [Residual(whole=level == 0) for _ in range(3)]
        layers.append(nn.Upsample(scale_factor=2))
        layers.append(nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False))
    return nn.Sequential(*layers, Residual(whole=False), nn.Conv2d(WIDTH, 3, 3, padding=1))


def load(folder: Path) -> tuple[nn.Sequential, nn.Sequential]:
    """Return encoder and decoder with the weights of a folder."""
    parts = encoder(), decoder()
    for part, name in zip(parts, ("encoder", "decoder"), strict=True):
        state = torch.load(folder / f"taef2_{name}.pth", map_location="cpu", weights_only=True)
        part.load_state_dict({key: value.float() for key, value in state.items()})
        part.eval().to(memory_format=torch.channels_last)
    return parts


@torch.inference_mode()
def drawn_again(
    networks: tuple[nn.Sequential, nn.Sequential], image: NDArray[np.uint8], noise: float
) -> NDArray[np.uint8]:
    """Return a picture (H, W, 3), sides multiples of 8, as it comes back.

    Args:
        networks: Encoder and decoder.
        image: RGB.
        noise: Standard deviation of what is added to the code, as a fraction of its own.
    """
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
    code = networks[0](pixels.contiguous(memory_format=torch.channels_last))
    code = code + noise * code.std() * torch.randn_like(code)
    made = networks[1](code)[0].clamp(0, 1) * 255
    return np.asarray(made.round().byte().permute(1, 2, 0).numpy())


def main() -> None:
    """Write a store of real squares and what the decoder drew of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--material", type=Path, default=Path("data/default_model"))
    parser.add_argument("--autoencoder", type=Path, default=Path("data/more/taesd"))
    parser.add_argument("--count", type=int, default=3000)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.manual_seed(0)
    networks, rng = load(given.autoencoder), np.random.default_rng(0)
    folders = {part: given.material / part for part in PARTS}
    stores = {p: FaceStore(folder) for p, folder in folders.items() if (folder / INDEX).is_file()}
    stores.pop("decoded", None)
    rows = [
        (part, int(row))
        for part, store in stores.items()
        for row in np.flatnonzero((store.label == 0) & (store.split != None))  # noqa: E711
        if store.face_px[row] >= LEAST
    ]
    chosen = rng.permutation(len(rows))[: given.count]
    writer = StoreWriter(given.material / "decoded")
    for number, (part, row) in enumerate(rows[i] for i in chosen):
        store = stores[part]
        image = store.image(row)
        square, points = framed(image, store.box[row], store.points[row], MARGIN, rng)
        left, top, side = square
        size = int(rng.choice([s for s in SIDES if s <= side] or SIDES[:1]))
        cut = image[top : top + side, left : left + side]
        real = np.asarray(cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA), np.uint8)
        scale = np.float32(size / side)
        box = (store.box[row] - np.array([left, top, left, top], np.float32)) * scale
        noise = 0.0 if rng.random() < 0.4 else float(rng.uniform(0.05, NOISE))
        name = f"{part}/{row}"
        facts = {
            "domain": str(store.domain[row]),
            "group": str(store.group[row]),
            "split": str(store.split[row]),
            "video": str(store.video[row]),
            "face_px": float(store.face_px[row]),
        }
        writer.add(StoredFace(real, box, points * scale, {**facts, "name": name, "label": 0}))
        made = drawn_again(networks, real, noise)
        again = {**facts, "name": f"{name}#drawn", "label": 1, "original": name}
        writer.add(StoredFace(made, box, points * scale, again))
        if number % 100 == 99:
            logger.info("%d of %d", number + 1, len(chosen))
    writer.close()


if __name__ == "__main__":
    main()
