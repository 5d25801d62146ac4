"""Perceptual hashes of a manifest's crops, computed once and kept beside it."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from zipfile import BadZipFile

import cv2
import numpy as np

from deepfake.data.shards.read import crop_reader
from deepfake.data.splits.duplicates import Hashes, hash_all
from preprocessing.crops.manifest import MANIFEST
from preprocessing.types import FaceCrop, Image

logger = logging.getLogger(__name__)

CACHE = ".hashes.npz"
AHEAD = 256  # crops that are read at a time; all at once would not fit into memory


def crop_hashes(rows: Sequence[FaceCrop], folder: Path) -> dict[str, Hashes]:
    """Return the hashes of each video's crops, by the video's key.

    Reading the crops takes minutes for many videos, so the result is kept in the folder, where that
    can be written, until the manifest or the choice of crops changes.

    Args:
        rows: The crops to read. One that cannot be read is left out: training will name it.
        folder: Folder of the manifest.
    """
    state = _state(rows, folder)
    kept = _load(folder / CACHE, state)
    if kept is not None:
        return kept
    logger.info("comparing %d crops of %s, once", len(rows), folder)
    hashes = hash_all(_images(rows, folder))
    try:
        _save(folder / CACHE, state, hashes)
    except OSError as error:
        logger.info("hashes are not kept: %s", error)
    return hashes


def _state(rows: Sequence[FaceCrop], folder: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    manifest = folder / MANIFEST
    if manifest.is_file():
        with manifest.open("rb") as file:
            while part := file.read(1 << 20):
                digest.update(part)
    for row in rows:
        digest.update(row.path.encode() + b"\0")
    return digest.hexdigest()


def _images(rows: Sequence[FaceCrop], folder: Path) -> Iterator[tuple[str, Image]]:
    """Yield the crops (H, W) in grey, with the key of their video."""
    file = crop_reader(folder, [row.path for row in rows])

    def read(row: FaceCrop) -> Image | None:
        try:
            data = np.frombuffer(file(row.path), dtype=np.uint8)
        except OSError:
            return None
        image = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if data.size else None
        return None if image is None else np.asarray(image, dtype=np.uint8)

    with ThreadPoolExecutor() as pool:
        for start in range(0, len(rows), AHEAD):
            some = rows[start : start + AHEAD]
            for row, image in zip(some, pool.map(read, some), strict=True):
                if image is not None:
                    yield row.video, image


def _load(path: Path, state: str) -> dict[str, Hashes] | None:
    try:
        with np.load(path, allow_pickle=False) as kept:
            if str(kept["state"]) != state:
                return None
            parts = np.split(kept["hashes"], np.cumsum(kept["counts"])[:-1])
            return dict(zip(kept["videos"].tolist(), parts, strict=True))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None


def _save(path: Path, state: str, hashes: dict[str, Hashes]) -> None:
    if not hashes:
        return
    temporary = path.with_name(f"{CACHE}.tmp.npz")  # a reader sees the old or the new one
    np.savez(
        temporary,
        state=np.array(state),
        videos=np.array(list(hashes)),
        counts=np.array([len(each) for each in hashes.values()]),
        hashes=np.concatenate(list(hashes.values())),
    )
    temporary.replace(path)
