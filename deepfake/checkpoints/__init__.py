"""Checkpoints: ours, exported graphs, the shipped default, everyone's published ones."""

from deepfake.checkpoints.loading import Checkpoint, Settings, find_checkpoint, load, load_network

__all__ = ["Checkpoint", "Settings", "find_checkpoint", "load", "load_network"]
