"""Reading photographs. Loaded only where one is read: Pillow costs 0.06 CPU s to import."""

import struct
import warnings
import zlib
from pathlib import Path

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
