"""68 landmarks a face, kept beside the manifest: `python -m deepfake.data.landmarks data/faces`.

Needs the extra: `pip install -e '.[landmarks]'`. Self-blending uses them where they are there,
and else estimates them from the five of the manifest.
"""

import argparse
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from deepfake.cli.console import DONE, run
from deepfake.data.fakes.hulls import dense_from_five
from deepfake.data.table import FaceTable
from deepfake.errors import DeepfakeError
from preprocessing.crops.manifest import read_table
from preprocessing.people import dlib_models

logger = logging.getLogger(__name__)

LANDMARKS = "landmarks.parquet"
SCHEMA = pa.schema([("path", pa.string()), ("points", pa.list_(pa.float32(), 136))])


def with_dense_landmarks(table: FaceTable) -> FaceTable:
    """Return the table with 68 landmarks where its folder has them, else as it is.

    Crops without an entry get an estimate from their five points.
    """
    file = table.folder / LANDMARKS
    if not file.is_file():
        return table
    stored = pq.read_table(file, schema=SCHEMA)
    found = pc.index_in(table.path, stored["path"].combine_chunks()).to_numpy(zero_copy_only=False)
    points = stored["points"].combine_chunks().flatten().to_numpy().reshape(-1, 68, 2)
    dense = np.empty((len(table), 68, 2), dtype=np.float32)
    for row, entry in enumerate(found):
        known = not np.isnan(entry)
        dense[row] = points[int(entry)] if known else dense_from_five(table.landmarks[row])
    return replace(table, landmarks=dense)


def find_landmarks(folder: Path) -> int:
    """Write 68 landmarks of every crop of a manifest; return the number of crops.

    Kazemi and Sullivan, CVPR 2014, as trained for dlib.

    Raises:
        DeepfakeError: The extra is not installed, or there is no manifest.
    """
    predict = _predictor()
    table = FaceTable.from_manifest(folder, read_table(folder))
    points = np.empty((len(table), 136), dtype=np.float32)
    for row in range(len(table)):
        image = table.image(row)
        five = table.points(row, image)
        size = np.array([image.shape[1], image.shape[0]], dtype=np.float32)
        points[row] = (predict(image, five) / size).ravel()
    flat = pa.FixedSizeListArray.from_arrays(pa.array(points.ravel()), 136)
    pq.write_table(pa.table([table.path, flat], schema=SCHEMA), folder / LANDMARKS)
    return len(table)


def _predictor() -> Any:  # noqa: ANN401
    """Return a function from a crop and its five points to 68 points, in pixels."""
    if (model := dlib_models.dlib_model(dlib_models.LANDMARKS)) is None:
        raise DeepfakeError(
            "68 landmarks need dlib and its model. Run `pip install -e '.[landmarks]'`, or do "
            "without: self-blending estimates them."
        )
    import dlib

    shape = dlib.shape_predictor(str(model))

    def predict(image: NDArray[np.uint8], five: NDArray[np.float32]) -> NDArray[np.float32]:
        # dlib expects its own face detector's square, which spans brows to chin.
        face = dense_from_five(five)
        low, high = face.min(axis=0), face.max(axis=0)
        side = float((high - low).max())
        left, top = (float(value) for value in (low + high - side) / 2)
        box = dlib.rectangle(round(left), round(top), round(left + side), round(top + side))
        found = shape(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), box)
        return np.array([(part.x, part.y) for part in found.parts()], dtype=np.float32)

    return predict


def main() -> int:
    """Find the landmarks of the folder named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m deepfake.data.landmarks", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder with a manifest")
    folder = parser.parse_args().folder
    logger.info("landmarks of %d faces in %s", find_landmarks(folder), folder / LANDMARKS)
    return DONE


if __name__ == "__main__":
    run(main)
