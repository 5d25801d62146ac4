from pathlib import Path
from types import ModuleType

import pytest
import torch

from deepfake.models.multi_stage import MultiStageClassifier

SMALL = "test_efficientnet"


@pytest.fixture
def network() -> MultiStageClassifier:
    torch.manual_seed(0)
    return MultiStageClassifier(SMALL)


def test_it_keeps_the_contract(network: MultiStageClassifier, contract: ModuleType) -> None:
    faces = contract.random_faces(96, batch=16)  # its norm wants more than three
    contract.settle(network, faces)
    contract.outputs_are_finite(network, faces)
    contract.a_face_scores_the_same_alone_and_in_a_batch(network, faces)
    contract.bfloat16_is_close(network, faces)


def test_head_and_features_make_the_logits(network: MultiStageClassifier) -> None:
    faces = torch.randn(2, 3, 64, 64)
    network.eval()
    torch.testing.assert_close(
        network.forward_head(network.forward_features(faces)), network(faces)
    )


def test_the_map_is_of_the_stage_and_learns(network: MultiStageClassifier) -> None:
    faces = torch.randn(2, 3, 64, 64)
    logits, places = network.localise(faces)
    assert logits.shape == (2,)
    assert places.shape == (2, 4, 4)  # stage 3 has a stride of 16
    (places.sum() + logits.sum()).backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    assert network.localise(faces, 14)[1].shape == (2, 14, 14)


def test_every_stage_counts(network: MultiStageClassifier) -> None:
    widths = network.backbone.feature_info.channels()
    assert network.num_features == sum(widths)
    assert len(widths) == 3


def test_a_map_of_a_stage_that_is_not_read_is_refused() -> None:
    with pytest.raises(ValueError, match="map_stage 1 must be one of stages"):
        MultiStageClassifier(SMALL, map_stage=1)


def test_it_exports(network: MultiStageClassifier, tmp_path: Path, contract: ModuleType) -> None:
    faces = contract.random_faces(64)
    contract.settle(network, faces)
    contract.onnx_export_agrees(network, faces, tmp_path / "network.onnx")
