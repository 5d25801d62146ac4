"""Perceptual hashes of a manifest's crops, computed once and kept beside it."""

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import cv2
import numpy as np
from numpy.typing import NDArray

from deepfake.data.shards.read import crop_reader
from deepfake.data.splits.duplicates import HASH_BYTES, Hashes, hash_all
from deepfake.inference.faces import evenly
from preprocessing.crops.cropping import TEMPLATE
from preprocessing.crops.manifest import MANIFEST, read_options
from preprocessing.errors import ManifestError, VideoError
from preprocessing.types import FaceCrop, Image, PreprocessOptions

logger = logging.getLogger(__name__)

CACHE = ".hashes.npz"
KNOWN = "training_crops.npz"  # beside a checkpoint
VERSION = b"aligned"  # of the hashes; others are made again
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
    known, kept = _read(folder / CACHE)
    if known == state:
        return kept
    logger.info("comparing %d crops of %s, once", len(rows), folder)
    crops = read_crops(rows, folder, _grey)
    hashes = hash_all((row.video, image, points) for row, image, points in crops)
    try:
        _save(folder / CACHE, state, hashes)
    except OSError as error:
        logger.info("hashes are not kept: %s", error)
    return hashes


def _state(rows: Sequence[FaceCrop], folder: Path) -> str:
    digest: Any = hashlib.blake2b(VERSION, digest_size=16)
    if (folder / MANIFEST).is_file():
        with (folder / MANIFEST).open("rb") as file:
            digest = hashlib.file_digest(file, digest.copy)
    for row in rows:
        digest.update(row.path.encode() + b"\0")
    return str(digest.hexdigest())


def _grey(data: bytes) -> Image | None:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE) if data else None
    return None if image is None else np.asarray(image, dtype=np.uint8)


def read_crops(
    rows: Sequence[FaceCrop], folder: Path, decode: Callable[[bytes], Image | None]
) -> Iterator[tuple[FaceCrop, Image, NDArray[np.float32]]]:
    """Yield the crops that can be read, with five landmarks (5, 2) in their pixels.

    Args:
        rows: Of the folder's manifest.
        folder: Of crops, or of shards.
        decode: From a crop's file to the image; None where it is damaged.
    """
    file = crop_reader(folder, [row.path for row in rows])
    try:
        options = read_options(folder)
    except ManifestError:
        options = PreprocessOptions()  # the folder does not say; the usual ones

    def read(row: FaceCrop) -> Image | None:
        try:
            return decode(file(row.path))
        except (OSError, VideoError):
            return None

    with ThreadPoolExecutor() as pool:
        for start in range(0, len(rows), AHEAD):
            some = rows[start : start + AHEAD]
            for row, image in zip(some, pool.map(read, some), strict=True):
                if image is not None:
                    yield row, image, _points(row, image, options)


def _points(row: FaceCrop, image: Image, options: PreprocessOptions) -> NDArray[np.float32]:
    height, width = image.shape[:2]
    if options.crop == "aligned":
        placed = (TEMPLATE + options.margin) / (1 + 2 * options.margin) * width
    else:
        x0, y0, x1, y1 = row.crop_box
        scale = np.array([width / max(x1 - x0, 1), height / max(y1 - y0, 1)])
        placed = (row.landmarks - np.array([x0, y0])) * scale
    return np.asarray(placed, dtype=np.float32)


def write_known(path: Path, hashes: Mapping[str, Hashes], *, per_video: int = 6) -> None:
    """Write hashes of training videos without their names, to travel with a checkpoint."""
    some = [e[np.unique(evenly(len(e), per_video)), :HASH_BYTES] for e in hashes.values()]
    if some:
        counts = np.array([len(each) for each in some])
        np.savez_compressed(path, counts=counts, hashes=np.concatenate(some))


def read_known(path: Path) -> dict[str, Hashes]:
    """Read what `write_known` wrote; nothing where there is no such file or a damaged one."""
    return _read(path)[1]


def _read(path: Path) -> tuple[str, dict[str, Hashes]]:
    """Return the state that hashes were made in, "" where that is not known, and the hashes."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            parts = np.split(kept["hashes"], np.cumsum(kept["counts"])[:-1])
            if "state" not in kept:
                return "", {f"training video {k + 1}": part for k, part in enumerate(parts)}
            return str(kept["state"]), dict(zip(kept["videos"].tolist(), parts, strict=True))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return "", {}


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
