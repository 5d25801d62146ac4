"""Photographs in, crops out."""

import struct
import warnings
import zlib
from pathlib import Path

import cv2
import numpy as np
from PIL import (  # a format can be opened only where its module is imported
    BmpImagePlugin,
    GifImagePlugin,
    ImageOps,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
from PIL import Image as Pillow

from preprocessing.errors import VideoError
from preprocessing.types import Image

IMAGE_SUFFIXES = frozenset([".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"])
JPEG_QUALITY = 95
# By content, whatever the name says. Others of Pillow's formats start programs (EPS) or are rare.
FORMATS = tuple(
    opener.format
    for opener in (
        PngImagePlugin.PngImageFile,
        JpegImagePlugin.JpegImageFile,
        WebPImagePlugin.WebPImageFile,
        BmpImagePlugin.BmpImageFile,
        TiffImagePlugin.TiffImageFile,
        GifImagePlugin.GifImageFile,
    )
)
# What Pillow raises on damaged files, beside its own errors.
_DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    struct.error,
    zlib.error,
    Pillow.DecompressionBombError,
)


def read_image(path: Path, *, max_pixels: int) -> tuple[Image, str]:
    """Return a photograph (H, W, 3), upright as its EXIF says, and its format's name.

    Raises:
        VideoError: It is no image, or has more pixels than allowed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about damaged metadata and sizes below our limit
            with Pillow.open(path, formats=FORMATS) as picture:
                if picture.width * picture.height > max_pixels:
                    raise VideoError(
                        f"{path.name} has {picture.width}x{picture.height} pixels, "
                        f"over the limit of {max_pixels:,}. If you trust it, raise --max-pixels."
                    )
                upright = ImageOps.exif_transpose(picture).convert("RGB")
                return np.asarray(upright, dtype=np.uint8), (picture.format or "image").lower()
    except _DAMAGED as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise VideoError(f"{path.name} cannot be read as an image ({reason})") from error


def encode_image(image: Image, image_format: str) -> bytes:
    """Return the bytes of a PNG or JPEG file of an RGB image (H, W, 3)."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    if image_format == "jpg":
        parameters = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    else:
        parameters = [cv2.IMWRITE_PNG_COMPRESSION, 1]  # a third of the time, 8 % larger
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
