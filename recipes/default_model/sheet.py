"""A picture of what the default model is trained on: `python -m recipes.default_model.sheet`."""

import argparse
from pathlib import Path

import cv2
import numpy as np

from recipes.default_model.draws import SHARES, Draws, Pair
from recipes.default_model.gather import gather


def main() -> None:
    """Write a sheet: for each kind of fake rows of real, fake, difference, and both damaged."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--material", type=Path, default=Path("data/default_model"))
    parser.add_argument("--dfdc", type=Path, default=Path("data/more/dfdc"))
    parser.add_argument("--out", type=Path, default=Path("data/sheet.jpg"))
    parser.add_argument("--kinds", nargs="*", default=list(SHARES))
    parser.add_argument("--domains", nargs="*", help="only faces of these sources")
    parser.add_argument("--cell", type=int, default=168, help="side of a picture, in pixels")
    parser.add_argument("--each", type=int, default=6, help="pairs of a kind")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    draws = Draws(gather(given.material, given.dfdc, "train", given.domains), size=224)
    rng = np.random.default_rng(given.seed)
    kinds = [kind for kind in given.kinds for _ in range(0, given.each, 2)]
    rows = [
        np.concatenate([_cells(draws, draws.pair(rng, kind), given.cell, rng) for _ in range(2)], 1)
        for kind in kinds
    ]
    given.out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(given.out), np.concatenate(rows)[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])


def _cells(draws: Draws, pair: Pair, side: int, rng: np.random.Generator) -> np.ndarray:
    difference = np.clip(128 + 2 * (pair.fake.astype(np.int16) - pair.real), 0, 255).astype(
        np.uint8
    )
    damaged = draws.sample(pair, rng)["face"].numpy()
    cells = [pair.real, pair.fake, difference, damaged[0], damaged[1]]
    return np.concatenate(
        [cv2.resize(c, (side, side), interpolation=cv2.INTER_AREA) for c in cells], 1
    )


if __name__ == "__main__":
    main()
