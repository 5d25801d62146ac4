"""Decide who is held out: `python -m recipes.default_model.split`, after the material.

Photographs are split by their people, DFDC's unnamed actors by clusters of face embeddings; of
DFDC, everybody who looks like somebody held out is left out of training.
"""

import argparse
import logging
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from recipes.default_model.store import INDEX, SCHEMA, FaceStore

logger = logging.getLogger(__name__)

HELD_OUT = 0.06  # of the groups of photographs
HELD_OUT_DFDC = 0.08  # of DFDC's real crops, in whole clusters
SAME, ALIKE = 0.39, 0.5  # distances of dlib's embeddings; 0.6 is its own limit of one person


def by_group(groups: NDArray[np.object_]) -> list[str]:
    """Return a split for each face, by the hash of its group, the same on every machine."""
    held = {g for g in groups if zlib.crc32(str(g).encode()) % 10_000 < 10_000 * HELD_OUT}
    return ["val" if g in held else "train" for g in groups]


def neighbours(
    embeddings: NDArray[np.float32], limit: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return all pairs of faces nearer than a limit."""
    first, second = [], []
    squared = (embeddings**2).sum(axis=1)
    for start in range(0, len(embeddings), 1024):
        part = embeddings[start : start + 1024]
        far = squared[start : start + 1024, None] + squared[None] - 2 * part @ embeddings.T
        a, b = np.nonzero(far < limit**2)
        first.append(a + start)
        second.append(b)
    return np.concatenate(first), np.concatenate(second)


def by_looks(embeddings: NDArray[np.float32]) -> list[str | None]:
    """Return a split for each face (N, 128); None where it looks like somebody held out."""
    count = len(embeddings)
    a, b = neighbours(embeddings, SAME)
    edges = coo_matrix((np.ones(len(a), bool), (a, b)), shape=(count, count))
    number, cluster = connected_components(edges, directed=False)
    sizes = np.bincount(cluster)
    logger.info("%d clusters of %d faces, the largest %s", number, count, np.sort(sizes)[-5:])
    held = np.zeros(number, dtype=bool)
    for one in np.random.default_rng(0).permutation(number):
        if sizes[held].sum() >= HELD_OUT_DFDC * count:
            break
        held[one] = sizes[one] <= 0.02 * count
    val = held[cluster]
    c, d = neighbours(embeddings, ALIKE)
    alike = np.zeros(count, dtype=bool)
    alike[c[val[d]]] = True
    return ["val" if v else None if near else "train" for v, near in zip(val, alike, strict=True)]


def main() -> None:
    """Write the column `split` of the stores that have none of their own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--material", type=Path, default=Path("data/default_model"))
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for part in ("photographs", "dfdc"):
        store = FaceStore(given.material / part)
        split = by_looks(store.embeddings()) if part == "dfdc" else by_group(store.group)
        column = SCHEMA.get_field_index("split")
        table = store.table.set_column(column, SCHEMA.field("split"), pa.array(split, pa.string()))
        pq.write_table(table, given.material / part / f"{INDEX}.part")
        (given.material / part / f"{INDEX}.part").replace(given.material / part / INDEX)
        counts = {name: split.count(name) for name in ("train", "val", None)}  # type: ignore[arg-type]
        logger.info("%s: %s", part, counts)


if __name__ == "__main__":
    main()
