"""The shipped networks against facenet-pytorch's modules."""

import hashlib

import numpy as np
import pytest
import torch
from facenet_pytorch.models import mtcnn as facenet

from preprocessing.faces.mtcnn_networks import WEIGHTS, Network, probability

SHA256 = {
    "pnet": "403cfa26822a802a6442ed6ae0280a8e879f9669c3cb8903ba908c201d637728",
    "rnet": "23a2e84814468107957e1cea535bd83392a03f84a8c832a6aebfcdd42066beef",
    "onet": "f814653b6b7c669b820b0f63a9c874e97d43f3ac9cbd14245008686a2e8c9bc8",
}


@pytest.mark.parametrize("name", SHA256)
def test_weights_are_the_known_files(name: str) -> None:
    found = hashlib.sha256((WEIGHTS / f"{name}.onnx").read_bytes()).hexdigest()
    assert found == SHA256[name], "run recipes.mtcnn_graphs, check parity, then update"


def test_licence_of_the_weights_is_beside_them() -> None:
    notice = (WEIGHTS / "NOTICE").read_text()
    assert "MIT License" in notice
    assert "Timothy Esler" in notice


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("pnet", (1, 12, 12)),
        ("pnet", (2, 57, 80)),
        ("rnet", (5, 24, 24)),
        ("rnet", (70, 24, 24)),
        ("onet", (4, 48, 48)),
    ],
)
def test_outputs_are_facenets(name: str, shape: tuple[int, int, int]) -> None:
    images = np.random.default_rng(0).uniform(0, 255, (*shape, 3)).astype(np.float32)
    module = {"pnet": facenet.PNet, "rnet": facenet.RNet, "onet": facenet.ONet}[name]()
    with torch.no_grad():
        inputs = (torch.from_numpy(images).permute(0, 3, 1, 2) - 127.5) * 0.0078125
        offsets, *landmarks, probabilities = module(inputs)
    outputs = Network(name, threads=1)(images)
    np.testing.assert_allclose(probability(outputs[:, 0]), probabilities[:, 1], atol=2e-5)
    np.testing.assert_allclose(outputs[:, 1:5], offsets, atol=2e-5)
    if landmarks:
        np.testing.assert_allclose(outputs[:, 5:], landmarks[0], atol=2e-5)


@pytest.mark.parametrize(("name", "outputs"), [("rnet", 5), ("onet", 15)])
def test_no_images_give_no_outputs(name: str, outputs: int) -> None:
    side = {"rnet": 24, "onet": 48}[name]
    none = np.zeros((0, side, side, 3), np.float32)
    assert Network(name, threads=1)(none).shape == (0, outputs)


def test_probability_does_not_overflow() -> None:
    logits = np.array([-1000, 0, 1000], np.float32)
    np.testing.assert_array_equal(probability(logits), [0, 0.5, 1])
