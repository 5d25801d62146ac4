"""Fit a checkpoint's calibration on labelled crops, and write it with the weights."""

import tempfile
from dataclasses import replace
from pathlib import Path

from deepfake.aggregation import logit
from deepfake.calibration import Calibration, CalibrationError
from deepfake.checkpoints.export import write
from deepfake.checkpoints.loading import find_checkpoint, load_network
from deepfake.checkpoints.validation import ValidationScores
from deepfake.evaluation.run import evaluate
from preprocessing.types import Split


def calibrate(
    checkpoint: Path | None,
    data: Path,
    out: Path,
    *,
    split: Split | None = None,
    rule: str | None = None,
    false_alarms: float = 0.05,
    target_error: float = 0.05,
) -> Calibration:
    """Write a checkpoint with the calibration that labelled videos bear out; return that.

    Args:
        checkpoint: None is the latest run's, else the shipped one.
        data: Folder of crops of labelled videos that nothing was trained on.
        out: File to write, .safetensors or .onnx.
        split: This side of the videos alone.
        rule: From faces to a video, by name; None keeps the checkpoint's.
        false_alarms: See `deepfake.calibration.fit`, as for `target_error`.
        target_error: Of the decided.

    Raises:
        DeepfakeError: The checkpoint or the crops cannot be used, or a label is missing.
    """
    found = find_checkpoint(checkpoint)
    network, settings = load_network(found)
    with tempfile.TemporaryDirectory(prefix="deepfake-") as folder:
        scores = evaluate(found, [data], out=Path(folder), split=split)
    videos = [video for video in scores.videos if video.label is not None and video.faces]
    faces = [(n, face) for n, video in enumerate(videos) for face in video.faces]
    kept = ValidationScores.of_faces(
        logit([face.score for _, face in faces]),
        [int(videos[n].label or 0) for n, _ in faces],
        [n for n, _ in faces],
        [face.track for _, face in faces],
    )
    settings = replace(settings, aggregation=rule or settings.aggregation, validation=kept)
    fitted = settings.fit(false_alarms=false_alarms, target_error=target_error)
    if not fitted.fitted:
        labels = [video.label for video in videos]
        raise CalibrationError(
            f"{data} has {labels.count(0)} real and {labels.count(1)} fake videos with faces; "
            "both are needed. Label videos by folders named real/ and fake/."
        )
    write(network, replace(settings, calibration=fitted), out)
    return fitted
