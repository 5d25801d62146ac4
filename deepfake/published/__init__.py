"""The old place of `deepfake.checkpoints.published`, for one minor release."""
