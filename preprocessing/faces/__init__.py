"""Where faces are in a frame."""
