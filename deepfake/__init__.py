"""Train, compare and use video deepfake detectors."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepfake.errors import (
        CheckpointError,
        DeepfakeError,
        LeakError,
        ManifestError,
        SourceError,
        VideoError,
    )
    from deepfake.inference import VideoPredictor
    from deepfake.types import FaceScore, TrackScore, Verdict

__version__ = "0.1.0"  # as in pyproject.toml; importlib.metadata takes 0.03 CPU s to import

__all__ = [
    "__version__",
    "VideoPredictor",
    "Verdict",
    "TrackScore",
    "FaceScore",
    "DeepfakeError",
    "VideoError",
    "ManifestError",
    "CheckpointError",
    "LeakError",
    "SourceError",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401  PEP 562: heavy modules load when first named
    if name == "VideoPredictor":
        from deepfake.inference import VideoPredictor

        return VideoPredictor
    if name in __all__:
        from deepfake import errors, types

        return getattr(errors if name.endswith("Error") else types, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
