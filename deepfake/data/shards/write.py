"""From a folder of crops to WebDataset tar files: `python -m deepfake.data shard`."""

import json
import logging
import os
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from deepfake.data.landmarks import LANDMARKS
from deepfake.data.shards.read import INDEX, RECORDS, SCHEMA
from deepfake.data.splits.crop_hashes import CACHE
from deepfake.errors import DeepfakeError, require
from preprocessing.crops.manifest import MANIFEST, OPTIONS, read_table, read_video_records
from preprocessing.errors import ManifestError

logger = logging.getLogger(__name__)

MEGABYTE = 1_000_000
OVERHEAD = 2048  # bytes of a tar file for a crop, beside the crop itself
NAME = "faces-{:06}.tar"


def write_shards(folder: Path, out: Path, *, megabytes: float = 512.0, seed: int = 0) -> int:
    """Write the crops of a folder as tar files of another; return how many tar files.

    The videos are shuffled, so that a reader of one tar after the other sees all kinds of them; the
    crops of a video stay together. Each crop has beside it a JSON with the label and what the
    manifest knows of it. The manifest and all else are copied as they are.

    Args:
        folder: With crops.
        out: Made; must not hold anything.
        megabytes: Largest tar file, in 10^6 bytes.
        seed: Of the order of videos.

    Raises:
        DeepfakeError: The extra is not installed, `out` holds something, or a crop is missing.
    """
    require("webdataset", "shards", "Writing shards")
    if megabytes <= 0:
        raise DeepfakeError(f"--size must be above 0, got {megabytes}")
    if (folder / INDEX).is_file():
        raise DeepfakeError(f"{folder} holds shards already. Name the folder of crops.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DeepfakeError(f"{out} holds something already. Name another --out, or delete it.")
    manifest = read_table(folder)
    temporary = out.with_name(f".{out.name}.tmp-{os.getpid()}")
    temporary.mkdir(parents=True)
    try:
        count = _write_tars(folder, temporary, manifest, megabytes * MEGABYTE, seed)
        _copy(folder, temporary)
        temporary.replace(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return count


def _write_tars(folder: Path, out: Path, manifest: pa.Table, limit: float, seed: int) -> int:
    from webdataset import TarWriter

    rows = _shuffled(manifest, seed)
    paths = manifest["path"].to_pylist()
    facts = manifest.drop_columns(["path"])
    places: list[dict[str, Any]] = []
    count = 0
    for part in _parts(folder, [(int(row), paths[row]) for row in rows], limit):
        name = NAME.format(count)
        with (out / name).open("wb") as file:
            # GNU, since names may be longer than the standard's 256 characters.
            with TarWriter(file, encoder=False, mtime=0, format="GNU_FORMAT") as tar:
                for row, path in part:
                    key, suffix = _key(path)
                    known = json.dumps(facts.slice(row, 1).to_pylist()[0]).encode()
                    crop = (folder / path).read_bytes()
                    tar.write({"__key__": key, suffix: crop, "json": known})
            file.flush()
            os.fsync(file.fileno())
        places += _members(out / name, {path for _, path in part})
        count += 1
        logger.info("%s: %d of %d crops", name, len(places), len(paths))
    pq.write_table(pa.Table.from_pylist(places, schema=SCHEMA), out / INDEX, compression="zstd")
    return count


def _shuffled(manifest: pa.Table, seed: int) -> NDArray[np.int64]:
    """Return the rows video by video, videos in random order."""
    keys = manifest["video"].combine_chunks().dictionary_encode()
    place = np.random.default_rng(seed).permutation(len(keys.dictionary))
    return np.argsort(place[keys.indices.to_numpy()], kind="stable").astype(np.int64)


def _parts(
    folder: Path, crops: Sequence[tuple[int, str]], limit: float
) -> Iterator[list[tuple[int, str]]]:
    """Yield the crops of one tar after the other."""
    part: list[tuple[int, str]] = []
    size = 0
    for row, path in crops:
        try:
            bytes_ = (folder / path).stat().st_size + OVERHEAD
        except OSError as error:
            raise ManifestError(
                f"The crop {folder / path} is missing. Run `python -m deepfake.preprocess` again; "
                "it makes only what is missing."
            ) from error
        if part and size + bytes_ > limit:
            yield part
            part, size = [], 0
        part.append((row, path))
        size += bytes_
    if part:
        yield part


def _key(path: str) -> tuple[str, str]:
    """Return a crop's key and suffix as WebDataset tells them apart: at the name's first dot."""
    pure = PurePosixPath(path)
    stem, _, suffix = pure.name.partition(".")
    return str(pure.with_name(stem)), suffix


def _members(path: Path, wanted: set[str]) -> list[dict[str, Any]]:
    with tarfile.open(path) as tar:
        return [
            {"path": one.name, "shard": path.name, "offset": one.offset_data, "size": one.size}
            for one in tar
            if one.name in wanted
        ]


def _copy(folder: Path, out: Path) -> None:
    for name in (MANIFEST, OPTIONS, LANDMARKS, CACHE):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, out / name)
    lines = [json.dumps(json.loads(one.to_json())) for one in read_video_records(folder)]
    (out / RECORDS).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
