from dataclasses import replace
from pathlib import Path

import numpy as np

from deepfake.checkpoints.loading import DEFAULT_WEIGHTS, load_network
from deepfake.evaluation.calibrating import features_of
from deepfake.evaluation.scores import ScoredVideo
from deepfake.types import FaceScore
from tests.crop_folders import make_row, write_folder


def test_the_gauge_is_of_the_person_whom_the_rule_finds_most_fake(tmp_path: Path) -> None:
    scores = {0: (0.9, 0.1), 1: (0.6, 0.6)}  # of two people
    box = (0.0, 0.0, 9.0, 9.0)
    faces = tuple(
        FaceScore(score, track, number, 0.0, box)
        for track, seen in scores.items()
        for number, score in enumerate(seen)
    )
    rows = [make_row("v", face.frame, track=face.track, label=1) for face in faces]
    folder = write_folder(tmp_path, rows)
    video = ScoredVideo("", "", 0, "drawn", "", "", "v", "v", 1, None, faces)
    network, settings = load_network(DEFAULT_WEIGHTS)
    found = {}
    for rule in ("max", "mean_logit"):
        found[rule] = features_of(network, replace(settings, aggregation=rule), folder, [video])
    for rule, track in (("max", 0), ("mean_logit", 1)):
        alone = replace(video, faces=tuple(face for face in faces if face.track == track))
        (theirs,) = features_of(network, settings, folder, [alone]).values()
        np.testing.assert_array_equal(found[rule]["v"], theirs)
    assert (found["max"]["v"] != found["mean_logit"]["v"]).any()
