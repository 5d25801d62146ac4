"""Open the material of one side of the split."""

import csv
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from recipes.default_model.draws import Material
from recipes.default_model.store import INDEX, FaceStore

PARTS = ("photographs", "faces", "videos", "pairs", "dfdc", "decoded")


def gather(folder: Path, dfdc: Path, split: str, domains: Sequence[str] | None = None) -> Material:
    """Return the material that `material` and `split` made.

    Args:
        folder: The stores.
        dfdc: DFDC's crops, with `index.csv`.
        split: "train" or "val".
        domains: Only faces of these sources; None takes all.
    """
    stores = {part: FaceStore(folder / part) for part in PARTS if (folder / part / INDEX).is_file()}
    if domains is not None:
        for store in stores.values():
            store.split[~np.isin(store.domain.astype(str), domains)] = None
    fakes: dict[str, list[str]] = defaultdict(list)
    with (dfdc / "index.csv").open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            if row["label"] == "fake":
                fakes[row["original"]].append(row["name"])
    return Material(stores, dfdc, fakes, split)
