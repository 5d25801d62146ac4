"""How much a class token sees of each patch, through all blocks of a transformer.

Abnar and Zuidema, ACL 2020, https://arxiv.org/abs/2005.00928
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

LEAST_SIDE = 4  # patches a side; a coarser map says nothing about places


def rollout(attentions: Sequence[Tensor]) -> Tensor:
    """Return what token 0 takes from each patch (B, N - 1); a row sums to at most 1.

    Half of each block's output is its input (the residual path), so that half of its attention is
    the identity; the blocks' matrices multiply.

    Args:
        attentions: Of every block (B, heads, N, N), the first block first; rows sum to 1.
    """
    flow: Tensor | None = None
    for attention in attentions:
        mixed = attention.float().mean(dim=1)
        step = (mixed + torch.eye(mixed.shape[-1], device=mixed.device)) / 2
        step = step / step.sum(dim=-1, keepdim=True)
        flow = step if flow is None else step @ flow
    assert flow is not None
    return flow[:, 0, 1:]


def has_grid(attentions: Sequence[Tensor]) -> bool:
    """Tell whether all blocks share one square grid of patches behind a class token."""
    shapes = {attention.shape[-2:] for attention in attentions}
    if len(shapes) != 1:
        return False
    rows, columns = shapes.pop()
    side = math.isqrt(max(rows - 1, 0))
    return rows == columns and side**2 == rows - 1 and side >= LEAST_SIDE


def rollout_map(attentions: Sequence[Tensor], size: int) -> Tensor:
    """Return the rollout as maps (B, S, S), each stretched to [0, 1].

    Args:
        attentions: As `rollout` takes them, over a class token and a square grid by rows.
        size: Side of the map, in pixels.
    """
    seen = rollout(attentions)
    side = math.isqrt(seen.shape[1])
    grid = seen.reshape(-1, 1, side, side)
    maps = F.interpolate(grid, (size, size), mode="bilinear", align_corners=False)[:, 0]
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    return (maps - low) / (high - low).clamp(min=torch.finfo(maps.dtype).tiny)
