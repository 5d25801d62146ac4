"""The old place of `preprocessing.video.photographs`, for one minor release."""

from preprocessing.video.photographs import read_image

__all__ = ["read_image"]
