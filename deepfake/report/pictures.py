"""Crops as pictures inside a page."""

import base64

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.types import Image

QUALITY = 82  # of the JPEGs: 4 KB for 112 pixels


def data_uri(image: Image, side: int) -> str:
    """Return an RGB image (H, W, 3), shrunk to a longest side in pixels, as a data URI."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg(image, side)).decode()


def jpeg(image: Image, side: int) -> bytes:
    """Return an RGB image (H, W, 3), shrunk to a longest side in pixels, as JPEG."""
    height, width = image.shape[:2]
    ratio = side / max(height, width)
    if ratio < 1:
        size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert done
    return bytes(data.tobytes())


def heated(image: Image, heat: NDArray[np.float32]) -> Image:
    """Return a crop (S, S, 3) in grey, with its heat map (S, S) of [0, 1] over it in colour."""
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    levels = np.round(255 * heat).astype(np.uint8)
    colour = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    weight = (0.75 * heat**0.7)[:, :, None]
    mixed = grey * (1 - weight) + colour * weight
    return np.clip(np.round(mixed), 0, 255).astype(np.uint8)
