"""Gradients of depthwise convolutions under bfloat16 autocast."""

import pytest
import torch
from torch import Tensor, nn

from deepfake.training.depthwise import quick_depthwise


def gradients(layer: nn.Conv2d, faces: Tensor) -> tuple[Tensor, ...]:
    output = layer(faces)
    weights = torch.linspace(-1, 1, output.numel()).reshape(output.shape).bfloat16()
    return output, *torch.autograd.grad((output * weights).float().sum(), (faces, layer.weight))


@pytest.mark.parametrize(
    ("kernel", "stride", "bias"), [(5, 1, False), (3, 2, True), (5, 2, False), (3, 1, False)]
)
def test_gradients_are_those_of_float32(kernel: int, stride: int, bias: bool) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(8, 8, kernel, stride, kernel // 2, groups=8, bias=bias)
    with torch.no_grad():  # values that bfloat16 holds
        layer.weight.copy_(layer.weight.bfloat16())
    faces = torch.randn(2, 8, 12, 12).bfloat16().float().requires_grad_()
    exact = gradients(layer, faces)
    with torch.autocast("cpu", torch.bfloat16), quick_depthwise():
        found = gradients(layer, faces)
    assert found[0].dtype == torch.bfloat16
    for ours, theirs in zip(found, exact, strict=True):
        atol = 0.02 * theirs.abs().max().item()
        torch.testing.assert_close(ours.float(), theirs, rtol=0.02, atol=atol)


def test_nothing_changes_without_autocast() -> None:
    layer = nn.Conv2d(8, 8, 5, groups=8)
    faces = torch.randn(1, 8, 9, 9)
    with quick_depthwise():
        found = layer(faces)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, layer(faces), rtol=0, atol=0)
