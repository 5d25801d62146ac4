"""Crops in WebDataset tar files, read at any place by their offsets.

A folder of shards holds what a folder of crops holds, `manifest.parquet` and `options.json`, but
the crops lie in tar files, `shards.parquet` says where, and `records.jsonl` has a line per video.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from preprocessing.crops.manifest import VideoRecord, crop_file, read_video_records
from preprocessing.errors import ManifestError

INDEX = "shards.parquet"
RECORDS = "records.jsonl"
SCHEMA = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("shard", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
    ]
)
OPEN = 64  # tar files kept open by a process


@dataclass(frozen=True, eq=False)
class Shards:
    """Where N crops lie.

    Args:
        folder: Of the tar files.
        names: The tar files.
        shard: Number in `names` of each crop's tar file (N,).
        offset: Of its first byte there (N,).
        size: In bytes (N,).
    """

    folder: Path
    names: tuple[str, ...]
    shard: NDArray[np.int32]
    offset: NDArray[np.int64]
    size: NDArray[np.int64]

    @classmethod
    def find(cls, folder: Path, paths: pa.StringArray) -> "Shards | None":
        """Return where the crops of these paths lie; None where the folder has files instead.

        Raises:
            ManifestError: The index is damaged, or lacks a crop.
        """
        file = folder / INDEX
        if not file.is_file():
            return None
        try:
            stored = pq.read_table(file, memory_map=False).select(SCHEMA.names).cast(SCHEMA)
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            reason = str(error).splitlines()[0]
            raise ManifestError(
                f"{file} cannot be read: {reason}. Make the shards again."
            ) from error
        rows = pc.index_in(paths, stored["path"].combine_chunks())
        if rows.null_count:
            missing = paths.filter(pc.is_null(rows))[0].as_py()
            raise ManifestError(f"{file} lacks {missing}. Make the shards again.")
        found = stored.take(rows)
        tars = found["shard"].combine_chunks().dictionary_encode()
        names = tuple(tars.dictionary.to_pylist())
        for name in names:
            if Path(name).name != name or not (folder / name).is_file():
                raise ManifestError(f"{file} names {name!r}, which is not a file in {folder}.")
        return cls(
            folder=folder,
            names=names,
            shard=tars.indices.to_numpy().astype(np.int32),
            offset=found["offset"].to_numpy(),
            size=found["size"].to_numpy(),
        )

    def take(self, rows: NDArray[np.int64]) -> "Shards":
        """Return some of the crops."""
        chosen = {name: getattr(self, name)[rows] for name in ("shard", "offset", "size")}
        return replace(self, **chosen)

    def read(self, row: int) -> bytes:
        """Return the file of one crop; too short where the tar file is damaged."""
        tar = _opened(self.folder / self.names[self.shard[row]])
        return os.pread(tar.number, int(self.size[row]), int(self.offset[row]))


class _Tar:
    """A file that is closed when it is no longer used."""

    def __init__(self, path: Path) -> None:
        self.number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        os.close(self.number)


@lru_cache(maxsize=OPEN)
def _opened(path: Path) -> _Tar:
    return _Tar(path)  # processes may share it: reads name their offset


def crop_reader(folder: Path, paths: Sequence[str]) -> Callable[[str], bytes]:
    """Return what reads the files of these crops, wherever they lie.

    It raises OSError where there is no file, and ManifestError where a path leaves the folder.
    """
    shards = Shards.find(folder, pa.array(paths, pa.string()))
    if shards is None:
        real = lru_cache(maxsize=OPEN)(os.path.realpath)  # neighbours share a folder
        return lambda path: crop_file(folder, path, real=real).read_bytes()
    rows = {path: row for row, path in enumerate(paths)}
    return lambda path: shards.read(rows[path])


def read_records(folder: Path) -> list[VideoRecord]:
    """Read what is known of every video, sorted by key, from a folder of crops or of shards.

    Raises:
        ManifestError: A record is damaged.
    """
    file = folder / RECORDS
    if not file.is_file():
        return read_video_records(folder)
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ManifestError(f"{file} is damaged. Make the shards again.") from error
    return [VideoRecord.from_json(line) for line in lines]
