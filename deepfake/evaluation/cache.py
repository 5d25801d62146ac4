"""Scores of crops that a checkpoint has scored before, kept in the folder of the crops."""

import hashlib
import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from preprocessing.crops.manifest import MANIFEST

logger = logging.getLogger(__name__)

CACHE = ".scores"
SCHEMA = pa.schema(
    [("path", pa.string()), *((n, pa.float64()) for n in ("score", "sharpness", "brightness"))]
)


class ScoreCache:
    """What is known of a folder's crops by one judge; of other crops or another judge nothing.

    Args:
        folder: Folder of the manifest, which the entries belong to.
        judge: Everything else that scores depend on, such as the checkpoint's SHA-256.
    """

    def __init__(self, folder: Path, judge: str) -> None:
        digest: Any = hashlib.blake2b(judge.encode(), digest_size=12)
        if (folder / MANIFEST).is_file():
            with (folder / MANIFEST).open("rb") as file:
                digest = hashlib.file_digest(file, digest.copy)
        self.path = folder / CACHE / f"{digest.hexdigest()}.parquet"
        self.known = SCHEMA.empty_table()
        with suppress(OSError, pa.ArrowException):  # none, or a damaged one: it is written anew
            self.known = pq.read_table(self.path, schema=SCHEMA, memory_map=False)

    def unknown(self, crops: pa.Table) -> pa.Table:
        """Return the crops of videos that are not known as a whole: clips go through tracks."""
        missing = crops.filter(pc.is_null(self._places(crops)))["video"].unique()
        return crops.filter(pc.is_in(crops["video"], value_set=missing))

    def looks(self, crops: pa.Table) -> NDArray[np.float64]:
        """Return score, sharpness and brightness (N, 3) of crops that are all known."""
        found = self.known.take(self._places(crops))
        return np.column_stack([found[name].to_numpy() for name in SCHEMA.names[1:]])

    def _places(self, crops: pa.Table) -> pa.ChunkedArray:
        return pc.index_in(crops["path"], value_set=self.known["path"].combine_chunks())

    def add(self, found: Sequence[pa.Table]) -> None:
        """Keep what is found of some crops, see `SCHEMA`, where the folder can be written."""
        if not found:
            return
        new = pa.concat_tables(found).sort_by("path").combine_chunks()
        old = self.known.filter(pc.is_null(pc.index_in(self.known["path"], value_set=new["path"])))
        self.known = pa.concat_tables([old, new])
        part = self.path.with_suffix(".part")
        try:
            self.path.parent.mkdir(exist_ok=True)
            pq.write_table(self.known, part, compression="zstd")
            part.replace(self.path)
        except OSError as error:
            logger.info("scores are not kept: %s", error)
