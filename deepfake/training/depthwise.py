"""Depthwise convolutions in bfloat16 on CPUs: gradients in float32, where they are faster."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

QUICK_KERNEL = 3  # up to this, and at stride 1, bfloat16 gradients are the faster ones


def quick_depthwise() -> AbstractContextManager[object]:
    """Return a context in which gradients of depthwise convolutions are not slow.

    oneDNN has no fast bfloat16 gradient of a depthwise convolution with a stride or with a kernel
    over 3: on one thread it takes 2 to 8 times as long as in float32. In the context these compute
    their output in bfloat16 and their gradients in float32. It changes nothing but under bfloat16
    autocast of the CPU with gradients on.
    """
    is_needed = (
        torch.is_grad_enabled()
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
    )
    return _QuickDepthwise() if is_needed else nullcontext()


class _QuickDepthwise(TorchFunctionMode):
    """Takes the place of the convolutions in question."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Call the function, or what is faster."""
        if func is torch.conv2d:
            return _convolution(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _convolution(
    input: Tensor,  # noqa: A002  as torch calls it
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, int] = 1,
    padding: str | int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
) -> Tensor:
    strides, dilations = _pair(stride), _pair(dilation)
    is_slow = (
        1 < groups == len(weight)
        and weight.shape[1] == 1
        and (max(weight.shape[2:]) > QUICK_KERNEL or max(strides) > 1)
        and not isinstance(padding, str)
        and input.device.type == "cpu"
        and (input.requires_grad or weight.requires_grad)
    )
    if not is_slow:
        return torch.conv2d(input, weight, bias, stride, padding, dilation, groups)
    faces, kernel = input.to(torch.bfloat16), weight.to(torch.bfloat16)
    paddings = _pair(padding)  # type: ignore[arg-type]
    out: Tensor = _Depthwise.apply(faces, kernel, strides, paddings, dilations)
    return out if bias is None else out + bias.to(out.dtype)[:, None, None]


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[-1])


class _Depthwise(torch.autograd.Function):
    """A depthwise convolution of a map (B, C, H, W) with kernels (C, 1, K, L)."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        feature_map: Tensor,
        kernel: Tensor,
        stride: tuple[int, int],
        padding: tuple[int, int],
        dilation: tuple[int, int],
    ) -> Tensor:
        ctx.save_for_backward(feature_map, kernel)
        ctx.geometry = stride, padding, dilation
        return torch.conv2d(feature_map, kernel, None, stride, padding, dilation, len(kernel))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        feature_map, kernel = ctx.saved_tensors
        wanted = [*ctx.needs_input_grad[:2], False]
        of_map, of_kernel, _ = torch.ops.aten.convolution_backward(
            gradient.float(),
            feature_map.float(),
            kernel.float(),
            None,
            *ctx.geometry,
            False,
            (0, 0),
            len(kernel),
            wanted,
        )
        narrow = [None if g is None else g.to(torch.bfloat16) for g in (of_map, of_kernel)]
        return (*narrow, None, None, None)
