"""The old place of `deepfake.training.metrics`, for one minor release."""

from deepfake.training.metrics import VideoMetrics

__all__ = ["VideoMetrics"]
