"""Networks of clips through train, predict and evaluate, on a folder without official sides."""

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deepfake.checkpoints.loading import load
from deepfake.data.splits.assign import assign_splits, read_splits, write_splits
from deepfake.errors import DeepfakeError
from deepfake.evaluate import main as evaluate
from deepfake.evaluation.embedding import tsne
from deepfake.evaluation.scores import Scores, read_scores
from deepfake.predict import main as predict
from deepfake.train import config_folder
from deepfake.training import train
from preprocessing.crops.manifest import read_manifest, write_manifest

NETWORKS = {
    "frame_transformer.FrameTransformer": "frames: 2, dim: 8, heads: 2, depth: 1",
    "attention_pooling.AttentionPooling": "dim: 8",
}
CONFIG = """
model:
  network:
    class_path: deepfake.models.{network}
    init_args:
      encoder: {{class_path: deepfake.models.mesonet.Meso4, init_args: {{image_size: 64}}}}
      {arguments}
data: {{frames: 2, batch_size: 2, frames_per_video: 2, num_workers: 0, recipe: {{image_size: 64}}}}
trainer: {{max_epochs: 1, limit_train_batches: 1, logger: false}}
test: false
"""


def unlisted(faces: Path, folder: Path) -> Path:
    """Return a copy of the folder of crops in which no video is on an official list."""
    shutil.copytree(faces, folder)
    write_manifest(folder, [replace(crop, split=None) for crop in read_manifest(folder)])
    return folder


def evaluated(run: Path, faces: Path, *more: str) -> Scores:
    out = run / "evaluation"
    arguments = ["--checkpoint", str(run / "best.ckpt"), "--data", str(faces), "--out", str(out)]
    assert evaluate([*arguments, "--repeats", "10", *more]) == 0
    return read_scores(out / "scores.parquet")


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_of_clips_goes_all_the_way(
    network: str, faces: Path, samples: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = unlisted(faces, tmp_path / "faces")
    config = tmp_path / "config.yaml"
    arguments = NETWORKS[network].replace(", ", "\n      ")
    config.write_text(CONFIG.format(network=network, arguments=arguments))
    given = [f"--config={config_folder() / 'default.yaml'}", f"--config={config}"]
    run = train([*given, f"--data.root={folder}", f"--runs={tmp_path / 'runs'}"])
    assert load(run / "best.ckpt").frames == 2

    verdict_file = tmp_path / "verdict.json"
    clip = str(samples / "real.mp4")
    shown = ["--checkpoint", str(run / "best.ckpt"), "--json", str(verdict_file), "--frames", "5"]
    assert predict([clip, *shown]) == 0
    scores = [face["score"] for face in json.loads(verdict_file.read_text())[0]["faces"]]
    assert len(scores) == 5
    assert scores[0] == scores[2] == scores[4] != scores[1] == scores[3]  # two clips

    drawn = read_splits(run / "splits.csv")
    assert set(drawn) == {crop.video for crop in read_manifest(folder)}
    found = evaluated(run, folder, "--split", "test").videos
    assert {video.video for video in found} == {k for k, side in drawn.items() if side == "test"}
    assert {video.split for video in found} == {"test"}
    assert "trained" not in caplog.text


def test_without_split_a_line_says_what_was_trained_on(
    checkpoint: Path, faces: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = unlisted(faces, tmp_path / "faces")
    shutil.copy(checkpoint, tmp_path / "best.ckpt")
    drawn = assign_splits(read_manifest(folder)).assignment
    write_splits(tmp_path / "splits.csv", drawn)
    found = evaluated(tmp_path, folder).videos
    assert {video.video: video.split for video in found} == drawn
    counts = Counter(drawn.values())
    sentence = f"trained on {counts['train']} and chosen on {counts['val']} of the 16 videos"
    assert sentence in caplog.text
    assert len(list((tmp_path / "evaluation" / "figures").glob("t-sne-*"))) == 2


def test_a_changed_file_of_sides_is_named(tmp_path: Path) -> None:
    assert read_splits(tmp_path / "none.csv") == {}
    (tmp_path / "splits.csv").write_text("video,split\na,train\nb,testing\n")
    with pytest.raises(DeepfakeError, match="line 3"):
        read_splits(tmp_path / "splits.csv")


def test_tsne_keeps_groups_apart_and_repeats() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 60)).astype(np.float32)
    features[:20] += 5
    places = tsne(features)
    np.testing.assert_array_equal(places, tsne(features))
    centre = places[:20].mean(axis=0), places[20:].mean(axis=0)
    spread = max(places[:20].std(), places[20:].std())
    assert np.linalg.norm(centre[0] - centre[1]) > 2 * spread
