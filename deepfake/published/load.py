"""The old place of `deepfake.checkpoints.published.load`, for one minor release."""

from deepfake.checkpoints.published.load import load_published

__all__ = ["load_published"]
