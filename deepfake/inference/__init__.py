"""From a clip to a verdict: find the faces, score them, judge; here or in a worker."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepfake.inference.predictor import VideoPredictor

__all__ = ["VideoPredictor"]


def __getattr__(name: str) -> Any:  # noqa: ANN401  PEP 562: `worker` is imported for every --help
    if name in __all__:
        from deepfake.inference import predictor

        return predictor.VideoPredictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
