"""What the motion network sees of landmark tracks."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from deepfake.data.fakes.hulls import dense_from_five
from recipes.motion.network import Kinematics, order_features, without_head

FIVE = np.array([[38, 50], [74, 50], [56, 72], [42, 92], [70, 92]], dtype=np.float32)
FRAMES = 25


def moving(seed: int, *, batch: int = 4, step: float = 0.2) -> Tensor:
    """Return landmarks (B, T, 68, 2) of faces whose parts wander slowly."""
    generator = torch.Generator().manual_seed(seed)
    still = torch.from_numpy(dense_from_five(FIVE))
    steps = torch.randn(batch, FRAMES, 68, 2, generator=generator) * step
    return still + steps.cumsum(dim=1)


def test_size_place_and_turn_in_the_picture_do_not_count() -> None:
    points = moving(0)
    c, s = math.cos(0.4), math.sin(0.4)
    turned = points @ torch.tensor([[c, -s], [s, c]]) * 3 + torch.tensor([200.0, -30.0])
    still, _ = without_head(points)
    again, _ = without_head(turned)
    torch.testing.assert_close(
        torch.cdist(still.flatten(0, 1), still.flatten(0, 1)),
        torch.cdist(again.flatten(0, 1), again.flatten(0, 1)),
        atol=1e-3,
        rtol=1e-3,
    )


def test_a_head_that_only_moves_leaves_a_still_face() -> None:
    face = torch.from_numpy(dense_from_five(FIVE))
    angle = torch.linspace(-0.3, 0.3, FRAMES)
    rotation = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).view(-1, 2, 2)
    points = (face @ rotation + torch.linspace(0, 40, FRAMES).view(-1, 1, 1))[None]
    still, pose = without_head(points)
    assert still.std(dim=1).max() < 1e-4
    turned = pose[0, :, 3].diff()
    torch.testing.assert_close(turned, turned.mean().expand_as(turned), atol=2e-3, rtol=0.05)


def test_shuffled_frames_say_nothing() -> None:
    points = moving(1, batch=64)
    order = torch.stack([torch.randperm(FRAMES) for _ in points])
    shuffled = points.gather(1, order[:, :, None, None].expand(-1, -1, 68, 2))
    assert order_features(points)[:, :5].mean() < -1.5
    assert order_features(shuffled).mean(dim=0).abs().max() < 0.35


def test_energy_of_a_known_series() -> None:
    points = moving(2, batch=1, step=0.0).clone()
    alternating = torch.tensor([1.0, -1.0]).repeat(FRAMES)[:FRAMES]
    points[0, :, 48:, 1] += alternating[:, None]  # the mouth jumps each frame
    velocity = order_features(points)[0, 4]
    assert velocity == pytest.approx(math.log(4 / 2), abs=0.02)  # (2 a)^2 over 2 a^2


@pytest.mark.parametrize("frames", [25, 32])
def test_contract(frames: int) -> None:
    torch.manual_seed(0)
    network = Kinematics().eval()
    points = torch.cat([moving(3), moving(4)], dim=1)[:, :frames]
    features, logits = network.forward_features(points), network(points)
    assert features.shape == (4, network.num_features)
    assert logits.shape == (4,)
    torch.testing.assert_close(network(points[:1]), logits[:1])
    network.train()(points).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    assert sum(p.numel() for p in network.parameters()) < 150_000


def test_a_face_that_never_moves_gives_a_finite_answer() -> None:
    points = torch.from_numpy(dense_from_five(FIVE)).expand(1, FRAMES, 68, 2)
    assert Kinematics().eval()(points).isfinite().all()
