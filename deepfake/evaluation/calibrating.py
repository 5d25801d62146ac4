"""Fit a checkpoint's calibration on labelled crops, and write it with the weights."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepfake.aggregation import by_name, logit, person_scores
from deepfake.calibration import Calibration, CalibrationError
from deepfake.checkpoints.export import write
from deepfake.checkpoints.gauge import Gauge
from deepfake.checkpoints.loading import find_checkpoint, load_network
from deepfake.checkpoints.scorers import Features, TorchScorer
from deepfake.checkpoints.settings import Settings
from deepfake.checkpoints.validation import MOST_FACES, ValidationScores
from deepfake.evaluation.faces import image_reader, tracks_of
from deepfake.evaluation.run import evaluate
from deepfake.evaluation.scores import ScoredVideo
from deepfake.inference.faces import evenly
from preprocessing.crops.manifest import read_manifest
from preprocessing.types import Split

if TYPE_CHECKING:
    from torch import nn


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
    settings = replace(settings, aggregation=rule or settings.aggregation)
    gauge = Gauge.fit(list(features_of(network, settings, data, videos).values()))
    settings = replace(settings, validation=kept_scores(videos), gauge=gauge)
    fitted = settings.fit(false_alarms=false_alarms, target_error=target_error)
    if not fitted.fitted:
        labels = [video.label for video in videos]
        raise CalibrationError(
            f"{data} has {labels.count(0)} real and {labels.count(1)} fake videos with faces; "
            "both are needed. Label videos by folders named real/ and fake/."
        )
    write(network, replace(settings, calibration=fitted), out)
    return fitted


def kept_scores(videos: Sequence[ScoredVideo]) -> ValidationScores:
    """Return what a checkpoint keeps of the scores of labelled videos."""
    faces = [(n, face) for n, video in enumerate(videos) for face in video.faces]
    return ValidationScores.of_faces(
        logit([face.score for _, face in faces]),
        [int(videos[n].label or 0) for n, _ in faces],
        [n for n, _ in faces],
        [face.track for _, face in faces],
    )


def features_of(
    network: "nn.Module", settings: Settings, data: Path, videos: Sequence[ScoredVideo]
) -> dict[str, Features]:
    """Return the mean features (D,) of who scores highest by the rule in each video, by its key.

    Empty for networks that are not ours, or that take several faces at once.
    """
    scorer, rule = TorchScorer(network), by_name(settings.aggregation)
    people = {video.video: person_scores(video.faces, rule) for video in videos}
    wanted = {(video, max(them, key=lambda p: p.score).track) for video, them in people.items()}
    crops = [crop for crop in read_manifest(data) if (crop.video, crop.track) in wanted]
    crops.sort(key=lambda crop: (crop.video, crop.track, crop.frame))
    read = image_reader(data, [crop.path for crop in crops])
    found: dict[str, Features] = {}
    for track in tracks_of(crops):
        faces = [track[k] for k in evenly(len(track), min(len(track), MOST_FACES))]
        inputs = np.stack([settings.recipe.prepare(read(crop)) for crop in faces])
        if settings.frames > 1 or (row := scorer.look(inputs)[1]) is None:
            return {}
        found[track[0].video] = row.mean(axis=0)
    return found
