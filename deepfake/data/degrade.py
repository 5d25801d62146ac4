"""Damage that albumentations lacks: resize chains, video re-encoding, hidden parts of a face."""

from collections.abc import Sequence
from fractions import Fraction

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.errors import VideoError
from preprocessing.types import Image

_MODES = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_NEAREST)


def resize_chain(image: Image, rng: np.random.Generator) -> Image:
    """Shrink to 30-90 % and enlarge again, once or twice, as platforms and players do."""
    height, width = image.shape[:2]
    for _ in range(rng.integers(1, 3)):
        scale = rng.uniform(0.3, 0.9)
        small = (max(8, round(width * scale)), max(8, round(height * scale)))
        down, up = rng.choice(3, p=(0.6, 0.2, 0.2)), rng.integers(1, 4 if scale > 0.6 else 3)
        shrunk = cv2.resize(image, small, interpolation=_MODES[down])
        enlarged = cv2.resize(shrunk, (width, height), interpolation=_MODES[up])
        image = np.asarray(enlarged, dtype=np.uint8)
    return image


def recompress_video(clip: Sequence[Image], *, crf: int) -> list[Image]:
    """Encode frames as H.264 and decode them.

    A single image becomes a clip of two, of which the second comes back, so that it has been
    predicted from another frame as most frames of a video are.

    Args:
        clip: Frames (H, W, 3), RGB, all of one size.
        crf: Constant rate factor of x264, 0 (lossless) to 51 (worst).
    """
    lead = [np.roll(clip[0], 1, axis=1)] if len(clip) == 1 else []
    options = {"preset": "veryfast", "tune": "zerolatency"}
    return h264([*lead, *clip], crf=crf, skip=len(lead), **options)


def h264(frames: Sequence[Image], *, crf: int, skip: int = 0, **options: str) -> list[Image]:
    """Return frames (H, W, 3) of one size after libx264, 4:2:0.

    Args:
        frames: RGB.
        crf: Constant rate factor.
        skip: So many of the first do not come back.
        options: Others of the encoder, such as its preset.

    Raises:
        VideoError: Not every frame came back.
    """
    height, width = frames[0].shape[:2]
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height = width + width % 2, height + height % 2
    encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, 25)
    encoder.thread_count = 1
    encoder.options = {"crf": str(crf), **options}
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    packets = []
    for number, image in enumerate(frames):
        even = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    decoded = [frame for packet in packets for frame in decoder.decode(packet)]
    decoded += decoder.decode(None)
    if len(decoded) != len(frames):
        raise VideoError(f"H.264 gave {len(decoded)} of {len(frames)} frames back")
    images = [frame.to_ndarray(format="rgb24")[:height, :width] for frame in decoded[skip:]]
    return [np.asarray(image, dtype=np.uint8) for image in images]


def cut_out_part(image: Image, points: NDArray[np.float32], rng: np.random.Generator) -> Image:
    """Hide the eyes, an eye, the nose, the mouth or a side of the face.

    Args:
        image: Crop (H, W, 3).
        points: Five or 68 landmarks, in pixels of the crop.
        rng: Draws the part and what covers it.
    """
    left, right, nose, mouth_left, mouth_right = five_points(points)
    eyes, mouth = (left + right) / 2, (mouth_left + mouth_right) / 2
    unit = max(float(np.linalg.norm(right - left)), float(np.linalg.norm(mouth - eyes)), 2.0)
    parts = {
        "eyes": (eyes, 1.0, 0.35),
        "left eye": (left, 0.4, 0.3),
        "right eye": (right, 0.4, 0.3),
        "nose": (nose, 0.35, 0.4),
        "mouth": (mouth, 0.6, 0.35),
        "left side": ((left + mouth_left) / 2, 0.4, 1.0),
        "right side": ((right + mouth_right) / 2, 0.4, 1.0),
    }
    centre, half_width, half_height = parts[list(parts)[rng.integers(len(parts))]]
    reach = np.array([half_width, half_height]) * unit * rng.uniform(0.7, 1.2)
    low = np.clip(np.floor(centre - reach), 0, None).astype(int)
    high = np.ceil(centre + reach).astype(int)
    changed = image.copy()
    region = changed[low[1] : max(high[1], 0), low[0] : max(high[0], 0)]
    if region.size:
        region[:] = (
            rng.integers(0, 256, 3) if rng.random() < 0.5 else rng.integers(0, 256, region.shape)
        )
    return changed


def five_points(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return eyes, nose and mouth corners (5, 2) of five or 68 landmarks."""
    if len(points) == 5:
        return points
    eyes = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
    return np.stack([*eyes, points[30], points[48], points[54]])
