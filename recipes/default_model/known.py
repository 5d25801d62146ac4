"""Hashes of the training faces, to travel with the model: `python -m recipes.default_model.known`.

`evaluate` warns with them where somebody measures the model on its own training clips.
"""

import argparse
import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepfake.checkpoints.loading import WEIGHTS
from deepfake.cli.console import DONE, run
from deepfake.data.degrade import five_points
from deepfake.data.splits.crop_hashes import KNOWN, write_known
from deepfake.data.splits.duplicates import hash_all
from recipes.default_model.store import INDEX, FaceStore

logger = logging.getLogger(__name__)

PER_VIDEO = 6


def training_hashes(store: FaceStore) -> dict[str, NDArray[np.uint8]]:
    """Return hashes of some training faces of each video, real and fake apart."""
    rows: dict[str, list[int]] = {}
    for row in np.flatnonzero(store.split == "train").tolist():
        clip = f"{store.domain[row]}/{store.video[row]}/{store.label[row]}"
        rows.setdefault(clip, []).append(row)
    return hash_all(
        (clip, store.image(found[k]), five_points(store.points[found[k]]))
        for clip, found in rows.items()
        for k in sorted(set(np.linspace(0, len(found) - 1, PER_VIDEO).round().astype(int).tolist()))
    )


def main() -> int:
    """Run the command; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes.default_model.known", description=__doc__
    )
    parser.add_argument("--material", type=Path, required=True, help="folder of stores of faces")
    parser.add_argument("--stores", nargs="+", help="only these of them (default: all)")
    parser.add_argument("--out", type=Path, default=WEIGHTS / KNOWN)
    given = parser.parse_args()
    hashes: dict[str, NDArray[np.uint8]] = {}
    for folder in sorted(file.parent for file in given.material.glob(f"*/{INDEX}")):
        if given.stores is None or folder.name in given.stores:
            hashes |= training_hashes(FaceStore(folder))
    write_known(given.out, hashes)
    logger.info("%d videos and photographs in %s", len(hashes), given.out)
    return DONE


if __name__ == "__main__":
    run(main)
