"""Photographs and animated pictures. Pillow is loaded only where one is read: 0.06 CPU s."""

import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from preprocessing.errors import VideoError, require
from preprocessing.limits import DEFAULT, Limits
from preprocessing.types import Frame, FrameIndex, Image, VideoInfo
from preprocessing.video.files import (
    AVIF,
    HEIF,
    IMAGE_SUFFIXES,
    PICTURES_IN_A_ROW,
    brands,
    content,
    head_of,
)

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

# By content, whatever the name says. Others of Pillow's formats start programs (EPS) or are rare.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "HEIF")
NO_DELAY_S = 0.1  # how long browsers show a frame that is said to last no time
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
)


def index_picture(path: Path, limits: Limits = DEFAULT) -> FrameIndex | None:
    """Return a photograph as a video of one frame, an animation with its times; None if neither.

    Raises:
        VideoError: It is damaged, over a limit, or needs a plugin that is not installed.
    """
    kind, suffix = content(head_of(path)), path.suffix.lower()
    if suffix in PICTURES_IN_A_ROW:
        return None
    if kind == "video" or (kind is None and suffix not in IMAGE_SUFFIXES):
        return None
    with _opened(path, limits.pixels) as picture:
        still = None
        times = np.zeros(1)
        if _frames(picture) > 1:
            times, duration = _times(picture, path, limits)
        else:
            still, duration = _rgb(picture), 0.0
        height, width = still.shape[:2] if still is not None else picture.size[::-1]
        size = path.stat().st_size
        info = VideoInfo(
            width=width,
            height=height,
            fps=len(times) / duration if duration else 0.0,
            duration_s=duration,
            codec=(picture.format or "image").lower(),
            pixel_format="rgb24",
            bit_rate=int(8 * size / duration) if duration else 0,
            file_bytes=size,
            frames=len(times),
            declared_frames=len(times),
        )
    numbers = np.arange(len(times))
    return FrameIndex(info, times, numbers, numbers, is_picture=True, still=still)


def read_picture(
    path: Path, index: FrameIndex, positions: Sequence[int], limits: Limits
) -> Iterator[Frame]:
    """Yield the frames at `positions` of the index."""
    if index.still is not None:
        yield from (Frame(0, 0.0, index.still) for _ in positions)
        return
    with _opened(path, limits.pixels) as picture:
        first = _first(picture)
        for position in positions:
            picture.seek(first + position)
            yield Frame(position, float(index.times_s[position]), _rgb(picture))


def read_image(path: Path, *, max_pixels: int) -> tuple[Image, str]:
    """Return a photograph (H, W, 3), upright as its EXIF says, and its format's name.

    Raises:
        VideoError: It is no image, or has more pixels than allowed.
    """
    with _opened(path, max_pixels) as picture:
        return _rgb(picture), (picture.format or "image").lower()


@contextmanager
def _opened(path: Path, max_pixels: int) -> "Iterator[Picture]":
    from PIL import Image as Pillow

    _load_formats(path)
    formats = [name for name in FORMATS if name in Pillow.OPEN]
    try:
        with warnings.catch_warnings():  # of a size for which there is a limit of our own
            warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
            opened = Pillow.open(path, formats=formats)
        with opened as found:
            if found.width * found.height > max_pixels:
                raise VideoError(
                    f"{path.name} has {found.width}x{found.height} pixels, "
                    f"over the limit of {max_pixels:,}. If you trust it, raise --max-pixels."
                )
            yield found
    except (*_DAMAGED, Pillow.DecompressionBombError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise VideoError(f"{path.name} cannot be read as an image ({reason})") from error


def _load_formats(path: Path) -> None:
    """Make Pillow know the formats: it opens only those whose module is imported."""
    from PIL import (  # noqa: F401
        BmpImagePlugin,
        GifImagePlugin,
        JpegImagePlugin,
        PngImagePlugin,
        TiffImagePlugin,
        WebPImagePlugin,
    )

    with suppress(ImportError):  # before Pillow 11.3
        from PIL import AvifImagePlugin  # noqa: F401
    names = brands(head_of(path))
    if names & HEIF and not names & AVIF:
        purpose = f"{path.name} is a HEIC photograph; unless you save it as JPEG, it"
        require("pillow_heif", "heif", purpose, VideoError)
        import pillow_heif

        pillow_heif.register_heif_opener()


def _first(picture: "Picture") -> int:
    """Return the first frame of an animation: APNG may hold a picture for those who know none."""
    return int(bool(getattr(picture, "default_image", False)))


def _frames(picture: "Picture") -> int:
    animated = picture.format in ("PNG", "WEBP", "AVIF")  # pages of a TIFF are no moving picture
    return getattr(picture, "n_frames", 1) - _first(picture) if animated else 1


def _times(picture: "Picture", path: Path, limits: Limits) -> tuple[NDArray[np.float64], float]:
    """Return when each frame of an animation is shown, and its end, in seconds."""
    count, first = _frames(picture), _first(picture)
    if count * picture.width * picture.height * 3 > limits.decoded_bytes:
        raise VideoError(
            f"{path.name} has more than {limits.decoded_bytes / 2**30:g} GiB of frames. "
            "If you trust it, raise --max-decoded."
        )
    ends = []
    for number in range(first, first + count):
        picture.seek(number)
        picture.load()  # only now WebP and AVIF say how long it lasts
        ends.append(float(picture.info.get("duration", 0)) / 1000 or NO_DELAY_S)
    total = np.cumsum([0.0, *ends])
    if total[-1] > limits.duration_s:
        raise VideoError(
            f"{path.name} lasts {total[-1]:.6g} s, over the limit of {limits.duration_s:g} s. "
            "If that is right, raise --max-duration."
        )
    return total[:-1], float(total[-1])


def _rgb(picture: "Picture") -> Image:
    """Return a picture (H, W, 3), upright, of whatever depth, with 8 bits."""
    from PIL import ImageOps

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about damaged metadata and sizes below our limit
        upright = ImageOps.exif_transpose(picture)
        if upright.mode[0] not in "IF":
            return np.asarray(upright.convert("RGB"), dtype=np.uint8)
        grey = np.nan_to_num(np.asarray(upright, dtype=np.float64))
    top = grey.max(initial=0.0)
    if upright.mode.startswith("I;16") or 255 < top < 65536:
        grey = grey / 257
    elif top >= 65536:
        grey = grey / (65536 * 257)
    elif upright.mode == "F" and top <= 1:
        grey = grey * 255
    eight = np.clip(np.round(grey), 0, 255).astype(np.uint8)
    return np.repeat(eight[..., None], 3, axis=2)
