"""Data sets in the layouts that their own downloads leave; most are told by `layouts.yaml`."""

from deepfake.data.sources.base import VideoSource
from deepfake.data.sources.find import find_source, find_videos
from deepfake.data.sources.summary import summary
from deepfake.errors import SourceError

__all__ = ["find_videos", "find_source", "summary", "SourceError", "VideoSource"]
