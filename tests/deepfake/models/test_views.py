from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from deepfake.models.multi_stage import MultiStageClassifier
from deepfake.models.views import ViewEnsemble, repeated, resampling

SMALL = "test_efficientnet"


@pytest.fixture
def network() -> ViewEnsemble:
    torch.manual_seed(0)
    members: list[nn.Module] = [MultiStageClassifier(SMALL), MultiStageClassifier(SMALL)]
    return ViewEnsemble(members, [1.0, 0.75], [64, 48], [1.5, 2.0], image_size=96)


@pytest.mark.parametrize(("view", "size"), [(1.0, 64), (0.75, 72), (0.75, 33), (0.5, 96)])
def test_a_view_is_what_opencv_makes_of_the_middle(view: float, size: int) -> None:
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.random((96, 96), dtype=np.float32), (0, 0), 2)
    start = round(96 * (1 - view) / 2)
    middle = image[start : 96 - start, start : 96 - start]
    how = cv2.INTER_AREA if size < middle.shape[0] else cv2.INTER_LINEAR
    expected = cv2.resize(middle, (size, size), interpolation=how)
    matrix = resampling(96, view, size)
    inner = slice(1, -1)  # OpenCV repeats the border of the middle, a view goes on beyond it
    found = matrix @ image @ matrix.T
    np.testing.assert_allclose(found[inner, inner], expected[inner, inner], atol=1e-5)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-6)


def test_a_block_that_repeats_samples_as_the_whole_matrix_does() -> None:
    whole = resampling(248, 1.0, 192)
    block = repeated(whole)
    assert block.shape == (24, 31)
    network = ViewEnsemble([MultiStageClassifier(SMALL)], [1.0], [192], [1.0])
    faces, matrix = torch.rand(2, 3, 248, 248), torch.from_numpy(whole)
    torch.testing.assert_close(network.faces(faces, 0), matrix @ faces @ matrix.T)
    enlarging = resampling(96, 0.75, 96)
    np.testing.assert_array_equal(repeated(enlarging), enlarging)


def test_it_is_the_mean_of_its_networks(network: ViewEnsemble) -> None:
    network.eval()
    faces = torch.randn(3, 3, 96, 96)
    small = nn.functional.interpolate(faces, size=64, mode="area")  # 96 to 64: not whole pixels
    assert network.faces(faces, 0).shape == small.shape
    logits = [
        member(network.faces(faces, number)) / temperature
        for number, (member, temperature) in enumerate(
            zip(network.networks, (1.5, 2.0), strict=True)
        )
    ]
    torch.testing.assert_close(network(faces), torch.stack(logits).mean(0))
    features = network.forward_features(faces)
    assert features.shape == (3, network.num_features)
    torch.testing.assert_close(network.forward_head(features), network(faces))


def test_a_view_sees_nothing_of_the_edge(network: ViewEnsemble) -> None:
    faces = torch.rand(1, 3, 96, 96)
    other = faces.clone()
    other[..., :11], other[..., -11:] = 0, 0
    torch.testing.assert_close(network.faces(faces, 1), network.faces(other, 1))
    assert not torch.equal(network.faces(faces, 0), network.faces(other, 0))


def test_a_view_of_the_network_s_own_size_is_cut_out() -> None:
    member = MultiStageClassifier(SMALL)
    network = ViewEnsemble([member], [0.75], [72], [1.0], image_size=96)
    faces = torch.rand(1, 3, 96, 96)
    assert torch.equal(network.faces(faces, 0), faces[..., 12:84, 12:84])


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(ValueError, match="2 networks need as many views"):
        ViewEnsemble([nn.Identity(), nn.Identity()], [1.0], [64, 64], [1.0, 1.0])


def test_it_keeps_the_contract(network: ViewEnsemble, contract: ModuleType) -> None:
    faces = contract.random_faces(96, batch=16)
    contract.settle(network, faces)
    contract.outputs_are_finite(network, faces)
    contract.a_face_scores_the_same_alone_and_in_a_batch(network, faces)


def test_it_exports(network: ViewEnsemble, tmp_path: Path, contract: ModuleType) -> None:
    faces = contract.random_faces(96)
    contract.settle(network, faces)
    contract.onnx_export_agrees(network, faces, tmp_path / "network.onnx")
