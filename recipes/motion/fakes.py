"""Wrong motion made from real landmark tracks: (T, 68, 2) at the clip's own frame rate.

A track is taken apart into the head's motion and the face's; one or the other is changed and both
are put together again. Where motion is smoothed, the noise of the landmarks' finder is put back,
taken from another time: it is found in every video, however its face was made.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from recipes.motion.network import REGIONS, RIGID

Track = NDArray[np.float64]
Complexes = NDArray[np.complex128]
NOISE = 1.0  # frames: what is faster than this is taken for noise of the finder
MOUTH = slice(48, 68)
JAW = slice(4, 13)


def apart(track: Track) -> tuple[Complexes, Complexes, Complexes]:
    """Return the face without its head's motion (T, 68), and the head's turn and place (T,)."""
    points = track[..., 0] + 1j * track[..., 1]
    rigid = points[:, list(RIGID)]
    place = rigid.mean(axis=1)
    centred = rigid - place[:, None]
    reference = centred[len(centred) // 2]
    for _ in range(2):
        turn = (centred @ reference.conj()) / (np.abs(reference) ** 2).sum()
        reference = (centred / turn[:, None]).mean(axis=0)
    return (points - place[:, None]) / turn[:, None], turn, place


def together(face: Complexes, turn: Complexes, place: Complexes) -> Track:
    """Undo `apart`."""
    points = face * turn[:, None] + place[:, None]
    return np.stack([points.real, points.imag], axis=-1)


def smooth(series: Complexes, sigma: float) -> Complexes:
    """Return a series (T, ...) blurred in time, sigma in frames."""
    real, imaginary = (
        gaussian_filter1d(s, sigma, axis=0, mode="nearest") for s in (series.real, series.imag)
    )
    return real + 1j * imaginary


def noise_of(face: Complexes, rng: np.random.Generator) -> Complexes:
    """Return the finder's noise of a face, from another time."""
    return np.roll(face - smooth(face, NOISE), int(rng.integers(5, max(6, len(face) - 5))), axis=0)


def jittered(track: Track, rng: np.random.Generator) -> Track:
    """Shake each region of the face by itself, as frames generated one by one do."""
    face, turn, place = apart(track)
    size = np.abs(face).max()
    for first, last in REGIONS:
        amount = rng.uniform(0, 0.012) * size
        shape = (len(face), 1 + int(rng.random() < 0.5) * (last - first - 1))
        shake = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
        face[:, first:last] += amount * smooth(shake, rng.uniform(0.3, 1.0))
    return together(face, turn, place)


def smoothed(track: Track, rng: np.random.Generator) -> Track:
    """Make the face, and at times the head, move too evenly."""
    face, turn, place = apart(track)
    noise = noise_of(face, rng)
    sigma = rng.uniform(1.2, 4.0)
    face = smooth(face, sigma) + noise
    if rng.random() < 0.5:
        turn, place = smooth(turn, sigma), smooth(place, sigma)
    return together(face, turn, place)


def resampled(track: Track, rng: np.random.Generator) -> Track:
    """Give the face fewer key frames than the video has, and interpolate between."""
    face, turn, place = apart(track)
    noise = noise_of(face, rng)
    step = rng.uniform(1.6, 4.5)
    keys = np.arange(rng.uniform(0, step), len(face) - 1, step)
    low = smooth(face, NOISE)
    times = np.arange(len(face))
    at = np.stack(
        [np.interp(keys, times, c.real) + 1j * np.interp(keys, times, c.imag) for c in low.T], 1
    )
    back = [np.interp(times, keys, c.real) + 1j * np.interp(times, keys, c.imag) for c in at.T]
    return together(np.stack(back, axis=1) + noise, turn, place)


def other_mouth(track: Track, rng: np.random.Generator, other: Track) -> Track:
    """Move the mouth, and at times the jaw, as at another time or of another person."""
    face, turn, place = apart(track)
    source = apart(other)[0]
    length = len(face)
    source = np.tile(source, (length // len(source) + 2, 1))
    start = int(rng.integers(len(source) - length + 1))
    source = source[start : start + length]
    ratio = np.abs(face[:, 54] - face[:, 48]).mean() / max(
        1e-9, np.abs(source[:, 54] - source[:, 48]).mean()
    )
    parts = [MOUTH] + ([JAW] if rng.random() < 0.5 else [])
    for part in parts:
        moving = source[:, part] - source[:, part].mean(axis=0)
        still = smooth(face[:, part], 6.0) * 0.3 + face[:, part].mean(axis=0) * 0.7
        face[:, part] = still + ratio * rng.uniform(0.7, 1.2) * moving
    return together(face, turn, place)


def still_head(track: Track, rng: np.random.Generator) -> Track:
    """Hold the head, or move it slowly by itself, while the face goes on."""
    face, turn, place = apart(track)
    keep = rng.uniform(0, 0.3)
    noise_turn, noise_place = turn - smooth(turn, NOISE), place - smooth(place, NOISE)
    turn = turn.mean() + keep * (smooth(turn, 5.0) - turn.mean()) + noise_turn
    place = place.mean() + keep * (smooth(place, 5.0) - place.mean()) + noise_place
    return together(face, turn, place)


ALONE: tuple[Callable[[Track, np.random.Generator], Track], ...] = (
    jittered,
    smoothed,
    resampled,
    still_head,
)


def change(number: int, track: Track, other: Track, rng: np.random.Generator) -> tuple[str, Track]:
    """Return what was done to a track, and the wrong track; `other` lends its mouth."""
    kind = number % (len(ALONE) + 1)
    if kind == len(ALONE):
        return other_mouth.__name__, other_mouth(track, rng, other)
    return ALONE[kind].__name__, ALONE[kind](track, rng)
