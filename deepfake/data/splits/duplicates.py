"""Videos that show the same footage, found by perceptual hashes of their crops."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.types import Image

Hashes = NDArray[np.uint8]  # (N, HASH_BYTES)

SIDE = 16  # coefficients a side: 64 bits, as in the report cited, do not tell faces apart
HASH_BYTES = SIDE * SIDE // 8
BANDS = 16  # of 16 bits: two hashes that differ in fewer than 16 bits share one for certain
# 98 clips of 49 swaps, halved and saved as JPEG at quality 30: 95 % of crops differ in up to 32
# bits from their originals, 99 % in up to 38. Clips of two people differ in 86 and more.
MAX_BITS = 40
FLAT = 4.0  # grey levels: below this deviation a crop is a plain surface and its hash is noise
CROWD = 2000  # a value of a band that more crops share than this tells nothing
BITS_OF_BYTE = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1)


def perceptual_hash(image: Image) -> NDArray[np.uint8] | None:
    """Return 256 bits (32,) that re-encoding and rescaling hardly change; None for a plain surface.

    The DCT hash of Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions",
    2010, section 3.2.1, with 16 x 16 coefficients: which of the lowest frequencies lie above their
    median.

    Args:
        image: A crop (H, W, 3) or (H, W).
    """
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (4 * SIDE, 4 * SIDE), interpolation=cv2.INTER_AREA)
    if float(small.std()) < FLAT:
        return None
    low = cv2.dct(small.astype(np.float32))[1 : SIDE + 1, 1 : SIDE + 1].ravel()
    return np.packbits(low > np.median(low))


def distance(first: Hashes, second: Hashes) -> NDArray[np.int64]:
    """Return the number of bits (N, M) in which N and M hashes differ."""
    bits = np.unpackbits(first[:, None, :] ^ second[None, :, :], axis=2)
    differing: NDArray[np.int64] = bits.sum(axis=2, dtype=np.int64)
    return differing


def near_duplicates(
    hashes: Mapping[str, Hashes], *, max_bits: int = MAX_BITS
) -> Iterator[tuple[str, str, int]]:
    """Yield pairs of videos that show the same footage, with their median distance in bits.

    Two videos do where at least half of the crops of the one with fewer have a like in the other.
    Only hashes that agree in one of 16 bands are compared, so the time grows with the number of
    videos, not with its square.

    Args:
        hashes: The hashes of each video's crops, by the video's key.
        max_bits: Two hashes are alike up to this distance.
    """
    keys = sorted(hashes)
    for a, b in sorted(_pairs_with_a_like([hashes[key] for key in keys], max_bits)):
        first, second = sorted((hashes[keys[a]], hashes[keys[b]]), key=len)
        nearest = distance(first, second).min(axis=1)
        if np.count_nonzero(nearest <= max_bits) * 2 >= len(nearest):
            yield keys[a], keys[b], int(np.median(nearest))


def _pairs_with_a_like(hashes: list[Hashes], max_bits: int) -> set[tuple[int, int]]:
    """Return pairs of numbers of videos of which two crops are alike."""
    owners = np.repeat(np.arange(len(hashes)), [len(each) for each in hashes])
    if not len(owners):
        return set()
    table = np.concatenate(hashes)
    bits = np.unpackbits(table, axis=1)
    found: set[tuple[int, int]] = set()
    for band in range(BANDS):
        # Every 16th bit: neighbouring frequencies are alike in all faces, far ones are not.
        values = np.packbits(bits[:, band::BANDS], axis=1).view(np.uint16).ravel()
        for first, second in _equal(values):
            other = owners[first] != owners[second]
            first, second = first[other], second[other]
            like = _bits(table[first] ^ table[second]) <= max_bits
            pairs = np.sort(np.stack([owners[first[like]], owners[second[like]]], axis=1), axis=1)
            found.update(map(tuple, np.unique(pairs, axis=0).tolist()))
    return found


def _equal(values: NDArray[np.uint16]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield the positions of pairs of equal values, but of those that too many share."""
    order = np.argsort(values, kind="stable")
    _, number, counts = np.unique(values[order], return_inverse=True, return_counts=True)
    order = order[counts[number] <= CROWD]
    ordered = values[order]
    left = np.arange(len(order))
    for shift in range(1, CROWD):
        left = left[left < len(order) - shift]
        left = left[ordered[left] == ordered[left + shift]]
        if not len(left):
            return
        yield order[left], order[left + shift]


def _bits(differing: Hashes) -> NDArray[np.int64]:
    """Return the number of bits (N,) that are set."""
    counts: NDArray[np.int64] = BITS_OF_BYTE[differing].sum(axis=1, dtype=np.int64)
    return counts


def hash_all(crops: Iterable[tuple[str, Image]]) -> dict[str, Hashes]:
    """Return the hashes of each video's crops; a video with plain surfaces only is left out."""
    found: defaultdict[str, list[NDArray[np.uint8]]] = defaultdict(list)
    for video, image in crops:
        value = perceptual_hash(image)
        if value is not None:
            found[video].append(value)
    return {video: np.stack(values) for video, values in found.items()}
