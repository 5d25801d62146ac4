"""Opening a file as a video, and what its header says, trusting it with nothing."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.codec.hwaccel import HWAccel
from av.error import FFmpegError

from preprocessing.errors import VideoError
from preprocessing.limits import Limits
from preprocessing.video.shown import shown_size

# Containers of one file. Playlists (HLS, DASH, concat) and file name patterns would open others.
DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,flv,asf,gif,ogg,mxf,dv,ivf,"
    "h264,hevc,av1,obu,m4v,mjpeg,yuv4mpegpipe,jpeg_pipe,png_pipe,wav,mp3,aac,flac"
)
_CLOCK = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")


@contextmanager
def opened(
    path: Path, limits: Limits, device: str = "cpu"
) -> Iterator["av.container.InputContainer"]:
    """Open a video; what the libraries raise inside becomes a `VideoError`.

    Args:
        path: The video.
        limits: Of pixels.
        device: "cpu", or a GPU as torch names it, whose decoder (NVDEC) then works where it knows
            the codec, and the CPU where not.
    """
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": DEMUXERS,
        "max_pixels": str(limits.pixels),  # of every decoder, also where frames change size
    }
    # An absolute path: "concat:a|b" and "http:..." are file names here, never protocols.
    name = os.path.abspath(path)  # noqa: PTH100  Path.resolve would follow links
    try:
        with av.open(
            name, options=options, metadata_errors="replace", hwaccel=_accelerator(device)
        ) as container:
            yield container
    except FFmpegError as error:
        raise VideoError(f"{path.name} cannot be read as a video ({error.strerror})") from error
    except (ValueError, OverflowError, UnicodeError) as error:
        reason = " ".join(str(error).split())
        raise VideoError(f"{path.name} cannot be read as a video ({reason})") from error


def _accelerator(device: str) -> HWAccel | None:
    kind, _, number = device.partition(":")
    return None if kind == "cpu" else HWAccel(kind, number or None)


def file_bytes(path: Path) -> int:
    """Return the size of a file.

    Raises:
        VideoError: It is missing, no plain file, or empty.
    """
    try:
        there = path.is_file()  # a pipe or a device would be waited for
        size = path.stat().st_size if there else 0
    except (OSError, ValueError) as error:
        raise VideoError(f"{path} cannot be read ({error})") from error
    if not there:
        raise VideoError(f"{path} does not exist or is not a file")
    if size == 0:
        raise VideoError(f"{path.name} is empty (0 bytes)")
    return size


def shown_stream(
    container: "av.container.InputContainer", path: Path, limits: Limits
) -> "av.VideoStream":
    """Return the stream of moving pictures that is shown: the default, the largest, the first.

    Cover art, thumbnails and tracks of one picture beside a longer one do not count.

    Raises:
        VideoError: There is none, or its frames have no size or too large a one.
    """
    kinds = av.stream.Disposition
    aside = kinds.attached_pic | kinds.timed_thumbnails | kinds.still_image | kinds.dependent
    pictures = [stream for stream in container.streams.video if stream.codec_context is not None]
    moving = [stream for stream in pictures if not stream.disposition & aside]
    if not moving:
        found = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        if container.streams.video:
            found = "a cover picture alone" if pictures else "one in a codec that is not known here"
        raise VideoError(f"{path.name} has no video stream (found: {found})")
    stream = max(
        moving,
        key=lambda stream: (
            stream.frames != 1,
            bool(stream.disposition & kinds.default),
            stream.width * stream.height,
            -stream.index,
        ),
    )
    if stream.width < 1 or stream.height < 1:
        # So it is also where a decoder refused, while probing, to go over the limit.
        raise VideoError(
            f"{path.name} has frames of no size, or of more than the limit of {limits.pixels:,} "
            "pixels"
        )
    width, height = shown_size(stream.width, stream.height, stream.sample_aspect_ratio)
    if width * height > limits.pixels:
        raise VideoError(
            f"{path.name} has frames of {width}x{height} pixels, over the limit of "
            f"{limits.pixels:,}. If you trust it, raise --max-pixels."
        )
    return stream


def complete(
    container: "av.container.InputContainer",
    stream: "av.VideoStream",
    *,
    packets: int,
    end_s: float,
    limits: Limits,
) -> float:
    """Return the share of what the header promises that is in the file, in [0, 1].

    Args:
        container: The file.
        stream: Its video.
        packets: Found in the stream, those of no use included.
        end_s: End of the last of them, in seconds.
        limits: A promise of more than their duration is no promise.
    """
    promised_frames = stream.frames
    if "mov" in container.format.name and promised_frames:  # an edit list leaves some out
        promised_frames = len(stream.index_entries) or promised_frames
    if promised_frames > 0:
        return min(1.0, packets / promised_frames)
    # Other containers estimate their duration from what is there, so it says nothing.
    if not {"matroska", "mov"} & set(container.format.name.split(",")):
        return 1.0
    promised = _seconds(stream.metadata.get("DURATION", ""))
    if promised == 0.0 and len(container.streams) == 1:  # sound may be longer than the picture
        promised = (container.duration or 0) / av.time_base
    if not 0.0 < promised <= limits.duration_s:
        return 1.0
    return max(0.0, min(1.0, end_s / promised))


def _seconds(clock: str) -> float:
    found = _CLOCK.match(clock)
    if not found:
        return 0.0
    return 3600 * int(found[1]) + 60 * int(found[2]) + float(found[3])
