"""Scores of crops that a checkpoint has scored before, kept in the folder of the crops."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from deepfake.evaluation.scores import Looks
from preprocessing.crops.manifest import MANIFEST
from preprocessing.types import FaceCrop

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
        digest = hashlib.blake2b(judge.encode(), digest_size=12)
        manifest = folder / MANIFEST
        if manifest.is_file():
            with manifest.open("rb") as file:
                while part := file.read(1 << 20):
                    digest.update(part)
        self.path = folder / CACHE / f"{digest.hexdigest()}.parquet"
        self.known: dict[str, Looks] = {}
        try:
            columns = pq.read_table(self.path, schema=SCHEMA, memory_map=False).to_pydict()
            path, *looks = (columns[name] for name in SCHEMA.names)
            self.known = dict(zip(path, zip(*looks, strict=True), strict=True))
        except (OSError, pa.ArrowException):
            pass  # there is none, or a damaged one, which is written anew

    def unknown(self, crops: Sequence[FaceCrop]) -> list[FaceCrop]:
        """Return the crops of videos that are not known as a whole: clips go through tracks."""
        videos = {crop.video for crop in crops if crop.path not in self.known}
        return [crop for crop in crops if crop.video in videos]

    def add(self, found: Mapping[str, Looks]) -> None:
        """Keep looks by the path of the crop, where the folder can be written."""
        if not found:
            return
        self.known |= found
        columns = zip(*((path, *looks) for path, looks in self.known.items()), strict=True)
        table = pa.table([pa.array(column) for column in columns], schema=SCHEMA)
        part = self.path.with_suffix(".part")
        try:
            self.path.parent.mkdir(exist_ok=True)
            pq.write_table(table, part, compression="zstd")
            part.replace(self.path)
        except OSError as error:
            logger.info("scores are not kept: %s", error)
