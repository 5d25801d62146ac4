from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from deepfake.calibration import Calibration
from deepfake.checkpoints import load
from deepfake.checkpoints.export import write
from deepfake.checkpoints.gauge import LEAST_VIDEOS, UNLIKE, Gauge
from deepfake.checkpoints.loading import DEFAULT_WEIGHTS, load_network
from deepfake.checkpoints.scorers import Features, OnnxScorer, TorchScorer
from deepfake.checkpoints.settings import Settings
from deepfake.inference import VideoPredictor
from deepfake.inference.decision import UNLIKE_ANY
from deepfake.models.mesonet import Meso4
from deepfake.models.network import spec_of
from deepfake.recipe import InputRecipe
from preprocessing.types import PreprocessOptions

DIM = 40


def drawn(count: int, seed: int, shift: float = 0.0) -> list[Features]:
    """Features that lie on ten directions of unlike strength, some of them constant."""
    rng = np.random.default_rng(seed)
    ways = np.random.default_rng(0).normal(size=(10, DIM)) * np.geomspace(1, 30, 10)[:, None]
    rows = rng.normal(size=(count, 10)) @ ways + shift
    rows[:, -3:] = 7.0
    return list(rows.astype(np.float32))


def fitted(count: int = 300) -> Gauge:
    gauge = Gauge.fit(drawn(count, seed=1))
    assert gauge is not None
    return gauge


def test_as_many_like_clips_are_held_back_as_said() -> None:
    gauge = fitted()
    shares = [gauge.likeness(row[None]) for row in drawn(2000, seed=2)]
    for level in (UNLIKE, 0.2, 0.5):
        assert np.mean(np.array(shares) < level) == pytest.approx(level, abs=0.04)


def test_what_is_far_is_unlike() -> None:
    gauge = fitted()
    least = 1 / (1 + 300)
    assert gauge.likeness(np.stack(drawn(5, seed=3, shift=500.0))) == pytest.approx(least)
    near = np.stack(drawn(300, seed=1)[:1] * 3)
    assert gauge.likeness(near) > 0.5


def test_too_few_videos_give_no_gauge() -> None:
    assert Gauge.fit([]) is None
    assert Gauge.fit(drawn(LEAST_VIDEOS - 1, seed=1)) is None
    broken = [row * np.float32("nan") for row in drawn(LEAST_VIDEOS, seed=1)]
    assert Gauge.fit(broken) is None
    assert Gauge.fit([np.ones(DIM, np.float32)] * LEAST_VIDEOS) is None  # all alike


def test_a_checkpoint_keeps_it(tmp_path: Path) -> None:
    gauge = fitted()
    settings = Settings(InputRecipe(), PreprocessOptions(), gauge=gauge)
    again = Settings.from_json(settings.to_json(), tmp_path).gauge
    assert again is not None
    for row in drawn(20, seed=4):
        assert again.likeness(row[None]) == gauge.likeness(row[None])
    assert Settings.from_dict(replace(settings, gauge=None).to_dict(), tmp_path).gauge is None


@pytest.mark.parametrize(
    "part", [{"centre": [1.0]}, {"axes": [[1.0]]}, {"videos": [[1.0] * 10]}, {"centre": ["x"] * 40}]
)
def test_a_damaged_one_is_refused(part: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"gauge|convert"):
        Gauge.from_dict(fitted().to_dict() | part)


def test_a_graph_gives_the_networks_features(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Meso4().eval()
    recipe = InputRecipe(image_size=256)
    faces = np.random.default_rng(0).normal(size=(3, 3, 256, 256)).astype(np.float32)
    scores, features = TorchScorer(network).look(faces)
    assert features is not None
    width = features.shape[1]
    rows = np.random.default_rng(1).normal(size=(LEAST_VIDEOS, width)).astype(np.float32)
    settings = Settings(recipe, PreprocessOptions(), network=spec_of(network))
    write(network, replace(settings, gauge=Gauge.fit(list(rows))), tmp_path / "with.onnx")
    write(network, settings, tmp_path / "without.onnx")
    with_gauge, without = (OnnxScorer(tmp_path / f"{n}.onnx") for n in ("with", "without"))
    found, looks = with_gauge.look(faces)
    assert looks is not None
    np.testing.assert_allclose(looks, features, atol=1e-4)
    np.testing.assert_allclose(found, scores, atol=1e-6)
    np.testing.assert_allclose(without.look(faces)[0], scores, atol=1e-6)
    assert without.look(faces)[1] is None


@pytest.mark.slow
def test_nothing_is_said_of_what_is_unlike_all_validation(samples: Path, tmp_path: Path) -> None:
    network, settings = load_network(DEFAULT_WEIGHTS)
    assert settings.network is not None
    clip = samples / "fake.mp4"
    seen = VideoPredictor(load()).look(clip)
    inputs = np.stack([settings.recipe.prepare(face.image) for face in seen.faces])
    own = TorchScorer(network).look(inputs)[1]
    assert own is not None
    rng = np.random.default_rng(0)
    near, far = (
        Gauge.fit([(around + rng.normal(size=own.shape[1])).astype(np.float32) for _ in range(120)])
        for around in (own.mean(axis=0), own.mean(axis=0) + 50)
    )
    sure = Calibration(method="temperature", low=0.0, high=0.0001, reals=9, fakes=9)
    write(network, replace(settings, gauge=near, calibration=sure), tmp_path / "gauge.onnx")
    checkpoint = load(tmp_path / "gauge.onnx")
    verdict = VideoPredictor(checkpoint).judge(clip, seen)
    assert verdict.likeness is not None
    assert verdict.likeness >= UNLIKE
    assert (verdict.label, verdict.reason == UNLIKE_ANY) == ("fake", False)
    verdict = VideoPredictor(replace(checkpoint, gauge=far)).judge(clip, seen)
    assert verdict.likeness is not None
    assert verdict.likeness < UNLIKE
    assert (verdict.label, verdict.reason) == ("undecided", UNLIKE_ANY)
    assert verdict.to_dict()["likeness"] == verdict.likeness
