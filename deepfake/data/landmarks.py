"""68 landmarks a face, kept beside the manifest."""

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from deepfake.data.hulls import dense_from_five
from deepfake.data.table import FaceTable

LANDMARKS = "landmarks.parquet"


def with_dense_landmarks(table: FaceTable) -> FaceTable:
    """Return the table with 68 landmarks where its folder has them, else as it is.

    Crops without an entry get an estimate from their five points.
    """
    file = table.folder / LANDMARKS
    if not file.is_file():
        return table
    stored = pq.read_table(file)
    found = pc.index_in(table.path, stored["path"].combine_chunks()).to_numpy(zero_copy_only=False)
    points = stored["points"].combine_chunks().flatten().to_numpy().reshape(-1, 68, 2)
    dense = np.empty((len(table), 68, 2), dtype=np.float32)
    for row, entry in enumerate(found):
        known = not np.isnan(entry)
        dense[row] = points[int(entry)] if known else dense_from_five(table.landmarks[row])
    return table.with_landmarks(dense)
