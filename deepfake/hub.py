"""The documented names of `deepfake.checkpoints.hub`."""

from deepfake.checkpoints.hub import load_pretrained, push

__all__ = ["load_pretrained", "push"]
