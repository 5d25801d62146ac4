"""Videos that show the same footage, found by perceptual hashes of their crops."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.crops.cropping import alignment
from preprocessing.types import Image

Hashes = NDArray[np.uint8]  # (N, HASH_BYTES), or twice that: of crops, then of their mirrors

SIDE = 16  # coefficients a side: 64 bits, as in the report cited, do not tell faces apart
HASH_BYTES = SIDE * SIDE // 8
BANDS = 16  # of 16 bits: two hashes that differ in fewer than 16 bits share one for certain
# 135 clips of 12 sources, aligned: made half as large, saved as JPEG at quality 30, landmarks moved
# by 3 % of the eyes' distance, crops differ from their originals in 22 bits (median) to 54 (99 %),
# mirrored 30 to 64. Of 9,045 pairs all below 60 were of one footage (a fake and its real, two fakes
# by one driving clip); 95 % differ in 98 and more.
MAX_BITS = 58
SEVERAL, FEW_BITS = 3, 40  # with fewer crops than several, chance has to be kept out by each
FLAT = 4.0  # grey levels: below this deviation a crop is a plain surface and its hash is noise
APART = 0.1  # of the crop's longer side; eyes nearer to each other place a face badly
AROUND = 0.5  # kept around an aligned face, as a fraction of its side
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
    return _bits(first[:, None, :] ^ second[None, :, :])


def near_duplicates(
    hashes: Mapping[str, Hashes],
    others: Mapping[str, Hashes] | None = None,
    *,
    max_bits: int = MAX_BITS,
) -> Iterator[tuple[str, str, int]]:
    """Yield pairs of videos that show the same footage, with their median distance in bits.

    Two videos do where at least half of the crops of the one with fewer have a like in the other,
    or in its mirror. Only hashes that agree in one of 16 bands are compared, so the time grows with
    the number of videos, not with its square.

    Args:
        hashes: The hashes of each video's crops, by the video's key.
        others: Of other videos; then only pairs of one of each are looked for.
        max_bits: Two hashes are alike up to this distance.
    """
    listed = [*sorted(hashes.items()), *sorted((others or {}).items())]
    keys, every = [key for key, _ in listed], [each for _, each in listed]
    for a, b in sorted(_pairs_with_a_like(every, max_bits)):
        if others is not None and (a < len(hashes)) == (b < len(hashes)):
            continue
        first, second = sorted((every[a], every[b]), key=len)
        found = [distance(first[:, :HASH_BYTES], other) for other in _sides(second)]
        found += [distance(other, second[:, :HASH_BYTES]) for other in _sides(first)[1:]]
        nearest = min((one.min(axis=1) for one in found), key=lambda one: float(np.median(one)))
        bits = max_bits if len(nearest) >= SEVERAL else min(max_bits, FEW_BITS)
        if np.count_nonzero(nearest <= bits) * 2 >= len(nearest):
            yield keys[a], keys[b], int(np.median(nearest))


def _sides(hashes: Hashes) -> list[Hashes]:
    """Return the hashes of crops, and those of their mirrors where they are there."""
    return [hashes[:, k : k + HASH_BYTES] for k in range(0, hashes.shape[1], HASH_BYTES)]


def _pairs_with_a_like(hashes: list[Hashes], max_bits: int) -> set[tuple[int, int]]:
    """Return pairs of numbers of videos of which two crops are alike."""
    sides = [(owner, side) for owner, each in enumerate(hashes) for side in _sides(each)]
    if not sides:
        return set()
    owners = np.repeat([owner for owner, _ in sides], [len(side) for _, side in sides])
    table = np.concatenate([side for _, side in sides])
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
    """Return the number of bits (...) that are set in hashes (..., HASH_BYTES)."""
    counts: NDArray[np.int64] = BITS_OF_BYTE[differing].sum(axis=-1, dtype=np.int64)
    return counts


def face_hash(image: Image, points: NDArray[np.float32]) -> NDArray[np.uint8] | None:
    """Return the hashes (64,) of a face, upright with its eyes in place, and of its mirror.

    None for a plain surface. A face whose eyes are hardly apart, as from the side, is taken as it
    was cut.

    Args:
        image: A crop (H, W) or (H, W, 3).
        points: Five landmarks in its pixels (5, 2).
    """
    mirrored = points[[1, 0, 2, 4, 3]] * np.array([-1, 1], np.float32)
    mirrored[:, 0] += image.shape[1] - 1
    upright, mirror = _upright(image, points), _upright(image[:, ::-1], mirrored)
    found = [perceptual_hash(one) for one in (upright, mirror)]
    return None if found[0] is None or found[1] is None else np.concatenate([found[0], found[1]])


def _upright(image: Image, points: NDArray[np.float32]) -> Image:
    image = np.ascontiguousarray(image)
    if float(np.linalg.norm(points[1] - points[0])) < APART * max(image.shape[:2]):
        return image
    matrix = alignment(points, 4 * SIDE, AROUND)
    shrink = 2 * float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if shrink < 1:  # warping looks at four pixels only
        small = cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        image = np.asarray(small, dtype=np.uint8)
        matrix[:, :2] /= shrink
    warped = cv2.warpAffine(image, matrix, (4 * SIDE,) * 2, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, dtype=np.uint8)


def hash_all(crops: Iterable[tuple[str, Image, NDArray[np.float32]]]) -> dict[str, Hashes]:
    """Return the hashes of each video's crops; a video with plain surfaces only is left out."""
    found: defaultdict[str, list[NDArray[np.uint8]]] = defaultdict(list)
    for video, image, points in crops:
        value = face_hash(image, points)
        if value is not None:
            found[video].append(value)
    return {video: np.stack(values) for video, values in found.items()}
