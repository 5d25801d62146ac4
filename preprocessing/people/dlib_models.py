"""The models of the extras "landmarks" and "recognition", where they are installed."""

import importlib.util
from pathlib import Path

LANDMARKS = "shape_predictor_68_face_landmarks.dat"
RECOGNITION = "dlib_face_recognition_resnet_model_v1.dat"


def dlib_model(name: str) -> Path | None:
    """Find a model among the files of its package, which needs pkg_resources to be imported.

    None where the package, or dlib, is not installed.
    """
    if importlib.util.find_spec("dlib") is None:
        return None
    from importlib import metadata  # takes 20 CPU ms

    try:
        files = metadata.files("face-recognition-models") or []
    except metadata.PackageNotFoundError:
        return None
    return next((Path(str(file.locate())) for file in files if file.name == name), None)
