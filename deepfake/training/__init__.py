"""Training: the classifier, its runs, and the command line over Lightning."""

from deepfake.training.cli import train

__all__ = ["train"]
