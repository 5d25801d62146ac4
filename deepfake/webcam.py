"""Recording a camera into a clip, which is then judged like any other."""

import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from preprocessing.errors import VideoError


def record(camera: int, path: Path, seconds: float) -> None:
    """Record a camera for some seconds, with true times.

    Args:
        camera: Number of the camera, from 0.
        path: File to write, an .mp4.
        seconds: How long.

    Raises:
        VideoError: There is no such camera, or it gives no picture.
    """
    source = cv2.VideoCapture(camera)
    try:
        if not source.isOpened():
            raise VideoError(
                f"camera {camera} cannot be opened. Check that it is plugged in and free, and that "
                "you may read it (on Linux /dev/video*)."
            )
        _write(source, path, seconds, camera)
    finally:
        source.release()


def _write(source: cv2.VideoCapture, path: Path, seconds: float, camera: int) -> None:
    begin, last = time.monotonic(), -1
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(30))
        assert isinstance(stream, av.VideoStream)
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "12", "preset": "veryfast"}
        stream.codec_context.time_base = Fraction(1, 1000)
        while (now := time.monotonic() - begin) < seconds:
            there, image = source.read()
            stamp = int(now * 1000)
            if not there or stamp <= last:
                if not there:
                    break
                continue
            even = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
            if last < 0:
                stream.height, stream.width = even.shape[:2]
            frame = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(even, dtype=np.uint8), format="bgr24"
            )
            frame.time_base, frame.pts, last = Fraction(1, 1000), stamp, stamp
            container.mux(stream.encode(frame))
        if last < 0:
            raise VideoError(f"camera {camera} gives no picture")
        container.mux(stream.encode())
