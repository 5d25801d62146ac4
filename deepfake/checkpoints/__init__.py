"""Checkpoints: ours, exported graphs, the shipped default, everyone's published ones."""

from deepfake.checkpoints.loading import Checkpoint, find_checkpoint, load, load_network
from deepfake.checkpoints.settings import Settings

__all__ = ["Checkpoint", "Settings", "find_checkpoint", "load", "load_network"]
