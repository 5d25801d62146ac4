"""Crops as image files."""

import cv2
import numpy as np

from preprocessing.errors import VideoError
from preprocessing.types import Image

JPEG_QUALITY = 95
# Differences to the pixel above, in runs of equal ones: half the time of zlib's fastest level at
# the same size. OpenCV before 4.12 does not let choose the filter, and then gains little.
PNG_FAST = [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
if hasattr(cv2, "IMWRITE_PNG_FILTER"):
    PNG_FAST += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]


def encode_image(image: Image, image_format: str) -> bytes:
    """Return the bytes of a PNG or JPEG file of an RGB image (H, W, 3)."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    parameters = {"jpg": [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY], "png": PNG_FAST}[image_format]
    done, data = cv2.imencode(f".{image_format}", bgr, parameters)
    assert done
    return bytes(data)


def decode_image(data: bytes) -> Image:
    """Return the RGB image (H, W, 3) of a PNG or JPEG file that `encode_image` made.

    Raises:
        VideoError: The bytes are no image.
    """
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if bgr is None:
        raise VideoError(f"{len(data)} bytes are no image that can be read")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)
