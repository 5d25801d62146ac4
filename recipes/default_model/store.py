"""Faces of many sources in one file, decoded once and memory-mapped, with a table beside it.

A face is the region around its box, cut inside its picture, so that no black is ever stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from preprocessing.types import Image

Points = NDArray[np.float32]
PIXELS, INDEX = "pixels.bin", "faces.parquet"
REACH = 0.45  # kept around a face on each side, as a fraction of its box's longer side
SIDE = 240  # longer side of a stored box, in pixels; larger ones are shrunk
SCHEMA = pa.schema(
    [
        ("domain", pa.string()),
        ("name", pa.string()),
        ("label", pa.int8()),
        ("group", pa.string()),  # people who must not be on both sides of the split
        ("video", pa.string()),
        ("original", pa.string()),  # name of the real face at the same place, of an aligned fake
        ("split", pa.string()),
        ("face_px", pa.float32()),  # longer side of the box in its picture
        ("offset", pa.int64()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("box", pa.list_(pa.float32(), 4)),
        ("points", pa.list_(pa.float32(), 136)),
        ("embedding", pa.list_(pa.float32(), 128)),
    ]
)


@dataclass(frozen=True, eq=False)
class StoredFace:
    """A face as it is written.

    Args:
        image: Region around the box (H, W, 3), RGB.
        box: In pixels of the region.
        points: 68 landmarks (68, 2), in pixels of the region.
        facts: The columns of `SCHEMA` that say where it comes from.
        embedding: Of the person's looks (128,), where asked for.
    """

    image: Image
    box: NDArray[np.float32]
    points: Points
    facts: dict[str, object]
    embedding: NDArray[np.float32] | None = None


class FaceStore:
    """All faces of a folder.

    Args:
        folder: Holds `pixels.bin` and `faces.parquet`.
    """

    def __init__(self, folder: Path) -> None:
        table = pq.read_table(folder / INDEX, schema=SCHEMA)
        self.table = table
        self.folder = folder
        self.offset = table["offset"].to_numpy()
        self.height = table["height"].to_numpy()
        self.width = table["width"].to_numpy()
        self.label = table["label"].to_numpy()
        self.face_px = table["face_px"].to_numpy()
        self.box = table["box"].combine_chunks().flatten().to_numpy().reshape(-1, 4)
        self.points = table["points"].combine_chunks().flatten().to_numpy().reshape(-1, 68, 2)
        self.domain, self.split, self.group, self.video, self.name, self.original = (
            np.array(table[column].to_pylist(), dtype=object)
            for column in ("domain", "split", "group", "video", "name", "original")
        )
        self._pixels: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.offset)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_pixels": None}  # each process maps the file itself

    def image(self, row: int) -> Image:
        """Return a stored region (H, W, 3), RGB, read-only."""
        if self._pixels is None:
            self._pixels = np.memmap(self.folder / PIXELS, dtype=np.uint8, mode="r")
        height, width, start = int(self.height[row]), int(self.width[row]), int(self.offset[row])
        flat = self._pixels[start : start + height * width * 3]
        return np.asarray(flat.reshape(height, width, 3))

    def embeddings(self) -> NDArray[np.float32]:
        """Return the embeddings (N, 128); nan where a face has none."""
        rows = self.table["embedding"].to_pylist()
        none = np.full(128, np.nan, dtype=np.float32)
        return np.stack([none if row is None else np.array(row, np.float32) for row in rows])


class StoreWriter:
    """Writes faces one by one; `close` writes the table.

    Args:
        folder: Where to.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._file = (folder / PIXELS).open("wb")
        self._rows: list[dict[str, object]] = []

    def add(self, face: StoredFace) -> None:
        """Append a face."""
        height, width = face.image.shape[:2]
        row: dict[str, object] = {"original": None, **face.facts}
        row.update(offset=self._file.tell(), height=height, width=width)
        row["box"], row["points"] = face.box.tolist(), face.points.ravel().tolist()
        row["embedding"] = None if face.embedding is None else face.embedding.tolist()
        self._file.write(np.ascontiguousarray(face.image).tobytes())
        self._rows.append(row)

    def close(self) -> None:
        """Write the table."""
        self._file.close()
        write_table(self.folder, self._rows)


def write_table(folder: Path, rows: Sequence[dict[str, object]]) -> None:
    """Write the table of a store, replacing an older one in one step."""
    part = folder / f"{INDEX}.part"
    pq.write_table(pa.Table.from_pylist(list(rows), schema=SCHEMA), part)
    part.replace(folder / INDEX)
