"""Frames of videos and photographs, as a player shows them."""

from preprocessing.types import FrameIndex, ReadReport, VideoInfo
from preprocessing.video.index import evenly_spaced, index_frames
from preprocessing.video.read import read_frames

__all__ = [
    "evenly_spaced",
    "FrameIndex",
    "index_frames",
    "read_frames",
    "ReadReport",
    "VideoInfo",
]
