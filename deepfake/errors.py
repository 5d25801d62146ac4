"""The project's errors. A command prints the message of a `DeepfakeError` and exits with 2."""

from preprocessing.errors import DeepfakeError, ManifestError, VideoError, require

__all__ = [
    "DeepfakeError",
    "ManifestError",
    "VideoError",
    "CheckpointError",
    "LeakError",
    "SourceError",
    "require",
]


class CheckpointError(DeepfakeError):
    """A checkpoint that is missing, damaged, unsafe or of an unknown network."""


class LeakError(DeepfakeError):
    """A split with the same person, video or near-duplicate on two sides."""


class SourceError(DeepfakeError):
    """A folder or a list of labels that cannot be read as a data set."""
