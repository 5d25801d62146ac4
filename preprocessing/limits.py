"""How much a single video may cost. Far above what people record, far below what hurts."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What a video may ask for; more is refused in one line, or left out and counted.

    Args:
        pixels: Per frame, checked in the header before anything is decoded; 8K has 33 million.
        duration_s: From the first to the last time stamp, in seconds.
        decoded_bytes: Of all frames that are decoded on the way to those that are looked at.
        faces: Per frame; the largest are kept.
        tracks: Per video; the longest are kept.
    """

    pixels: int = 40_000_000
    duration_s: float = 24 * 3600.0
    decoded_bytes: int = 2**40  # an hour of 1080p at 60 frames a second without a key frame: 0.6
    faces: int = 40
    tracks: int = 50

    def __post_init__(self) -> None:
        for name in ("pixels", "duration_s", "decoded_bytes", "faces", "tracks"):
            value = getattr(self, name)
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(f"{name} must be above 0, got {value}")


DEFAULT = Limits()
