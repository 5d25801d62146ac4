"""From a decoded frame to the picture that a player shows: upright, unsquashed, in 8-bit sRGB."""

from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np
from av.error import FFmpegError
from av.sidedata.sidedata import SideDataContainer, Type
from numpy.typing import NDArray

from preprocessing.types import Image

if TYPE_CHECKING:
    import av

PQ, HLG = 16, 18  # transfer characteristics of ITU-T H.273
WHITE_NITS = 203.0  # of paper in HDR, ITU-R BT.2408; what SDR shows as white
PEAK_NITS = 1000.0  # of the display that most HDR is made for
GAMMA = 2.4  # of an SDR display, ITU-R BT.1886
# ITU-R BT.2020 to BT.709, both linear, from ITU-R BT.2087.
TO_709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    np.float32,
)
ASPECTS = (1 / 8, 8)  # of a pixel; beyond lies nothing but damage


def shown_size(width: int, height: int, aspect: Fraction | None) -> tuple[int, int]:
    """Return width and height in square pixels: the short side is stretched, none is shrunk."""
    ratio = float(aspect or 1)
    if not ASPECTS[0] <= ratio <= ASPECTS[1]:
        ratio = 1.0
    return round(width * max(ratio, 1.0)), round(height * max(1 / ratio, 1.0))


def shown(frame: "av.VideoFrame", aspect: Fraction | None) -> Image | None:
    """Return the picture (H, W, 3); None where the decoder's format has no colours.

    Args:
        frame: As decoded.
        aspect: Width by height of a pixel; None for square.
    """
    width, height = shown_size(frame.width, frame.height, aspect)
    try:
        if frame.color_trc in (PQ, HLG):
            deep = frame.to_ndarray(format="rgb48le", width=width, height=height)
            image = _tone_mapped(np.asarray(deep, np.uint16), frame.color_trc)
        else:
            shallow = frame.to_ndarray(
                format="rgb24", width=width, height=height, interpolation="BICUBIC"
            )
            image = np.asarray(shallow, dtype=np.uint8)
    except (FFmpegError, ValueError):
        return None
    return upright(image, _matrix(frame))


def _matrix(frame: "av.VideoFrame") -> tuple[int, int, int, int]:
    """Return the display matrix (a, b, c, d): x' = a x + c y, y' = b x + d y."""
    try:
        # `frame.side_data` is kept and holds the frame: only the garbage collector would free both.
        given = SideDataContainer(frame)  # type: ignore[call-arg]
        data = np.frombuffer(bytes(given[Type.DISPLAYMATRIX]), np.int32)
    except (KeyError, ValueError):  # none, or beside data of a kind that PyAV does not know
        return 1, 0, 0, 1
    a, b, _, c, d = (int(value) for value in data[:5])
    return a, b, c, d


def upright(image: Image, matrix: tuple[int, int, int, int]) -> Image:
    """Return a picture turned and mirrored as its display matrix says, to a quarter of a turn."""
    a, b, c, d = matrix
    across, down = a, d
    if abs(b) + abs(c) > abs(a) + abs(d):
        image, across, down = image.swapaxes(0, 1), c, b
    turned = image[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]
    return np.ascontiguousarray(turned)


def _tone_mapped(signal: NDArray[np.uint16], transfer: int) -> Image:
    """Return an SDR picture (H, W, 3) of an HDR one, by ITU-R BT.2390 on the brightest channel."""
    light = _light(transfer)[signal]
    if transfer == HLG:  # from the light of the scene to that of a display, ITU-R BT.2100
        luminance = light @ np.array([0.2627, 0.678, 0.0593], np.float32)
        light *= PEAK_NITS * np.power(luminance, 0.2)[..., None]
    nits, scale = _curve()
    light *= np.interp(light.max(-1), nits, scale).astype(np.float32)[..., None]
    linear = np.clip(cv2.transform(light, TO_709), 0, 1)
    encoded: Image = _encoded()[(linear * 65535).astype(np.uint16)]
    return encoded


@cache
def _light(transfer: int) -> NDArray[np.float32]:
    """Return what each of 65536 values of a signal means: nits (PQ) or light of the scene (HLG)."""
    signal = np.linspace(0, 1, 65536)
    if transfer == PQ:
        return _from_pq(signal).astype(np.float32)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    light = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    return light.astype(np.float32)


@cache
def _curve() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return luminances and the factors that bring each to a fraction of SDR's white."""
    nits = np.concatenate([[1e-4], np.geomspace(0.01, 10_000, 1024)])
    white, peak = _to_pq(np.array([WHITE_NITS, PEAK_NITS]))
    level, top = np.minimum(_to_pq(nits) / peak, 1.0), white / peak
    knee = 1.5 * top - 0.5
    t = np.clip((level - knee) / (1 - knee), 0, 1)
    rolled = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (3 * t**2 - 2 * t**3) * top
    )
    out = _from_pq(np.where(level < knee, level, rolled) * peak)
    return nits, out / nits / WHITE_NITS


@cache
def _encoded() -> NDArray[np.uint8]:
    return np.round(np.linspace(0, 1, 65536) ** (1 / GAMMA) * 255).astype(np.uint8)


def _from_pq(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return nits of a signal in [0, 1], by SMPTE ST 2084."""
    power = signal ** (32 / 2523)
    return 10_000 * (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (
        8192 / 1305
    )


def _to_pq(nits: NDArray[np.float64]) -> NDArray[np.float64]:
    power = (nits / 10_000) ** (1305 / 8192)
    result: NDArray[np.float64] = ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** (
        2523 / 32
    )
    return result
