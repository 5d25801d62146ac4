"""Gated attention over the faces of a track, by hand and as a contract."""

from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from deepfake.models.attention_pooling import AttentionPooling
from deepfake.models.mesonet import Meso4


class Mean(nn.Module):
    """Features of a face are its channels' means."""

    num_features = 3

    def forward_features(self, faces: Tensor) -> Tensor:
        return faces.mean(dim=(2, 3))


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def clip(frames: int = 4) -> Tensor:
    return torch.randn((2, frames, 3, 8, 8), generator=torch.Generator().manual_seed(1))


def test_gated_attention_by_hand() -> None:
    network = AttentionPooling(Mean(), dim=2).eval()
    faces = clip(3)
    h = faces.mean(dim=(3, 4))
    for b in range(2):
        rating = torch.stack(
            [
                network.weigh.weight[0]
                @ (
                    torch.tanh(network.value.weight @ h[b, t] + network.value.bias)
                    * torch.sigmoid(network.gate.weight @ h[b, t] + network.gate.bias)
                )
                for t in range(3)
            ]
        )
        weights = rating.exp() / rating.exp().sum()
        torch.testing.assert_close(network.attention(faces)[b], weights)
        expected = sum(weights[t] * h[b, t] for t in range(3))
        torch.testing.assert_close(network.forward_features(faces)[b], expected)


def test_equal_ratings_give_the_mean() -> None:
    network = AttentionPooling(Mean())
    nn.init.zeros_(network.weigh.weight)
    faces = clip()
    torch.testing.assert_close(network.forward_features(faces), faces.mean(dim=(1, 3, 4)))


def test_order_and_padding_do_not_count() -> None:
    network = AttentionPooling(Mean()).eval()
    faces, padding = clip(), torch.zeros(2, 4, dtype=torch.bool)
    torch.testing.assert_close(network(faces), network(faces.flip(1)))
    padding[:, 2:] = True
    torch.testing.assert_close(network(faces, padding), network(faces[:, :2]))
    assert (network.attention(faces, padding)[:, 2:] == 0).all()


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"got \(2, 3, 8, 8\); set data\.frames"):
        AttentionPooling(Mean())(clip()[:, 0])
    with pytest.raises(ValueError, match="dim"):
        AttentionPooling(Mean(), dim=0)


def test_keeps_the_contract_and_exports(contract: ModuleType, tmp_path: Path) -> None:
    contract.holds(AttentionPooling(Meso4(64), dim=16), [64], frames=3)
    faces = contract.random_faces(64, frames=3)
    contract.onnx_export_agrees(AttentionPooling(Meso4(64), dim=16), faces, tmp_path / "n.onnx")
